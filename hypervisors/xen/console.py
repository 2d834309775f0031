"""A guest's console: `xl console` on a pseudo terminal of ours, here or over SSH."""

from __future__ import annotations

import os
import signal
import subprocess
import tty
from collections.abc import Sequence
from contextlib import suppress

from ...config.errors import NotFound, OperationFailed
from ..abilities import ConsoleChannel
from ..tooling.run import environment, missing

DEFAULT_DEVICE = "console0"


def console_options(device: str | None, name: str) -> list[str]:
    """Return the options of `xl console` for a device: console0 (PV), serial0 and further (HVM).

    Raises: NotFound for another name.
    """
    if device is None:
        return []
    kind, number = device.rstrip("0123456789"), device[len(device.rstrip("0123456789")) :]
    types = {"console": "pv", "serial": "serial"}
    if kind not in types or not number:
        raise NotFound(
            f"{name} has no console device {device!r}", remedy="use console0, or serial0 for a HVM guest's serial port",
            path="params.device", allowed=["console0", "serial0"],
        )  # fmt: skip
    return ["-t", types[kind], "-n", number]


def open_channel(argv: Sequence[str], device: str) -> ConsoleChannel:
    """Start a console program on a pseudo terminal; returns its other end, which does not block.

    The terminal is raw, so that nothing is echoed or translated on the way.  Blocks for a fork only.
    """
    ours, theirs = os.openpty()
    try:
        tty.setraw(theirs)
        process = subprocess.Popen(
            list(argv), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment({"TERM": "dumb"}),
            cwd="/", start_new_session=True, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        os.close(ours)
        raise (
            missing(argv[0]) if isinstance(error, FileNotFoundError)
            else OperationFailed(f"cannot execute {argv[0]}: {error}", remedy="look at its permissions")
        ) from error  # fmt: skip
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)

    def close() -> None:
        with suppress(OSError):  # closed before
            os.close(ours)
        end(process)

    return ConsoleChannel(device=device, fd=ours, close=close)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its group, and take its status without waiting for long."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):  # it ended just now
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # in the kernel: the next child's end reaps it
            process.wait(0.5)
