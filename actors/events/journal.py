"""The journal: the last events of the node, numbered, bounded, for clients that come back.

Guarantees:

- `append` is O(1), takes one short lock, waits for nobody and may be called from any thread; numbers are given
  without holes, in the order in which appends took the lock.
- A domain that makes events in masses pushes out its own, not those of others (shelf.py).
- An event is in the journal before any listener is called, and listeners are called outside the lock, on
  the appending thread.
- An event never changes: the journal takes the map over from the caller.
- What is asked for and no longer kept is said as a `Gap`, with its reason:
  overflow (the journal was too short), share (one domain, which the gap names, made more events than its share of
  the journal; nothing of others is missing), restarted (another epoch: the node was started anew meanwhile),
  unknown_cursor (of another node, or of an event that was never made).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .cursor import cursor_prefix, decode_cursor
from .filter import EventFilter
from .frames import pack_event
from .shelf import Record, Shelf, Trimmed

DEFAULT_LENGTH = 10_000

Listener = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events between two cursors that cannot be had any more."""

    reason: str
    after: str
    """The cursor that was asked for."""
    until: str
    """The cursor from which on nothing is missing."""
    missed: int | None = None
    """How many events; None when nobody can tell."""
    of: Trimmed | None = None
    """The only domain whose events are missing."""

    def to_map(self) -> dict[str, Any]:
        """Return what a subscription's reply and the gap event carry."""
        told: dict[str, Any] = {"reason": self.reason, "from": self.after, "to": self.until}
        if self.missed is not None:
            told["missed"] = self.missed
        return told


EXPLANATIONS = {
    "overflow": "the journal no longer reaches back so far",
    "share": "this domain made more events than its share of the journal; those of others are complete",
    "restarted": "the node was started anew",
    "unknown_cursor": "the cursor is not of this node",
}


