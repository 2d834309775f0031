"""Waiting in tests: poll a condition under a deadline, the only place of the suite that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.05


def wait_until(condition: Callable[[], T], timeout_s: float = 10, what: str = "") -> T:
    """Return the first true value of `condition`, asked again and again for at most `timeout_s`.

    The pauses grow from 1 ms to 50 ms, so that short waits stay short.  Runs on the caller's thread.
    `what` names the awaited thing in the failure.

    Raises: AssertionError when the deadline passes; whatever `condition` raises goes through.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            awaited = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{awaited} did not come true within {timeout_s} s; last value: {value!r}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
