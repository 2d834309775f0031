"""The records that a journal keeps: the last ones, and of each domain no more than its share while others need room.

Guarantees: keeping one costs the same however many there are; while there is room nobody loses a record; then a
domain that holds more than a `SHARES`th gives up its oldest one for each that is added, and while nobody does, the
oldest of all goes. What a domain gave up that way, while older records of others stayed, is remembered as `Trimmed`.
The journal's lock is held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHARES = 50
"""A journal of 10,000 keeps 200 events of a domain that floods it."""


class Record:
    """An event with its number; `packed` is its map, packed once for all subscribers and lists."""

    __slots__ = ("event", "later", "number", "packed")

    def __init__(self, number: int, event: Mapping[str, Any]) -> None:
        self.number = number
        self.event = event
        self.packed: bytes | None = None
        self.later: Record | None = None
        """The next one of the same domain."""


@dataclass(slots=True)
class _Held:
    """The records of one domain, from the oldest to the newest."""

    oldest: Record
    newest: Record
    count: int = 1


@dataclass(slots=True)
class Trimmed:
    """What a domain gave up while others kept theirs: from which number to which, how many, of which kinds."""

    uuid: str
    name: str
    connection: str
    first: int
    last: int
    count: int = 0
    kinds: set[str] = field(default_factory=set)


class Shelf:
    """See the module."""

    def __init__(self, length: int) -> None:
        """Keep `length` records."""
        self.length = length
        self.lowest = 1
        """All records from this number on are here, but for those that were trimmed."""
        self.trimmed: dict[str, Trimmed] = {}
        self.last_trimmed = 0
        self._records: dict[int, Record] = {}
        self._numbers: list[int] = []
        """Of all records and of some that are gone; those before `_start` are."""
        self._start = 0
        self._held: dict[str, _Held] = {}
        self._over: dict[str, None] = {}
        """The domains that hold more than their share."""

    def add(self, record: Record) -> None:
        """Keep a record, numbered above all others; make room for it."""
        uuid = record.event.get("uuid")
        if len(self._records) >= self.length:
            greedy = self._held[next(iter(self._over))] if self._over else None
            if greedy is not None and greedy.oldest.number > self._first():
                self._trim(greedy.oldest)
            else:
                self._drop_first()
        self._records[record.number] = record
        self._numbers.append(record.number)
        if uuid:
            held = self._held.get(uuid)
            if held is None:
                self._held[uuid] = _Held(record, record)
            else:
                held.newest.later = record
                held.newest, held.count = record, held.count + 1
                if held.count > self.length // SHARES:
                    self._over[uuid] = None

    def resize(self, length: int) -> None:
        """Keep so many from now on."""
        self.length = length
        while len(self._records) > length:
            self._drop_first()

    def after(self, number: int, most: int) -> list[Record]:
        """Return up to `most` records above a number, in order."""
        found: list[Record] = []
        numbers, records = self._numbers, self._records
        for index in range(bisect_right(numbers, number, self._start), len(numbers)):
            record = records.get(numbers[index])
            if record is not None:
                found.append(record)
                if len(found) >= most:
                    break
        return found

    def _first(self) -> int:
        numbers, records = self._numbers, self._records
        while numbers[self._start] not in records:
            self._start += 1
        return numbers[self._start]

    def _drop_first(self) -> None:
        record = self._records.pop(self._first())
        self.lowest = record.number + 1
        self._let_go(record)
        self._tidy()
        if self.trimmed:
            for uuid in [uuid for uuid, gone in self.trimmed.items() if gone.last < self.lowest]:
                del self.trimmed[uuid]

    def _trim(self, record: Record) -> None:
        """Drop the oldest record of a domain, while older ones of others stay."""
        del self._records[record.number]
        self._let_go(record)
        event, number = record.event, record.number
        gone = self.trimmed.get(event["uuid"])
        if gone is None:
            gone = self.trimmed[event["uuid"]] = Trimmed(
                event["uuid"], event.get("name", ""), event.get("connection", ""), number, number
            )
        gone.last, gone.count = number, gone.count + 1
        gone.kinds.add(event["kind"])
        self.last_trimmed = max(self.last_trimmed, number)
        self._tidy()

    def _let_go(self, record: Record) -> None:
        """Take the oldest record of its domain off the domain's chain."""
        held = self._held.get(record.event.get("uuid", ""))
        if held is not None:
            uuid = record.event["uuid"]
            if record.later is None:
                del self._held[uuid]
                self._over.pop(uuid, None)
            else:
                held.oldest, held.count = record.later, held.count - 1
                if held.count <= self.length // SHARES:
                    self._over.pop(uuid, None)

    def _tidy(self) -> None:
        """Forget the numbers of what is gone, once they are as many as half of what is kept."""
        if len(self._numbers) > self.length + self.length // 2 + 64:
            self._numbers, self._start = list(self._records), 0
