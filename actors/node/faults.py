"""Fault points for kill tests: MECHANE_FAULT="point[:n]" ends the node with SIGKILL there.

Points: before_spawn, after_spawn, before_commit, after_commit, before_reply; `n` counts
how often the point is passed before (1 by default: the first time). "fail_commit:n[:m]" ends nothing: the n-th
commit and the m - 1 after it fail, as on a disk that cannot be written.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Mapping

FAIL = "fail_commit"
POINTS = ("before_spawn", "after_spawn", "before_commit", "after_commit", "before_reply")


def _nothing(point: str) -> None:
    return None


def fault_of(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    """Return what is called at each point, or None when no fault is wanted.

    Raises:
        ValueError: an unknown point.
    """
    wanted = environ.get("MECHANE_FAULT", "")
    if not wanted:
        return None
    point, _, count = wanted.partition(":")
    if point == FAIL:
        return _failing(count)
    if point not in POINTS:
        raise ValueError(f"MECHANE_FAULT: {point!r} is no fault point; use one of {', '.join(POINTS)}")
    left = int(count or 1)
    lock = threading.Lock()

    def fault(passed: str) -> None:
        nonlocal left
        if passed != point:
            return
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return fault


def _failing(which: str) -> Callable[[str], None]:
    """Return what makes commits fail; store thread."""
    first, _, many = which.partition(":")
    doomed = range(int(first or 1), int(first or 1) + int(many or 1))
    passed = itertools.count(1)

    def fault(point: str) -> None:
        if point == "before_commit" and next(passed) in doomed:
            raise sqlite3.OperationalError("disk I/O error, as MECHANE_FAULT asks for")

    return fault


def or_nothing(fault: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return a callable in any case."""
    return fault or _nothing
