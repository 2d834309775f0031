"""One subscription: events of the journal pushed into a client's session.

Guarantees:

- A subscriber gets the events that its filter lets through strictly in the order of their numbers, each
  once, from its cursor on; what the journal lost meanwhile comes as one event of kind `gap` in its place, what single
  domains gave up beyond their share of the journal as one such event for each of them.
- Nobody waits: whoever appends (or finds room in the outbox again) pumps, if nobody else does; else it
  leaves a mark, and who pumps sees the mark before it leaves. So no event stays behind, and no two threads
  send for one subscription at once: `_next` belongs to the holder of `_turn`.
- An appending thread sends at most `BURST` events; a longer backlog goes to the `events` thread.
- While a lot waits in the session's outbox nothing is sent; the journal is the buffer, so a client that
  never reads costs half of `outbox_pause_bytes` and no more.
- After `end` returns nothing is sent any more.

Why no event stays behind: a pusher sets `_wanted` first and tries the turn second; the holder clears
`_wanted` before it reads the journal, releases the turn, then looks at `_wanted` again. If the try fails,
the holder has not released yet, so it looks after the mark was set.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ...config.errors import InternalError, MechaneError
from .filter import EventFilter
from .frames import event_frame, pack_event, subscription_tail
from .journal import Gap, Journal

BURST = 16
"""Events that an appending thread sends at most: about 0.2 ms."""
END_TIMEOUT_S = 1.0
"""Longest wait of `end` for one send that is under way; sends never wait, so this is microseconds."""

log = logging.getLogger("mechane.events")


class Bounds(Protocol):
    """What a subscription needs of a session's limits."""

    @property
    def outbox_pause_bytes(self) -> int:
        """Bytes in the outbox at which the gateway stops reading; `on_drain` calls at a quarter of it."""
        ...


class Session(Protocol):
    """What a subscription needs of its client; the gateway's Session is one."""

    id: int
    closed: bool

    @property
    def limits(self) -> Bounds:
        """The limits of its socket."""
        ...

    def send(self, frame: bytes, /) -> None:
        """Send a frame; any thread, never waits."""
        ...

    def outbox_bytes(self) -> int:
        """Return how many bytes the client has not taken."""
        ...

    def on_drain(self, callback: Callable[[], None], /) -> None:
        """Call once, soon, when there is room (again)."""
        ...

    def disconnect(self, error: MechaneError | None, /) -> None:
        """End the session."""
        ...


class Subscription:
    """Push events to one subscriber. `record` answers the call; `start` begins after the answer left."""

    __slots__ = (
        "_ended", "_filter", "_gap", "_hand_over", "_journal", "_next", "_paused", "_shares", "_started", "_tail",
        "_told", "_turn", "_wanted", "handed_over", "number", "record", "session",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        session: Session,
        journal: Journal,
        event_filter: EventFilter,
        since: str | None,
        *,
        hand_over: Callable[[Subscription], None],
    ) -> None:
        """Find the place in the journal; sends nothing yet.

        Raises: InvalidArgument when `since` is no cursor.
        """
        after, gap = journal.locate(since)
        self.number = number
        self.session = session
        self.handed_over = False
        self._journal = journal
        self._filter = event_filter
        self._next = after + 1
        self._gap = gap
        self._shares: list[Gap] = []
        self._told = 0
        self._hand_over = hand_over
        self._tail = subscription_tail(number)
        self._turn = threading.Lock()
        self._wanted = self._paused = self._started = self._ended = False
        self.record: dict[str, Any] = {"subscription": number, "cursor": journal.cursor(after)}
        if gap is not None:
            self.record["gap"] = gap.to_map()

    def start(self) -> None:
        """Begin to push: first what happened since the cursor. Any thread, once the call was answered."""
        self._started = True
        self.wake()

    def wake(self, most: int = BURST) -> None:
        """Push what is new, unless somebody does already. Any thread; never waits."""
        self._wanted = True
        while self._wanted and self._started and not (self._paused or self._ended):
            if most <= 0:
                self._hand_over(self)
                return
            if not self._turn.acquire(blocking=False):
                return
            try:
                self._wanted = False
                most -= self._push(most)
            except Exception as bug:  # whoever appends must not suffer from a subscriber's filter
                log.exception("subscription %d failed", self.number)
                self._ended = True
                self.session.disconnect(InternalError(f"the subscription failed: {bug!r}"))
            finally:
                self._turn.release()

    def end(self) -> None:
        """Stop pushing; nothing is sent after this returns. Any thread."""
        self._ended = True
        if self._turn.acquire(timeout=END_TIMEOUT_S):
            self._turn.release()

    def abandon(self) -> None:
        """Stop pushing to a session that is closed; one last send may be dropped by it. Any thread."""
        self._ended = True

    def _push(self, most: int) -> int:
        """Send up to `most` events of the journal; return how many were looked at. Holder of the turn."""
        journal = self._journal
        records, lowest, given_up = journal.look(self._next - 1, most)
        if records and lowest > self._next:
            self._gap = self._lost(lowest)
            self._next = lowest
        if given_up > max(self._next - 1, self._told):
            self._shares += journal.given_up(self._next - 1, self._filter, self._told)
            self._told = given_up
        while self._gap is not None or self._shares:
            if not self._room():
                return 1
            gap, self._gap = self._gap or self._shares.pop(0), None
            self._send(pack_event(journal.gap_map(gap)))
        matches, everything = self._filter.matches, self._filter.everything
        for looked_at, record in enumerate(records, 1):
            if everything or matches(record.event):
                if self._ended or not self._room():
                    return looked_at
                self._send(journal.packed(record))
            self._next = record.number + 1
        if self._next <= journal.head:
            self._wanted = True
        return max(1, len(records))

    def _lost(self, first: int) -> Gap:
        """Say what is missing before `first`, together with a gap that was not said yet."""
        gap = self._journal.overflow(self._next - 1, first)
        if self._gap is None:
            return gap
        return Gap(reason=self._gap.reason, after=self._gap.after, until=gap.until)

    def _send(self, packed: bytes) -> None:
        self.session.send(event_frame(packed, self._tail))

    def _room(self) -> bool:
        """Tell whether the client keeps up; if not, pause until it does.

        Half of the limit lies well above the quarter that on_drain waits for, so a pause never ends at once.
        """
        session = self.session
        if session.outbox_bytes() <= session.limits.outbox_pause_bytes // 2:
            return True
        self._paused = True
        session.on_drain(self._resume)
        return False

    def _resume(self) -> None:
        """Go on after a pause: on the `events` thread, since much may wait. Any thread."""
        self._paused = False
        self._wanted = True
        self._hand_over(self)