class Journal:
    """Keep the last `length` events of this epoch."""

    def __init__(
        self,
        node: str,
        *,
        length: int = DEFAULT_LENGTH,
        clock: Callable[[], float] = time.time,
        epoch: str | None = None,
    ) -> None:
        """Start empty.

        Args:
            node: the name of the node, part of each event and cursor.
            length: how many events are kept.
            clock: wall time of events that bring none.
            epoch: a text that no other start of the node uses; random when left out.
        """
        self.node = node
        self.length = length
        self.epoch = epoch if epoch is not None else secrets.token_hex(6)
        self._clock = clock
        self._prefix = cursor_prefix(node, self.epoch)
        self._lock = threading.Lock()
        self._shelf = Shelf(length)
        self._head = 0
        self._listeners: tuple[Listener, ...] = ()

    def append(self, event: dict[str, Any], /) -> int:
        """Number and keep an event, tell the listeners; return the number. Any thread; never waits.

        `event` has the fields of protocol.records.Event except cursor; node and time are added where
        missing. The caller gives it away.
        """
        event.setdefault("node", self.node)
        if "time" not in event:
            event["time"] = self._clock()
        with self._lock:
            number = self._head + 1
            record = Record(number, event)
            self._shelf.add(record)
            self._head = number
        self.packed(record)  # now, so that a list of thousands only joins
        for listener in self._listeners:
            listener()
        return number

    def resize(self, length: int) -> None:
        """Keep `length` events from now on; the newest of those kept stay. Any thread."""
        with self._lock:
            self.length = length
            self._shelf.resize(length)

    def listen(self, listener: Listener) -> None:
        """Call `listener` after each append, on the appending thread; it must never wait."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    @property
    def head(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._head

    @property
    def oldest(self) -> int:
        """From which number on nothing is missing but what domains gave up beyond their shares."""
        return self._shelf.lowest

    def cursor(self, number: int) -> str:
        """Return the cursor after event `number`."""
        return f"{self._prefix}{number:x}"

    def after(self, number: int, most: int) -> list[Record]:
        """Return up to `most` records after event `number`; the first is later where those are gone."""
        with self._lock:
            return self._shelf.after(number, most)

    def look(self, number: int, most: int) -> tuple[list[Record], int, int]:
        """Return the same, the number below which nothing is kept, and the highest one that a domain gave up."""
        with self._lock:
            return self._shelf.after(number, most), self._shelf.lowest, self._shelf.last_trimmed

    def given_up(self, number: int, event_filter: EventFilter, told: int = 0) -> list[Gap]:
        """Say which domains gave up events after `number` (and after `told`) that a filter lets through."""
        with self._lock:
            if self._shelf.last_trimmed <= max(number, told):
                return []
            trimmed = list(self._shelf.trimmed.values())
        return [
            Gap(
                reason="share", after=self.cursor(number), until=self.cursor(one.last),
                missed=one.count if one.first > number else None, of=one,
            )
            for one in trimmed
            if one.last > max(number, told) and event_filter.concerns(one)
        ]  # fmt: skip

    def overflow(self, number: int, first: int) -> Gap:
        """Say that after event `number` the next to be had is `first`."""
        return Gap(
            reason="overflow",
            after=self.cursor(number),
            until=self.cursor(first - 1),
            missed=first - 1 - number,
        )

    def locate(self, cursor: str | None) -> tuple[int, Gap | None]:
        """Return after which number to go on for a cursor (None: from now on), and what is missing.

        After a restart everything of the new epoch follows; after an unknown cursor what comes from now on.

        Raises: InvalidArgument when the text is no cursor.
        """
        if cursor is None:
            return self._head, None
        position = decode_cursor(cursor)
        with self._lock:
            head, oldest = self._head, self.oldest
        if position.node != self.node or (position.epoch == self.epoch and position.number > head):
            return head, Gap(reason="unknown_cursor", after=cursor, until=self.cursor(head))
        if position.epoch != self.epoch:
            return oldest - 1, Gap(reason="restarted", after=cursor, until=self.cursor(oldest - 1))
        if position.number < oldest - 1:
            return oldest - 1, self.overflow(position.number, oldest)
        return position.number, None

    def since(self, cursor: str | None) -> tuple[list[dict[str, Any]], Gap | None]:
        """Return all events after a cursor (None: all that are kept), oldest first, and what is missing.

        Raises: InvalidArgument when the text is no cursor.
        """
        number, gap = (self.oldest - 1, None) if cursor is None else self.locate(cursor)
        return [self.event_map(record) for record in self.walk(number)], gap

    def walk(self, number: int, step: int = 256) -> Iterator[Record]:
        """Yield the records after event `number` up to the present head, a slice of `step` at a time."""
        last = self._head
        while number < last:
            records = self.after(number, min(step, last - number))
            if not records:
                return
            yield from records
            number = records[-1].number

    def event_map(self, record: Record) -> dict[str, Any]:
        """Return an event as clients see it."""
        return {"cursor": self.cursor(record.number), **record.event}

    def packed(self, record: Record) -> bytes:
        """Return an event's map packed. Any thread; two that come at once pack the same."""
        packed = record.packed
        if packed is None:
            packed = record.packed = pack_event(self.event_map(record))
        return packed

    def gap_map(self, gap: Gap) -> dict[str, Any]:
        """Return the event that tells a client of a gap; its cursor is where it goes on.

        Where only events of one domain are missing, those of others follow from where the client was.
        """
        whose: dict[str, Any] = {}
        if gap.of is not None:
            whose = {"uuid": gap.of.uuid, "name": gap.of.name, "connection": gap.of.connection}
        return {
            "cursor": gap.until if gap.of is None else gap.after,
            **whose,
            "node": self.node,
            "kind": "gap",
            "event": gap.reason,
            "detail": EXPLANATIONS[gap.reason],
            "time": self._clock(),
            "data": gap.to_map(),
        }
