"""The test guest boots for real, obeys its console and powers off on the power button."""

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.guest.image import PROMPT
from mechane.tests.support.procs import end

BOOT_TIMEOUT_S = 60.0


def read_until(pipe: int, wanted: bytes) -> bytes:
    """Read a console until it has shown `wanted`."""
    seen = b""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while wanted not in seen:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"{wanted!r} did not come, but: {seen!r}"
        chunk = os.read(pipe, 65536)
        assert chunk, f"QEMU ended before {wanted!r}: {seen!r}"
        seen += chunk
    return seen


@pytest.fixture(params=["pc", "q35"])
def guest(
    request: pytest.FixtureRequest, short_tmp: Path, guest_image: tuple[Path, Path]
) -> Iterator[subprocess.Popen[bytes]]:
    kernel, initrd = guest_image
    process = subprocess.Popen(
        ["qemu-system-x86_64", "-machine", f"{request.param},accel=tcg", "-m", "96", "-nodefaults"]
        + ["-display", "none", "-serial", "stdio", "-qmp", f"unix:{short_tmp}/qmp,server=on,wait=off"]
        + ["-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0 quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield process
        end(process)


@pytest.mark.qemu
@pytest.mark.timeout(180)  # the first run builds the image
def test_guest_boots_answers_and_powers_off(guest: subprocess.Popen[bytes], short_tmp: Path) -> None:
    assert guest.stdin
    assert guest.stdout
    read_until(guest.stdout.fileno(), PROMPT.encode())
    guest.stdin.write(b"echo $((6 * 7))\n")
    guest.stdin.flush()
    read_until(guest.stdout.fileno(), b"\r\n42\r\n")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(f"{short_tmp}/qmp")
        for command in ("qmp_capabilities", "system_powerdown"):
            monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")
        assert guest.wait(30) == 0
