"""A turnstile: one at a time does work that would keep a loop busy, clients in turn.

Without it thousands of such calls become ready in the same turn of the loop, and neither timers nor
other clients get a chance before the last one is done. Loop's thread only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turnstile:
    """Lets one through in each turn of the loop; who waits goes client after client, each client's in their order."""

    def __init__(self) -> None:
        self._taken = False
        self._lanes: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, client: int) -> AsyncIterator[None]:
        """Wait for a turn of this client (its number), and hold it for the block; cancelling ends the wait."""
        if self._taken:
            await self._wait(client)
        self._taken = True
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._next)

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
        self._taken = False
