"""A console program on a pseudo terminal of ours, here or over SSH."""

from __future__ import annotations

import os
import signal
import subprocess
import tty
from collections.abc import Sequence
from contextlib import suppress

from ...config.errors import OperationFailed
from ..abilities import ConsoleChannel
from .run import environment, missing


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
