"""All subscriptions of the node, and the `events` thread that works off long backlogs.

Guarantees: `append` of the journal wakes at most `DIRECT` subscribers itself and hands the others to the
`events` thread, so that its cost stays bounded; that thread serves backlogs in turn, `SLICE` events each.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from ...config.errors import Busy, ConnectionLost, NotFound
from .filter import EventFilter
from .frames import pack_event, pack_events
from .journal import Gap, Journal
from .subscription import Session, Subscription

DIRECT = 8
SLICE = 64
MOST_PER_SESSION = 16


class Subscriptions:
    """Know who subscribed to what, and wake them."""

    def __init__(self, journal: Journal) -> None:
        """Listen to a journal."""
        self._journal = journal
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._all: tuple[Subscription, ...] = ()
        self._backlogs: queue.SimpleQueue[Subscription | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        journal.listen(self._wake)

    def subscribe(
        self,
        session: Session,
        event_filter: EventFilter,
        since: str | None = None,
        *,
        most: int = MOST_PER_SESSION,
    ) -> Subscription:
        """Add a subscription; answer the call with its `record`, then call its `start`.

        Any thread. Nothing is pushed before `start`, so the answer precedes the events; nothing is lost in
        between either.

        Args:
            session: the client.
            event_filter: which events it gets.
            since: the cursor of the last event seen; None: from now on.
            most: subscriptions that the session may have.

        Raises: Busy, InvalidArgument (no cursor), ConnectionLost (the session is closed).
        """
        with self._lock:
            if sum(other.session is session for other in self._all) >= most:
                raise Busy("too many subscriptions", what="subscriptions", limit=most)
            subscription = Subscription(
                next(self._numbers),
                session,
                self._journal,
                event_filter,
                since,
                hand_over=self._hand_over,
            )
            self._all = (*self._all, subscription)
        if session.closed:
            self.closed(session)
            raise ConnectionLost("the client is gone")
        return subscription

    def unsubscribe(self, session: Session, number: int) -> None:
        """End a subscription of this session; nothing of it is sent after this returns. Any thread.

        Raises: NotFound.
        """
        found = next((other for other in self._all if other.number == number and other.session is session), None)
        if found is None:
            raise NotFound(f"this client has no subscription {number}", path="params.subscription", value=number)
        found.end()
        self._forget({found})

    def closed(self, session: Session) -> None:
        """Forget the subscriptions of a session that ended. Any thread."""
        gone = {other for other in self._all if other.session is session}
        for subscription in gone:
            subscription.abandon()
        if gone:
            self._forget(gone)

    def count(self, session: Session) -> int:
        """Return how many subscriptions a session has. Any thread."""
        return sum(other.session is session for other in self._all)

    def close(self, deadline_s: float) -> None:
        """Stop pushing and end the `events` thread, within `deadline_s`."""
        with self._lock:
            self._closed = True
            self._all = ()
            thread = self._thread
        self._backlogs.put(None)
        if thread is not None:
            thread.join(deadline_s)

    def _forget(self, gone: set[Subscription]) -> None:
        with self._lock:
            self._all = tuple(other for other in self._all if other not in gone)

    def _wake(self) -> None:
        """Wake subscribers after an append. Appending thread."""
        everyone = self._all
        for subscription in everyone[:DIRECT]:
            subscription.wake()
        for subscription in everyone[DIRECT:]:
            self._hand_over(subscription)

    def _hand_over(self, subscription: Subscription) -> None:
        """Let the `events` thread push. Any thread; never waits."""
        if subscription.handed_over:  # it will see all that is in the journal by then
            return
        subscription.handed_over = True
        if self._thread is None:
            self._start_thread()
        self._backlogs.put(subscription)

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="events", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        """Push backlogs in turn. The `events` thread."""
        while (subscription := self._backlogs.get()) is not None:
            subscription.handed_over = False  # before it looks: who hands it over later is heard
            subscription.wake(SLICE)


def list_events(
    journal: Journal, event_filter: EventFilter, since: str | None, limit: int
) -> tuple[list[dict[str, Any]], Gap | None]:
    """Return at most `limit` events after a cursor (None: the oldest kept), a gap as the first of them.

    Raises: InvalidArgument when `since` is no cursor.
    """
    gap, gaps, records = _select(journal, event_filter, since, limit)
    head = [journal.gap_map(one) for one in gaps]
    return [*head, *(journal.event_map(record) for record in records)][:limit], gap


def list_events_packed(
    journal: Journal, event_filter: EventFilter, since: str | None, limit: int, *, newest: bool = False
) -> bytes:
    """Return the same as one packed array, joined from packed events: no long call under the GIL.

    Args:
        journal: where events are kept.
        event_filter: which of them.
        since: after this cursor; None: all that are kept.
        limit: at most so many, a gap among them.
        newest: whether the last so many, where there are more, in place of the first.

    Raises: InvalidArgument when `since` is no cursor.
    """
    _, gaps, records = _select(journal, event_filter, since, limit, newest=newest)
    head = [pack_event(journal.gap_map(one)) for one in gaps][:limit]
    packed = [journal.packed(record) for record in records]
    room = limit - len(head)
    return pack_events([*head, *(packed[len(packed) - room :] if newest and len(packed) > room else packed[:room])])


def _select(
    journal: Journal, event_filter: EventFilter, since: str | None, limit: int, *, newest: bool = False
) -> tuple[Gap | None, list[Gap], Iterable[Any]]:
    number, gap = (journal.oldest - 1, None) if since is None else journal.locate(since)
    found = (record for record in journal.walk(number) if event_filter.matches(record.event))
    gaps = [] if gap is None else [gap]
    if since is not None:
        gaps += journal.given_up(number, event_filter)
    return gap, gaps, deque(found, maxlen=limit) if newest else itertools.islice(found, limit)
