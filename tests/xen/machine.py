"""A machine that runs Xen: QEMU under TCG with the image of image.py, reached over SSH on the loopback only."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.guest.image import ImageError
from mechane.tests.support.procs import end
from mechane.tests.support.wait import wait_until
from mechane.tests.xen.image import XenImage

MEMORY_MIB, DOM0_MIB = 1536, 640
BOOT_TIMEOUT_S = 400.0
READY = "dom0: ready"
QEMU = "qemu-system-x86_64"
LAST_WORDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class XenMachine:
    """A machine that runs."""

    uri: str
    key: Path
    port: int
    known_hosts: Path
    boot_s: float

    def run(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run something in dom0 behind the driver's back; returns both of its outputs."""
        done = subprocess.run(
            ["ssh", "-T", "-i", str(self.key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "LogLevel=ERROR", "-p", str(self.port),
             "root@127.0.0.1", "--", *words],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s,
        )  # fmt: skip
        return (done.stdout + done.stderr).decode(errors="replace")


@contextlib.contextmanager
def xen_machine(image: XenImage, folder: Path) -> Iterator[XenMachine]:
    """Boot the machine, wait until its dom0 offers SSH, and end it with the block.

    Raises: ImageError with the last lines of its console when it does not come up.
    """
    log, port, began = folder / "console", free_port(), time.monotonic()
    argv = [
        QEMU, "-name", str(folder), "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none",
        "-machine", "pc,accel=tcg", "-cpu", "qemu64,+svm,+npt", "-smp", "2", "-m", str(MEMORY_MIB), "-no-reboot",
        "-kernel", str(image.xen), "-initrd", f"{image.kernel} console=hvc0 quiet,{image.initrd}",
        "-append", f"console=com1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1 noreboot",
        "-serial", f"file:{log}", "-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "e1000,netdev=n",
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        def ready() -> bool:
            if process.poll() is not None:
                said = process.stderr.read().decode(errors="replace") if process.stderr else ""
                raise ImageError(f"the machine ended: {said[-500:]} {last_words(log)}")
            return READY in read(log)

        try:
            wait_until(ready, BOOT_TIMEOUT_S, "dom0")
        except AssertionError as error:
            raise ImageError(f"dom0 did not come up within {BOOT_TIMEOUT_S} s: {last_words(log)}") from error
        hosts = folder / "known_hosts"
        uri = f"xen+ssh://root@127.0.0.1:{port}/system?keyfile={image.key}&no_verify=1&known_hosts={hosts}"
        yield XenMachine(uri=uri, key=image.key, port=port, known_hosts=hosts, boot_s=time.monotonic() - began)
    finally:
        end(process)
        if process.stderr is not None:
            process.stderr.close()


def read(path: Path) -> str:
    """Return a file's text, '' where there is none yet."""
    return path.read_text(errors="replace") if path.exists() else ""


def last_words(log: Path) -> str:
    """Return the last lines of the console."""
    return "\n".join(read(log).splitlines()[-LAST_WORDS:])


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
