"""Pseudo terminals of ours: with lxc-console on them, which carries a container's console, or with lxc-attach."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ...config.errors import DeadlineExceeded, NotFound, OperationFailed
from ..abilities import ConsoleChannel
from ..tooling.run import environment, missing

LOCAL_MODES = 3
"""Index of the local modes in what tcgetattr returns."""
STEP_S = 0.01
CONTROLLING = ("setsid", "--ctty")
"""setsid(1): makes what is on standard input the controlling terminal, which only a child can do."""
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


async def open_console(argv: Sequence[str], device: str, deadline_s: float) -> ConsoleChannel:
    """Start lxc-console on a new terminal and return our end of it. Loop's thread.

    Args:
        argv: lxc-console and its arguments.
        device: how the console is called.
        deadline_s: seconds that it may take.

    Raises:
        OperationFailed: it ended instead, or is not installed.
        DeadlineExceeded: it hangs; it was killed.
    """
    channel, process = await open_terminal(argv, device, deadline_s)
    if process.poll() is not None:
        said = _said(channel.fd)
        channel.close()
        raise OperationFailed(f"no console {device}: {said}", remedy="is the container running?")
    return channel


async def open_terminal(
    argv: Sequence[str], device: str, deadline_s: float, size: tuple[int, int] = (24, 80), *, controlling: bool = False
) -> tuple[ConsoleChannel, subprocess.Popen[bytes]]:
    """Start a tool of LXC's on a new terminal, and return our end of it and the tool.

    lxc-console drops what is typed before it has set up its terminal, and lxc-attach would have it shown twice, so
    this waits for that, or for the tool's end.

    Args:
        argv: the tool and its arguments.
        device: how the channel is called.
        deadline_s: seconds that it may take.
        size: rows and columns.
        controlling: whether it needs the terminal as its controlling one, as lxc-attach does to carry bytes.

    Raises:
        OperationFailed: it is not installed.
        DeadlineExceeded: it hangs; it was killed.
    """
    loop = asyncio.get_running_loop()
    ours, process = _spawn([*CONTROLLING, *argv] if controlling else argv, size, leader=not controlling)
    channel = ConsoleChannel(device=device, fd=ours, close=_closer(ours, process))
    pidfd = os.pidfd_open(process.pid)
    loop.add_reader(pidfd, _reap, loop, pidfd, process)
    try:
        async with asyncio.timeout(deadline_s):
            while process.poll() is None and termios.tcgetattr(ours)[LOCAL_MODES] & termios.ICANON:
                await asyncio.sleep(STEP_S)
    except BaseException as error:
        channel.close()
        if isinstance(error, TimeoutError):
            tool = Path(argv[0]).name
            raise DeadlineExceeded(
                f"{tool} did not open {device} within {deadline_s:g} s", remedy="destroy the container or wait",
                command=tool, still_running=False,
            ) from None  # fmt: skip
        raise
    return channel, process


def _spawn(argv: Sequence[str], size: tuple[int, int], *, leader: bool) -> tuple[int, subprocess.Popen[bytes]]:
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, size)
        process = subprocess.Popen(
            list(argv), stdin=theirs, stdout=theirs, stderr=theirs, env=environment({"TERM": "vt100"}), cwd="/",
            start_new_session=leader, close_fds=True,
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
    return ours, process


def _said(fd: int) -> str:
    with suppress(OSError):  # nothing
        return os.read(fd, 2000).decode(errors="replace").strip()[-300:]
    return "it said nothing"


def _reap(loop: asyncio.AbstractEventLoop, pidfd: int, process: subprocess.Popen[bytes]) -> None:
    loop.remove_reader(pidfd)
    os.close(pidfd)
    process.poll()


def _closer(fd: int, process: subprocess.Popen[bytes]) -> Callable[[], None]:
    closed = False

    def close() -> None:
        nonlocal closed
        if closed:
            return
        closed = True
        os.close(fd)
        if process.returncode is None:
            process.kill()  # also where it leads no group of its own yet
            with suppress(ProcessLookupError, PermissionError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)

    return close
