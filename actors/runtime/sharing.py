"""One answer for all who ask the same at the same time.

Guarantees: a question runs once, however many ask it; whoever waits may leave at any moment, and the question runs on
for the others; its own deadlines end it. Everything belongs to one loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from ...config.errors import Busy

MOST = 32
"""Different questions at once."""


class Sharing:
    """The questions of one connection that are under way."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, what: Hashable, question: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return the answer to a question, which begins unless somebody has just asked the same.

        Args:
            what: names it.
            question: begins it.

        Raises:
            Busy: too many different ones are under way.
        """
        task = self._asked.get(what)
        if task is None:
            if len(self._asked) >= MOST:
                raise Busy("too many different questions are being answered", remedy="try again", what="probes",
                           limit=MOST)  # fmt: skip
            task = self._asked[what] = asyncio.ensure_future(question())
            task.add_done_callback(lambda done: self._answered(what, done))
        return await asyncio.shield(task)

    def _answered(self, what: Hashable, task: asyncio.Task[Any]) -> None:
        del self._asked[what]
        if not task.cancelled():
            task.exception()  # whoever asked has it; where all have left it is nobody's

    def close(self) -> None:
        """Give up on what is under way."""
        for task in self._asked.values():
            task.cancel()
