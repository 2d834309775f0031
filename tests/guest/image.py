"""Build the Linux guest of tests, demo and benchmarks: Debian's cloud kernel and a busybox initramfs.

Nothing of it is installed: the kernel's package is fetched with `apt-get download` and unpacked in the cache
($MECHANE_GUEST_CACHE, else $XDG_CACHE_HOME/mechane, else ~/.cache/mechane).  The guest boots to a shell on
its serial console in 3-4 s under TCG with 96 MiB and no disk (measured; 72 MiB are too few), and powers off
on the ACPI power button.

`python -m mechane.tests.guest.image` (or this file as a script) builds it and prints the two paths.
"""

import contextlib
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.guest import cpio

VERSION = 3
"""Raise it when the content of the image changes: each version has a folder of its own."""

PROMPT = "mechane-guest # "
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_balloon",
    "virtio_console",
    "virtio_scsi",
    "virtio-rng",
    "ata_piix",
    "sd_mod",
    "button",
    "evdev",
    "virtiofs",
)
"""Debian's cloud kernel has these as modules; their dependencies are read from the modules themselves."""
HARDWARE = ("ahci", "nvme", "xhci_pci", "ehci_pci", "uhci_hcd", "usb_storage", "uas", "usbhid", "sr_mod", "e1000e")
"""What the cloud kernel leaves out, of devices that definitions give to guests."""

APT_TIMEOUT_S = 300.0
UNPACK_TIMEOUT_S = 120.0
LOCK_TIMEOUT_S = 600.0


class ImageError(RuntimeError):
    """The image cannot be built here; the text says what to type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel of Debian: the meta package that names it, and the modules that the guest loads."""

    name: str
    package: str
    modules: tuple[str, ...]


CLOUD = Kernel(name="guest", package="linux-image-cloud-amd64", modules=MODULES)
"""Boots fastest, and knows hardly anything but virtio."""
FULL = Kernel(name="guest-full", package="linux-image-amd64", modules=(*MODULES, *HARDWARE))
"""Knows SATA, NVMe and USB too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Paths of the guest's kernel and initramfs."""

    kernel: Path
    initrd: Path


