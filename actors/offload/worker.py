"""The worker process: runs one pure function after the other until its node is gone.

Guarantees: it has no descriptor of the node but its socket, stderr and /dev/null; memory is limited
(RLIMIT_AS), so is what it writes (RLIMIT_FSIZE); a function that outlives its deadline is ended by the
kernel (SIGALRM, default action), also when the node is gone and cannot kill it; end of file on the socket
ends the process. Functions outside the allowed prefixes are refused.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from ...config.errors import MechaneError
from .frames import FrameReader, frame

ALARM_SLACK_S = 1.0
"""The node ends a late worker first; the alarm is for a worker whose node is gone."""
WRITES_BYTES = 1024 * 1024
OOM_SCORE = "500"
"""The kernel takes workers before guests and node when memory ends (proc(5), oom_score_adj)."""


class Kind(IntEnum):
    """What an answer is."""

    RESULT = 0
    ERROR = 1
    BUG = 2
    OUT_OF_MEMORY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the node tells a new worker."""

    memory_bytes: int
    nice: int
    prefixes: tuple[str, ...]
    path: list[str] = field(default_factory=list)
    modules: tuple[str, ...] = ()


def main(fd: int) -> None:
    """Serve the node at the other end of `fd`; returns when that end is closed."""
    sock = socket.socket(fileno=fd)
    reader = FrameReader(sock)
    with contextlib.suppress(EOFError, ConnectionError):  # the node is gone: so are we
        setup: Setup = reader.receive()
        prepare(setup)
        functions: dict[str, Callable[..., Any]] = {}
        sock.sendall(frame((Kind.RESULT, os.getpid())))
        while True:
            name, args, deadline_s = reader.receive()
            sock.sendall(answer(functions, setup.prefixes, name, args, deadline_s))


def prepare(setup: Setup) -> None:
    """Set limits, then import what will be needed."""
    resource.setrlimit(resource.RLIMIT_AS, (setup.memory_bytes, setup.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITES_BYTES, WRITES_BYTES))
    with contextlib.suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, setup.nice)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.path[:] = setup.path
    for module in setup.modules:
        importlib.import_module(module)


def answer(
    functions: dict[str, Callable[..., Any]],
    prefixes: tuple[str, ...],
    name: str,
    args: tuple[Any, ...],
    deadline_s: float,
) -> bytes:
    """Run one function and return the frame that answers."""
    signal.setitimer(signal.ITIMER_REAL, deadline_s + ALARM_SLACK_S)
    try:
        function = functions.get(name)
        if function is None:
            function = functions[name] = find(name, prefixes)
        return frame((Kind.RESULT, function(*args)))
    except MechaneError as error:
        return error_frame(error)
    except MemoryError:
        return frame((Kind.OUT_OF_MEMORY, ""))
    except Exception as bug:  # noqa: BLE001 - the edge of the worker: the node logs it
        return bug_frame(bug)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def find(name: str, prefixes: tuple[str, ...]) -> Callable[..., Any]:
    """Return the function "module:qualname".

    Raises: PermissionError outside the allowed prefixes, ImportError, AttributeError.
    """
    module, _, qualname = name.partition(":")
    if not allowed(module, prefixes):
        raise PermissionError(f"{name} is not among {prefixes}")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{name} is no function")
    return found  # type: ignore[no-any-return]  # callable() narrows Any to an unknown signature


def allowed(module: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether a module is one of the prefixes or below one."""
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def error_frame(error: MechaneError) -> bytes:
    """Return an error as itself; details that cannot travel become text."""
    try:
        return frame((Kind.ERROR, error))
    except Exception:  # noqa: BLE001 - pickle raises anything
        error.details = {key: str(value) for key, value in error.details.items()}
        return frame((Kind.ERROR, error))


def bug_frame(bug: Exception) -> bytes:
    """Return what the node logs of an exception that is no answer."""
    return frame((Kind.BUG, (repr(bug), "".join(traceback.format_exception(bug)))))
