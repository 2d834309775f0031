"""Guards that hold the rule "HIGH waits for nothing" at run time.

Guarantees: while a thread is inside `waits_for_nothing`, each function of mechane that
would wait for something outside memory calls `about_to_wait` first and gets `RuntimeError`;
that a HIGH handler took longer than `SLOW_HIGH_S` is counted and logged. A blocking ask
from inside an event loop is refused the same way, because it would starve the loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SLOW_HIGH_S = 0.005
"""A HIGH handler above this is a defect (DESIGN.md, the GIL)."""

_log = logging.getLogger("mechane.guards")


class _Marks(threading.local):
    high: str = ""
    loop: str = ""


_marks = _Marks()


@contextmanager
def waits_for_nothing(what: str) -> Iterator[None]:
    """Mark this thread as running a HIGH call until the block ends."""
    before, _marks.high = _marks.high, what
    try:
        yield
    finally:
        _marks.high = before


def mark_loop_thread(name: str) -> None:
    """Mark this thread as an event loop's own for the rest of its life."""
    _marks.loop = name


def about_to_wait(what: str) -> None:
    """Say that this thread is about to wait for `what`.

    Raises:
        RuntimeError: the thread runs a HIGH call or an event loop.
    """
    if _marks.high:
        raise RuntimeError(f"HIGH call {_marks.high} must not wait for {what}")
    if _marks.loop:
        raise RuntimeError(f"event loop {_marks.loop} must not block on {what}")


class SlowHighCount:
    """Counts HIGH handlers that took too long; read by node.get_health."""

    __slots__ = ("count", "last", "limit_s")

    def __init__(self, limit_s: float = SLOW_HIGH_S) -> None:
        self.limit_s = limit_s
        self.count = 0
        self.last = ""

    def note(self, name: str, took_s: float) -> None:
        """Count and log one slow HIGH call."""
        self.count += 1
        self.last = f"{name} took {took_s * 1000:.1f} ms"
        if self.count <= 10 or self.count % 100 == 0:
            _log.warning("HIGH call %s (%d so far)", self.last, self.count)
