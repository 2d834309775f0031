"""Fault points for kill tests: MECHANE_FAULT="point[:n]" ends the node with SIGKILL there.

Points: before_spawn, after_spawn, before_commit, after_commit, before_reply; `n` counts
how often the point is passed before (1 by default: the first time).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping

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


def or_nothing(fault: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return a callable in any case."""
    return fault or _nothing
