"""A turnstile: a few at a time do work that would keep a loop busy, clients in turn.

Without it thousands of such calls become ready in the same turn of the loop, and neither timers nor
other clients get a chance before the last one is done. Loop's thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LONGEST_PAUSE_S = 0.1
"""After which the next one goes, whatever the one before cost."""


class Turnstile:
    """Lets one through in each turn of the loop; who waits goes client after client, each client's in their order."""

    def __init__(
        self, *, width: int = 1, share: float = 1.0, clock: Callable[[], float] = time.thread_time
    ) -> None:  # fmt: skip
        """Begin with nobody inside.

        Args:
            width: how many may be inside at the same time.
            share: of the thread's time that those inside may use; the next one waits for the rest.
            clock: the thread's own processor time, in seconds.
        """
        self._free = width
        self._share = share
        self._clock = clock
        self._lanes: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, client: int, cost_s: float = 0.0) -> AsyncIterator[None]:
        """Wait for a turn of this client (its number), and hold it for the block; cancelling ends the wait.

        Args:
            client: whose turn it is.
            cost_s: of the thread's time that the work costs at least: what is only begun inside costs later.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(client)
        began = self._clock()
        try:
            yield
        finally:
            self._leave(max(self._clock() - began, cost_s))

    def _leave(self, used_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._share >= 1:
            loop.call_soon(self._next)
        else:
            loop.call_later(min(used_s * (1 / self._share - 1), LONGEST_PAUSE_S), self._next)

    async def _wait(self, client: int) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(client, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was our turn at that very moment
                self._next()
            raise

    def _next(self) -> None:
        while self._lanes:
            client = next(iter(self._lanes))
            lane = self._lanes.pop(client)
            while lane:
                first = lane.popleft()
                if not first.done():
                    if lane:
                        self._lanes[client] = lane  # behind all others
                    first.set_result(None)
                    return
        self._free += 1
