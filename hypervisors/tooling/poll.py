"""A poller that looks often while guests are active and costs next to nothing while none is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

ACTIVE_S = 1.0
"""Seconds between looks after something changed, while a guest is active."""
CALM_S = 5.0
"""The interval grows to this while guests are active and nothing changes."""
IDLE_S = 30.0
"""The interval while no guest is active: only to notice guests started by hand."""
GROWTH = 1.5


class Poller:
    """Calls `look` in growing intervals; `kick` makes it look at once. Loop's thread only.

    Args:
        look: looks at the hypervisor and says whether anything changed; must not raise.
        active: says whether any guest is active.
    """

    def __init__(
        self, look: Callable[[], Awaitable[bool]], active: Callable[[], bool], *, active_s: float = ACTIVE_S,
        calm_s: float = CALM_S, idle_s: float = IDLE_S,
    ) -> None:  # fmt: skip
        self._look = look
        self._active = active
        self._bounds = (active_s, calm_s, idle_s)
        self._interval_s = active_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go())

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def kick(self) -> None:
        """Look now, and often for a while."""
        self._interval_s = self._bounds[0]
        self._wake.set()

    def interval_s(self) -> float:
        """Return the seconds until the next look where nothing is kicked."""
        return self._interval_s if self._active() else self._bounds[2]

    async def _go(self) -> None:
        active_s, calm_s, _ = self._bounds
        while True:
            try:
                async with asyncio.timeout(self.interval_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass  # nobody kicked: the ordinary look
            self._wake.clear()
            changed = await self._look()
            self._interval_s = active_s if changed else min(self._interval_s * GROWTH, calm_s)
