"""A look, once a second, at whatever must not go on for too long.

Why not a timer for each: a timer holds on to what it is for until it is due, so clients
that come and go quickly would pile up in memory behind deadlines that no longer matter.
"""

from __future__ import annotations

from typing import Protocol

from .loop import Loop

INTERVAL_S = 1.0


class Watched(Protocol):
    """Something with a deadline."""

    def look(self, now: float) -> bool:
        """Act when it is too late; return whether to look again. `now` is the loop's clock."""
        ...


class Sweep:
    """Gateway thread only."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._watched: dict[Watched, None] = {}
        self._running = False

    def add(self, thing: Watched) -> None:
        """Look at something from now on, until its `look` says no."""
        self._watched[thing] = None
        if not self._running:
            self._running = True
            self._loop.later(INTERVAL_S, self._run)

    def discard(self, thing: Watched) -> None:
        """Look at it no longer."""
        self._watched.pop(thing, None)

    def _run(self) -> None:
        self._running = False
        now = self._loop.clock()
        for thing in list(self._watched):
            if thing in self._watched and not thing.look(now):
                self._watched.pop(thing, None)
        if self._watched and not self._running:
            self._running = True
            self._loop.later(INTERVAL_S, self._run)
