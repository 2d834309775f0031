"""Waits for descriptors, and for a moment without sleeping while a client asks again and again.

To be woken on a processor that has gone idle costs 20 to 30 us in a virtual machine (measured), half of what a call
answered from memory takes in all. So after several waits that one and the same client ended, as soon as it could ask
its next question, the next wait looks again and again for `LOOK_S` before it sleeps. Where that was in vain, it takes
ever more short waits before it is tried again: on a busy machine, or one with a single processor, next to nothing is
spent.

Guarantees: events are given as epoll gives them; a look holds the GIL for no longer than one system call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

LOOK_S = 60e-6
"""How long one looks: a client's way to its next question takes 40 us (measured)."""
SHORT_S = 100e-6
"""A wait that such a client ends: its way, and to be woken."""
FEWEST, MOST = 4, 1 << 16
"""Short waits one after the other before it is tried: at first, and after many tries in vain."""


Ready = list[tuple[int, int]]


class Pollable(Protocol):
    """What is used of select.epoll."""

    def poll(self, timeout: float, maxevents: int, /) -> Ready: ...


class Poller:
    """Polls one epoll; the loop's thread only."""

    __slots__ = ("_clock", "_needed", "_only", "_poll", "_short")

    def __init__(
        self, epoll: Pollable, processors: int | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Take an epoll.

        Args:
            epoll: what is polled.
            processors: of the host; None: those that this process may use.
            clock: seconds, of a fine clock.
        """
        self._clock = clock
        self._poll = epoll.poll
        self._short = 0
        self._only = -1
        many = (processors or len(os.sched_getaffinity(0))) > 1
        self._needed = FEWEST if many else 0

    def poll(self, timeout_s: float, most: int) -> Ready:
        """Return what is ready, waiting for at most `timeout_s` seconds; see the module."""
        if not self._needed or timeout_s < LOOK_S:
            return self._poll(timeout_s, most)
        began = self._clock()
        if self._short >= self._needed:
            until = began + LOOK_S
            while self._clock() < until:
                found = self._poll(0, most)
                if found:
                    self._needed = max(self._needed // 2, FEWEST)
                    self._note(found, short=True)
                    return found
            self._short, self._needed = 0, min(self._needed * 2, MOST)
        found = self._poll(timeout_s, most)
        self._note(found, short=self._clock() - began < SHORT_S)
        return found

    def _note(self, found: Ready, *, short: bool) -> None:
        """Count short waits that one and the same descriptor ended: several clients need the processors themselves."""
        alone = len(found) == 1 and found[0][0] == self._only
        self._short = self._short + 1 if short and alone else 0
        self._only = found[0][0] if len(found) == 1 else -1
