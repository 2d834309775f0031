"""A container's console: lxc-console on a pseudo terminal of ours."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...config.errors import NotFound
from ..abilities import ConsoleChannel
from ..tooling.run import environment, missing

DEVICES = ("console0", "lxc/console", "console")
"""Names of the container's /dev/console; tty1 and on are those of lxc.tty.max."""


def terminal_of(device: str | None, name: str) -> int:
    """Return LXC's number of a device: 0 for the console, n for ttyn.

    Raises:
        NotFound: no such device.
    """
    if device is None or device in DEVICES:
        return 0
    for start in ("tty", "console"):
        rest = device.removeprefix(start)
        if rest != device and rest.isdigit() and int(rest) < 1000:
            return int(rest)
    raise NotFound(f"container {name} has no console {device}", remedy="use console0 or tty1, tty2, …",
                   path="params.device")  # fmt: skip


def open_console(
    argv: Sequence[str], device: str, loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]
) -> ConsoleChannel:
    """Start lxc-console on a new terminal and return our end of it. Loop's thread.

    Args:
        argv: lxc-console and its arguments.
        device: how the console is called.
        loop: reaps the process.
        on_end: called once when the process ended.
    """
    ours, theirs = pty.openpty()
    try:
        tty.setraw(theirs)
        # the guest's terminal echoes; ours only carries
        termios.tcsetwinsize(theirs, (24, 80))
        process = subprocess.Popen(
            list(argv), stdin=theirs, stdout=theirs, stderr=theirs, env=environment({"TERM": "vt100"}), cwd="/",
            start_new_session=True, close_fds=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        os.close(ours)
        raise missing(argv[0]) from error
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    pidfd = os.pidfd_open(process.pid)

    def ended() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        process.poll()
        on_end()

    loop.add_reader(pidfd, ended)
    return ConsoleChannel(device=device, fd=ours, close=_closer(ours, process))


def _closer(fd: int, process: subprocess.Popen[bytes]) -> Callable[[], None]:
    closed = False

    def close() -> None:
        nonlocal closed
        if closed:
            return
        closed = True
        os.close(fd)
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)

    return close
