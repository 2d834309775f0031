"""Wait for what QEMU does by itself: a migration or a job. Loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..guest import Guest


class Follower:
    """Notes the last word that events of one kind said."""

    def __init__(self, event: str, field: str, match: Callable[[Mapping[str, Any]], bool]) -> None:
        self.status = ""
        self._event = event
        self._field = field
        self._match = match
        self._news = asyncio.Event()

    def __call__(self, name: str, data: Mapping[str, Any]) -> None:
        """Take an event of QEMU."""
        if name == self._event and self._match(data):
            self.status = str(data.get(self._field, ""))
            self._news.set()

    async def news(self, timeout_s: float) -> None:
        """Wait until there is news, or for so many seconds."""
        waiting = asyncio.ensure_future(self._news.wait())
        await asyncio.wait([waiting], timeout=timeout_s)
        waiting.cancel()
        self._news.clear()


@contextmanager
def follow(guest: Guest, follower: Follower) -> Iterator[Follower]:
    """Have a follower told of a guest's events while the block runs."""
    guest.followers.append(follower)
    try:
        yield follower
    finally:
        guest.followers.remove(follower)
