"""Requests to a guest that a tool waits for as long as the guest takes: a soft stop, a soft reset."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import Callable, Coroutine
from typing import Any

from ...config.errors import DeadlineExceeded, OperationFailed
from ..contract import DriverEnv
from .watching import ToolWatcher

ASK_S = 1.0
"""Seconds in which a request may be refused at once: no guest tools, not running."""


class SoftAsking(ToolWatcher, ABC):
    """Begins such a request and waits only as long as it may be refused. Loop's thread."""

    def __init__(self, env: DriverEnv, **clocks: Callable[[], float]) -> None:
        super().__init__(env, **clocks)
        self._asked: set[asyncio.Task[None]] = set()

    async def ask_softly(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a request, which goes on by itself after `ASK_S`.

        Args:
            work: runs the tool by `host.run`, not by `tool`: a guest that takes its time is no tool that hangs.

        Raises:
            MechaneError: it was refused in that time.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._asked.add(task)
        task.add_done_callback(self._settled)
        await asyncio.wait({task}, timeout=ASK_S)
        if task.done():
            task.result()

    async def forget_asked(self) -> None:
        """Let go of requests under way; what runs in the product runs on."""
        for task in self._asked:
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._asked.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), OperationFailed | DeadlineExceeded):
            self._listing.warn(f"a soft stop or reset came to nothing: {error}")
