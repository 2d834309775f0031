"""The node's events, for asyncio: an async iterator that survives the loss of its connection.

The same rules as `events`: resumed from the cursor of the last event delivered, gaps said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import ConnectionLost, DeadlineExceeded, OutcomeUnknown
from .aio_link import AsyncLink
from .events import FIRST_PAUSE_S, LONGEST_PAUSE_S, MOST_WAITING
from .link import LinkLostError
from .waiters import Sink, Waiter

if TYPE_CHECKING:
    from ..records import Event


class AsyncSubscriber(Protocol):
    """What an event stream needs of its client."""

    async def open(
        self,
        method: str,
        params: dict[str, Any],
        key: str,
        make: Callable[[AsyncLink], Sink],
        deadline_s: float | None,
    ) -> tuple[Any, Sink]:
        """Call `method`, whose answer opens something numbered under `key`."""


class _Arrivals:
    """The events of one subscription on one connection."""

    def __init__(self, link: AsyncLink) -> None:
        self.link = link
        self.events: deque[Event] = deque()
        self.broken = False
        self.changed = asyncio.Event()

    def notify(self, kind: str, params: dict[str, Any]) -> None:
        """Take an event; too many break the subscription."""
        if kind != "event" or self.broken:
            return
        if len(self.events) >= MOST_WAITING:
            self.broken = True
        else:
            self.events.append(params)  # type: ignore[arg-type]  # the wire's map is the record
        self.changed.set()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        self.broken = True
        self.changed.set()


class AsyncEventStream:
    """Iterate over events as they happen; for one task.

    `cursor` is that of the last event delivered: keep it to resume later with `since`.
    """

    def __init__(
        self,
        client: AsyncSubscriber,
        params: dict[str, Any],
        timeout_s: float | None,
        patience_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.cursor: str | None = params.get("since")
        self.gap: dict[str, Any] | None = None
        self._client = client
        self._params = params
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._sleep = sleep
        self._arrivals: _Arrivals | None = None
        self._number = 0
        self._closed = False
        self._began = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.next(self._timeout_s)
        except DeadlineExceeded:
            raise StopAsyncIteration from None

    async def start(self) -> None:
        """Subscribe now; otherwise the first `next` does.

        Raises: as any call.
        """
        if not self._began:
            await self._subscribe()
            self._began = True

    async def next(self, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Args:
            timeout_s: seconds to wait; for ever when left out.

        Raises:
            DeadlineExceeded: none came in time.
            ConnectionLost: the node could not be reached again within `patience_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._next()
        except TimeoutError as error:
            raise DeadlineExceeded(f"no event within {timeout_s} s") from error

    async def close(self) -> None:
        """End the subscription."""
        self._closed = True
        self._drop()

    async def __aenter__(self) -> AsyncEventStream:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _next(self) -> Event:
        await self.start()
        while not self._closed:
            arrivals = self._arrivals
            if arrivals is None:
                await self._resubscribe()
            elif arrivals.events:
                event = arrivals.events.popleft()
                self.cursor = event["cursor"]
                return event
            elif arrivals.broken:
                self._drop()
            else:
                arrivals.changed.clear()
                await arrivals.changed.wait()
        raise StopAsyncIteration

    def _drop(self) -> None:
        """Leave the subscription, if its connection still stands."""
        arrivals, self._arrivals = self._arrivals, None
        if arrivals is None:
            return
        arrivals.broken = True
        arrivals.changed.set()
        arrivals.link.sinks.remove(("subscription", self._number))
        with contextlib.suppress(LinkLostError):  # then the node has dropped it already
            arrivals.link.post("events.unsubscribe", {"subscription": self._number}, Waiter())

    async def _subscribe(self) -> None:
        params = dict(self._params)
        if self.cursor is not None:
            params["since"] = self.cursor
        answer, sink = await self._client.open("events.subscribe", params, "subscription", _Arrivals, None)
        assert isinstance(sink, _Arrivals)
        self._arrivals = sink
        self._number = answer["subscription"]
        self.gap = answer.get("gap")
        if self.cursor is None:
            self.cursor = answer["cursor"]

    async def _resubscribe(self) -> None:
        """Subscribe again from the cursor, trying for `patience_s`."""
        give_up = asyncio.get_running_loop().time() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._subscribe()
            except (ConnectionLost, OutcomeUnknown):
                if asyncio.get_running_loop().time() + pause_s >= give_up:
                    raise
            await self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
