"""Build a machine that runs Xen: the hypervisor, a dom0 kernel, an initramfs with xl, all from Debian's packages.

Nothing of it is installed: packages are fetched with `apt-get download` and unpacked in the cache folder of
tests/guest/image.py.  Debian's cloud kernel is no dom0 (XEN_DOM0 is not set), so the generic one serves
there, and the cloud kernel with the busybox initramfs of the other tests is the PV guest.  Shared libraries
that are not in the packages are this host's: it must be the release that the packages come from.

`python -m mechane.tests.xen.image` builds it and prints the folder.
"""

import gzip
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.guest import cpio
from mechane.tests.guest.image import APT_TIMEOUT_S, ImageError, cache_folder, ensure_image, locked, run

VERSION = 3
"""Raise it when the content of the image changes: each version has a folder of its own."""
XEN = "4.17"
KERNEL_PACKAGE = "linux-image-amd64"
PACKAGES = (
    f"xen-hypervisor-{XEN}-amd64", f"xen-utils-{XEN}", f"libxenmisc{XEN}", "xenstore-utils", "libxencall1",
    "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1", "libxenhypfs1",
    "libxenstore4", "libxentoolcore1", "libxentoollog1", "libyajl2", "openssh-server", "libwrap0",
)  # fmt: skip
MODULES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "e1000")
XEN_TOOLS = (
    "xl", "xenstored", "xenconsoled", "xenconsole", "xen-init-dom0", "xentop", "libxl-save-helper",
)  # fmt: skip
OTHER_TOOLS = (
    "usr/sbin/sshd", "usr/bin/xenstore-read", "usr/bin/xenstore-ls", "usr/bin/xenstore-watch",
    "usr/bin/xenstore-write",
)  # fmt: skip
UNPACK_TIMEOUT_S = 120.0
SSHD_CONFIG = b"""HostKey /etc/ssh/host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
MaxSessions 50
"""
# Not dropbear: when several commands share a connection it often loses their exit status (one in ten; measured).


@dataclass(frozen=True, slots=True, kw_only=True)
class XenImage:
    """Paths of what boots, and of the key that opens dom0's SSH."""

    xen: Path
    kernel: Path
    initrd: Path
    key: Path


def ensure_xen_image() -> XenImage:
    """Give the image, built first where it is missing; several callers at once build it once.

    Raises: ImageError with the line to type when a package cannot be had.
    """
    folder = cache_folder().parent / f"xen-v{VERSION}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        ensure_image()
        with locked(folder.parent / "xen.lock"):
            if not folder.exists():
                build(folder)
    return XenImage(
        xen=folder / "xen", kernel=folder / "vmlinuz", initrd=folder / "dom0.cpio.gz", key=folder / "key"
    )


def build(folder: Path) -> None:
    """Make the image beside `folder` and move it there in one step."""
    work = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    try:
        done = work / "done"
        done.mkdir(mode=0o700)
        root = unpacked(work)
        (done / "xen").write_bytes(gzip.decompress((root / f"boot/xen-{XEN}-amd64.gz").read_bytes()))
        shutil.copyfile(next((root / "boot").glob("vmlinuz-*")), done / "vmlinuz")
        for key in (done / "key", work / "host_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], UNPACK_TIMEOUT_S)
        # Level 1: unpacking under TCG costs the same, packing here does not.
        with gzip.GzipFile(done / "dom0.cpio.gz", "wb", compresslevel=1, mtime=0) as out:
            cpio.write(out, entries(root, (done / "key.pub").read_bytes(), (work / "host_key").read_bytes()))
        done.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unpacked(work: Path) -> Path:
    """Fetch all packages and unpack them into one folder."""
    match = re.search(
        r"Depends: (linux-image-\S+)",
        run(["apt-cache", "depends", "--important", KERNEL_PACKAGE], APT_TIMEOUT_S, check=False),
    )
    if not match:
        raise ImageError(f"apt knows no {KERNEL_PACKAGE}. Type: sudo apt-get update")
    packages = [*PACKAGES, match[1]]
    run(["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", *packages], APT_TIMEOUT_S, cwd=work)
    root = work / "root"
    for package in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(root)], UNPACK_TIMEOUT_S)
        package.unlink()
    return root