def cache_folder(kernel: Kernel = CLOUD) -> Path:
    """Name the folder of the image's current version; nothing is created."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get("MECHANE_GUEST_CACHE") or caches / "mechane")
    return base / f"{kernel.name}-v{VERSION}"


def ensure_image(kernel: Kernel = CLOUD) -> Image:
    """Give the image, built first where it is missing; several callers at once build it once.

    Raises: ImageError with the line to type when a package cannot be had.
    """
    folder = cache_folder(kernel)
    image = Image(kernel=folder / "vmlinuz", initrd=folder / "initrd.gz")
    if image.kernel.exists() and image.initrd.exists():
        return image
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / "guest.lock"):
        if not folder.exists():
            build(folder, kernel)
    return image


def publish(folder: Path, kernel: Kernel = CLOUD) -> Image:
    """Copy the image to a folder where an unprivileged emulator may read it: a home is closed to others.

    Raises: as `ensure_image`.
    """
    image = ensure_image(kernel)
    folder.mkdir(mode=0o755, exist_ok=True)
    copies = [Path(shutil.copy(path, folder)) for path in (image.kernel, image.initrd)]
    for copy in copies:
        copy.chmod(0o644)
    return Image(kernel=copies[0], initrd=copies[1])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for a block; the kernel frees it when its holder dies.

    Raises: ImageError when another holder keeps it longer than LOCK_TIMEOUT_S.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ImageError(f"another process has held {path} for {LOCK_TIMEOUT_S} s") from None
                time.sleep(0.1)
        yield


def build(folder: Path, wanted: Kernel = CLOUD) -> None:
    """Make the image beside `folder` and move it there in one step."""
    work = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    try:
        unpacked = unpack(download(kernel_package(wanted.package), work), work)
        done = work / "done"
        done.mkdir()
        kernel = next((unpacked / "boot").glob("vmlinuz-*"))
        shutil.copyfile(kernel, done / "vmlinuz")
        # Level 6: the size of the archive hardly matters, unpacking it under TCG does.
        with gzip.GzipFile(done / "initrd.gz", "wb", compresslevel=6, mtime=0) as out:
            cpio.write(out, entries(unpacked, busybox(work), wanted.modules))
        done.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def entries(unpacked: Path, busybox_path: Path, wanted: tuple[str, ...] = MODULES) -> list[cpio.Entry]:
    """List the content of the initramfs."""
    modules = load_order(unpacked, wanted)
    order = "".join(f"{path.name}\n" for path in modules)
    folders = ("bin", "dev", "etc", "lib", "lib/modules", "proc", "sys", "tmp")
    return [
        *(cpio.folder(name) for name in folders),
        cpio.character_device("dev/console", 5, 1),
        cpio.file("bin/busybox", busybox_path.read_bytes(), executable=True),
        cpio.file("init", (Path(__file__).with_name("init.sh")).read_bytes(), executable=True),
        cpio.file("lib/modules/order", order.encode()),
        *(cpio.file(f"lib/modules/{path.name}", path.read_bytes()) for path in modules),
    ]


def load_order(unpacked: Path, wanted: tuple[str, ...] = MODULES) -> list[Path]:
    """Give the modules we want, each after those it depends on (section .modinfo, "depends=a,b")."""
    found = {path.stem.replace("-", "_"): path for path in (unpacked / "lib/modules").rglob("*.ko")}
    order: list[Path] = []

    def add(name: str) -> None:
        path = found[name.replace("-", "_")]
        if path in order:
            return
        match = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for needed in match[1].decode().split(",") if match else ():
            if needed:
                add(needed)
        order.append(path)

    for name in wanted:
        if name.replace("-", "_") in found:  # built into other kernels
            add(name)
    return order


def kernel_package(meta: str = CLOUD.package) -> str:
    """Find the package with the kernel itself: the one that the meta package depends on."""
    if not shutil.which("apt-cache"):
        raise ImageError("the guest image is made from Debian's packages, and apt is not here")
    for attempt in ("as it is", "updated"):
        out = run(["apt-cache", "depends", "--important", meta], APT_TIMEOUT_S, check=False)
        match = re.search(r"Depends: (linux-image-\S+)", out)
        if match:
            return match[1]
        if attempt == "as it is" and os.geteuid() == 0:
            run(["apt-get", "update", "-qq"], APT_TIMEOUT_S)
    raise ImageError(f"apt knows no {meta}. Type: sudo apt-get update")


def download(package: str, work: Path) -> Path:
    """Fetch a package's file into a folder, without installing it and without root.

    The list of packages may name a file that the archive has replaced; root asks for a newer list then.
    """
    # The unprivileged user of apt's sandbox may not write into our folder.
    command = ["apt-get", "-q", "-o", f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}"]
    try:
        run([*command, "download", package], APT_TIMEOUT_S, cwd=work)
    except ImageError:
        if os.geteuid() != 0:
            raise
        run(["apt-get", "update", "-qq"], APT_TIMEOUT_S)
        run([*command, "download", package], APT_TIMEOUT_S, cwd=work)
    return next(work.glob(f"{package}_*.deb"))


def unpack(package: Path, work: Path) -> Path:
    """Unpack a package's files into a new folder."""
    target = work / package.name.split("_")[0]
    run(["dpkg-deb", "-x", str(package), str(target)], UNPACK_TIMEOUT_S)
    package.unlink()
    return target


def busybox(work: Path) -> Path:
    """Give a busybox without shared libraries: the installed one, else from busybox-static's package."""
    installed = Path("/bin/busybox")
    if installed.exists() and b"/ld-linux" not in installed.read_bytes():
        return installed
    return unpack(download("busybox-static", work), work) / "bin/busybox"


def run(argv: list[str], timeout_s: float, *, cwd: Path | None = None, check: bool = True) -> str:
    """Run a tool and give its output.

    Raises: ImageError with the tool's last words, or when it takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{' '.join(argv)} took longer than {timeout_s} s") from error
    except FileNotFoundError as error:
        raise ImageError(f"{argv[0]} is not installed") from error
    if check and done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ImageError(f"{' '.join(argv)} failed: {' '.join(last)}")
    return done.stdout


def main() -> int:
    """Build the image and print its two paths."""
    try:
        image = ensure_image()
    except ImageError as error:
        print(f"no guest image: {error}", file=sys.stderr)
        return 1
    print(image.kernel)
    print(image.initrd)
    return 0


if __name__ == "__main__":
    sys.exit(main())
