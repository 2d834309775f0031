"""A guest's serial port: the B side of its null modem device (nmdm(4)), here or over SSH.

A small script on the host opens the device, makes it raw and carries bytes both ways; its other end is a socket, not a
terminal, so that nothing is echoed, translated or taken for an escape on the way (cu(1) would take `~.`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...config.domain.domain import Domain
from ...config.errors import DeadlineExceeded, NotFound, OperationFailed
from ..abilities import ConsoleChannel
from ..tooling.run import environment, missing
from ..tooling.terminal import end

CARRY = """exec 2>&1
[ -c "$1" ] || { echo "$1 is no device"; exit 1; }
exec 3<>"$1" || exit 1
stty raw -echo <&3 || exit 1
echo ready
exec 2>/dev/null
cat <&3 & r=$!
cat >&3
kill $r"""
"""Carries bytes between its standard input and output and device $1; says `ready`, or why it cannot."""
READY = b"ready"
LONGEST_LINE = 500
STEP_S = 0.01


def serial_port(domain: Domain, device: str | None) -> tuple[str, str]:
    """Return the name of a serial port and the host's side of it.

    Args:
        domain: the definition that runs.
        device: serial0, com1 or an alias; the first one with a side for the host where None.

    Raises:
        NotFound: there is none.
    """
    for at, serial in enumerate(domain.devices.serials):
        port = serial.target.port if serial.target.port is not None else at
        alias = serial.alias.name if serial.given("alias") else ""
        slave = serial.source.slave if serial.type == "nmdm" else None
        if slave and device in (None, f"serial{port}", f"com{port + 1}", alias or None):
            return f"serial{port}", slave
    raise NotFound(f"{domain.name} has no serial port {device or 'that the host can reach'}", path="params.device",
                   remedy="give it a <serial type='nmdm'> with master and slave")  # fmt: skip


async def open_channel(
    argv: Sequence[str], device: str, deadline_s: float
) -> tuple[ConsoleChannel, Callable[[], None]]:
    """Start the script; return our end of it once it carries bytes, and what ends it from afar. Loop's thread.

    Args:
        argv: the command line that runs `CARRY`, here or over SSH.
        device: how the channel is called.
        deadline_s: seconds that it may take to be ready.

    Raises:
        OperationFailed: the device cannot be opened.
        DeadlineExceeded: it hangs; it was killed.
    """
    fd, process = _spawn(argv)

    def close() -> None:
        with suppress(OSError):  # closed before
            os.close(fd)
        end(process)

    channel = ConsoleChannel(device=device, fd=fd, close=close)
    try:
        async with asyncio.timeout(deadline_s):
            said = await _line(fd)
    except BaseException as error:
        channel.close()
        if isinstance(error, TimeoutError):
            raise DeadlineExceeded(f"{device} did not open within {deadline_s:g} s", remedy="look at the host",
                                   command="open_console", still_running=False) from None  # fmt: skip
        raise
    if said != READY:
        channel.close()
        why = said.decode(errors="replace").strip() or "it said nothing"
        raise OperationFailed(f"{device} cannot be opened: {why}", remedy="look at the device on the host")
    return channel, lambda: end(process)


def _spawn(argv: Sequence[str]) -> tuple[int, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            list(argv), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL, env=environment(),
            cwd="/", start_new_session=True, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        raise missing(argv[0]) from error
    finally:
        theirs.close()
    ours.setblocking(False)
    return ours.detach(), process


async def _line(fd: int) -> bytes:
    """Return the first line, byte by byte: what follows is the guest's."""
    said = bytearray()
    while len(said) < LONGEST_LINE:
        try:
            byte = os.read(fd, 1)
        except BlockingIOError:
            await asyncio.sleep(STEP_S)
            continue
        if byte in (b"", b"\n"):
            break
        said += byte
    return bytes(said)