def entries(root: Path, public_key: bytes, host_key: bytes) -> list[cpio.Entry]:
    """List the content of dom0's initramfs."""
    tools = [root / f"usr/lib/xen-{XEN}/bin/{name}" for name in XEN_TOOLS]
    others = [root / name for name in OTHER_TOOLS]
    modules = load_order(root)
    guest = ensure_image()
    files: dict[str, tuple[bytes, bool]] = {
        "init": (Path(__file__).with_name("dom0.sh").read_bytes(), True),
        "bin/busybox": (Path("/bin/busybox").read_bytes(), True),
        "root/.ssh/authorized_keys": (public_key, False),
        "etc/passwd": (b"root:*:0:0:root:/root:/bin/sh\nsshd:*:100:65534::/run/sshd:/bin/false\n", False),
        "etc/group": (b"root:x:0:\n", False),
        "etc/ssh/sshd_config": (SSHD_CONFIG, False),
        "etc/ssh/host_key": (host_key, False),
        "etc/shells": (b"/bin/sh\n", False),
        "etc/xen/xl.conf": (b"# all as it is by itself\n", False),
        "lib/modules/order": ("".join(f"{path.name}\n" for path in modules).encode(), False),
        "guests/vmlinuz": (guest.kernel.read_bytes(), False),
        "guests/initrd.gz": (guest.initrd.read_bytes() + power_off(), False),
        **{f"lib/modules/{path.name}": (path.read_bytes(), False) for path in modules},
        **{f"usr/lib/xen-{XEN}/bin/{path.name}": (path.read_bytes(), True) for path in tools},
        **{str(path.relative_to(root)): (path.read_bytes(), True) for path in others},
        **{name: (path.read_bytes(), True) for name, path in libraries(root, [*tools, *others]).items()},
    }
    folders = {"dev", "proc", "sys", "run", "tmp", "sbin", "var"}
    for name in files:
        folders.update(str(parent) for parent in Path(name).parents if str(parent) != ".")
    return [
        *(cpio.folder(name) for name in sorted(folders)),
        cpio.character_device("dev/console", 5, 1),
        *(cpio.file(name, data, executable=mode) for name, (data, mode) in files.items()),
    ]


def power_off() -> bytes:
    """Return an archive to append to the guest's: what its kernel runs when Xen asks it to shut down.

    (orderly_poweroff of Linux's kernel/reboot.c runs /sbin/poweroff, and gives up where there is none.)
    """
    out = io.BytesIO()
    script = b"#!/bin/busybox sh\nexec /bin/busybox poweroff -f\n"
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        cpio.write(packed, [cpio.folder("sbin"), cpio.file("sbin/poweroff", script, executable=True)])
    return out.getvalue()


def libraries(root: Path, programs: Iterable[Path]) -> dict[str, Path]:
    """Find the shared libraries of programs: name in the initramfs -> file, by asking the loader (ld.so(8))."""
    search = f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/xen-{XEN}/lib/x86_64-linux-gnu"
    found = {
        "lib64/ld-linux-x86-64.so.2": Path("/lib64/ld-linux-x86-64.so.2"),
        # glibc loads it when a thread is cancelled, which xl does at the end of a creation
        "lib/x86_64-linux-gnu/libgcc_s.so.1": Path("/lib/x86_64-linux-gnu/libgcc_s.so.1"),
    }
    for program in programs:
        out = subprocess.run(
            ["/lib64/ld-linux-x86-64.so.2", "--library-path", search, "--list", str(program)],
            capture_output=True, text=True, timeout=UNPACK_TIMEOUT_S,
        )  # fmt: skip
        if out.returncode or "not found" in out.stdout:
            raise ImageError(f"libraries of {program.name} are missing here: {out.stdout}{out.stderr}"[:500])
        for name, path in re.findall(r"(\S+) => (/\S+)", out.stdout):
            found[f"lib/x86_64-linux-gnu/{name}"] = Path(path)
    return found


def load_order(root: Path) -> list[Path]:
    """Give the modules we want, each after those it depends on (section .modinfo, "depends=a,b")."""
    known = {path.stem.replace("-", "_"): path for path in (root / "lib/modules").rglob("*.ko")}
    order: list[Path] = []

    def add(name: str) -> None:
        path = known[name.replace("-", "_")]
        if path in order:
            return
        match = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for needed in match[1].decode().split(",") if match else ():
            if needed:
                add(needed)
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def main() -> int:
    """Build the image and print its folder."""
    try:
        image = ensure_xen_image()
    except ImageError as error:
        print(f"no Xen image: {error}", file=sys.stderr)
        return 1
    print(image.xen.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
