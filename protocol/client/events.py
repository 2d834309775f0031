"""The node's events, for threads: an iterator that survives the loss of its connection.

Nothing is read ahead without bound: what its user does not take stays in the socket, and
from there in the node's journal. When the connection breaks, or more arrives than is taken
(other threads' calls read the socket too), the subscription is made anew from the cursor of
the last event that was delivered; what the journal no longer holds comes as a `gap` event.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import ConnectionLost, DeadlineExceeded, MechaneError, OutcomeUnknown
from .link import Link, LinkLostError
from .waiters import Sink, Waiter

if TYPE_CHECKING:
    from ..records import Event

MOST_WAITING = 10_000
"""Events kept for a slow consumer before the subscription is dropped and later resumed."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
"""The pauses between attempts to reach the node again double from the first to the longest."""


class Subscriber(Protocol):
    """What an event stream needs of its client."""

    def open(
        self,
        method: str,
        params: dict[str, Any],
        key: str,
        make: Callable[[Link], Sink],
        deadline_s: float | None,
    ) -> tuple[Any, Sink, Link]:
        """Call `method`, whose answer opens something numbered under `key`."""


class _Arrivals:
    """The events of one subscription on one connection, in order of arrival."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.events: deque[Event] = deque()
        self.broken = False
        self.waiter: Waiter | None = None

    def notify(self, kind: str, params: dict[str, Any]) -> None:
        """Take an event; too many break the subscription. Reader's thread."""
        if kind != "event" or self.broken:
            return
        if len(self.events) >= MOST_WAITING:
            self.broken = True
        else:
            self.events.append(params)  # type: ignore[arg-type]  # the wire's map is the record
        self._wake()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        self.broken = True
        self._wake()

    def wait(self, deadline: float) -> bool:
        """Wait until there is an event or the subscription is broken; False at the deadline."""
        waiter = self.waiter = Waiter()
        if self.events or self.broken:
            return True
        if not self.link.wait(waiter, deadline):
            return False
        if self.link.broken is not None:
            self.broken = True
        return True

    def _wake(self) -> None:
        if self.waiter is not None:
            self.waiter.deliver([])


class EventStream:
    """Iterate over events as they happen; for one thread.

    `cursor` is that of the last event delivered: keep it to resume later with `since`.
    """

    def __init__(
        self,
        client: Subscriber,
        params: dict[str, Any],
        timeout_s: float | None,
        patience_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.cursor: str | None = params.get("since")
        self.gap: dict[str, Any] | None = None
        """What the node said is missing at the start, if something is."""
        self._client = client
        self._params = params
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._sleep = sleep
        self._arrivals: _Arrivals | None = None
        self._number = 0
        self._closed = False
        self._subscribe()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self.next(self._timeout_s)
        except DeadlineExceeded:
            raise StopIteration from None

    def next(self, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Args:
            timeout_s: seconds to wait; for ever when left out.

        Raises:
            DeadlineExceeded: none came in time.
            ConnectionLost: the node could not be reached again within `patience_s`.
        """
        deadline = monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while not self._closed:
            arrivals = self._arrivals
            if arrivals is None:
                self._resubscribe(deadline)
            elif arrivals.events:
                event = arrivals.events.popleft()
                self.cursor = event["cursor"]
                return event
            elif arrivals.broken:
                self._drop()
            elif not arrivals.wait(deadline):
                raise DeadlineExceeded(f"no event within {timeout_s} s")
        raise StopIteration

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        self._drop()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drop(self) -> None:
        """Leave the subscription, if its connection still stands."""
        arrivals, self._arrivals = self._arrivals, None
        if arrivals is None:
            return
        link = arrivals.link
        link.sinks.remove(("subscription", self._number))
        with contextlib.suppress(LinkLostError):  # then the node has dropped it already
            link.post("events.unsubscribe", {"subscription": self._number}, Waiter())

    def _subscribe(self) -> None:
        params = dict(self._params)
        if self.cursor is not None:
            params["since"] = self.cursor
        answer, sink, _ = self._client.open("events.subscribe", params, "subscription", _Arrivals, None)
        assert isinstance(sink, _Arrivals)
        self._arrivals = sink
        self._number = answer["subscription"]
        self.gap = answer.get("gap")
        if self.cursor is None:
            self.cursor = answer["cursor"]

    def _resubscribe(self, deadline: float) -> None:
        """Subscribe again from the cursor, trying for `patience_s`."""
        give_up = monotonic() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self._subscribe()
            except (ConnectionLost, OutcomeUnknown) as error:
                self._may_go_on(error, pause_s, give_up, deadline)
            self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    @staticmethod
    def _may_go_on(error: MechaneError, pause_s: float, give_up: float, deadline: float) -> None:
        after = monotonic() + pause_s
        if after >= give_up:
            raise error
        if after >= deadline:
            raise DeadlineExceeded("the node could not be reached again in time") from error
