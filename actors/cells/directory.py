"""The directory of all domains of the node: by UUID, by name, by id.

Guarantees: look-ups take no lock (dictionaries are replaced key by key under the GIL);
changes are made under one lock, so a name is given to one domain of a connection only. An
entry owns the domain's mailbox and its actor's reference, so neither dies with a crash.
An entry that is still being defined is not visible.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from ...config.errors import AmbiguousName, DomainExists, NoDomain
from ..runtime.mailbox import Mailbox
from ..runtime.supervision import RestartWindow
from .cell import Cell
from .census import Census, Noted
from .page import PREFIXES, Page, page_number

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\Z")


class Entry:
    """One domain: cell, mailbox, actor, and what only its actor changes."""

    __slots__ = ("_visible", "actor", "cell", "cleaned", "holder", "leaving", "mailbox", "noted", "owner",
                 "owner_version", "record", "stats", "stored_version", "unread", "window", "work",
                 "xml_version")  # fmt: skip

    def __init__(self, cell: Cell, mailbox: Mailbox[Any], *, visible: bool) -> None:
        self.cell = cell
        self.mailbox = mailbox
        self.actor: Any = None
        self.holder: Any = None
        self.cleaned = 0
        """The last incarnation of which nothing is left on the host; where it is not the cell's, a start cleans up."""
        self._visible = visible
        self.noted: Noted | None = None
        """What the census counted of it."""
        self.leaving = False
        """Whether it is a transient domain whose guest has ended: it goes as soon as that is cleaned up."""
        self.stored_version = 0
        # what is cached by UUID and version must not be found by a later domain of the same UUID
        self.xml_version = time.monotonic_ns()
        self.owner_version = 0
        self.record: Any = None
        """What is stored of the domain (domain/stored.py), with fields that only other versions know; or None."""
        self.owner: Any = None
        """The same of its owner."""
        self.unread = False
        """Whether one of its records cannot be read, for which it is quarantined."""
        self.stats: tuple[float, dict[str, Any]] | None = None
        self.window: RestartWindow | None = None
        self.work: Any = None
        """The change under way, or one that was broken off and is not settled (domain/undertaking.py); or None."""

    @property
    def visible(self) -> bool:
        """Whether lists and look-ups show the domain."""
        return self._visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._visible = visible
        self.leaving = self.leaving and not visible
        if self.cell.page is not None:
            self.cell.page.changed()
            self.cell.page.census.changed(self.uuid)

    @property
    def uuid(self) -> str:
        """Return the domain's UUID."""
        return self.cell.snapshot.uuid

    @property
    def connection(self) -> str:
        """Return the URI of the connection it belongs to."""
        return self.cell.snapshot.connection


def canonical_uuid(text: str) -> str | None:
    """Return a UUID in libvirt's spelling (lower case, hyphens), or None when it is none."""
    lower = text.lower()
    if _UUID.match(lower) is None:
        return None
    plain = lower.replace("-", "")
    return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"


class Directory:
    """All entries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_uuid: dict[str, Entry] = {}
        self._by_name: dict[str, tuple[Entry, ...]] = {}
        self.census = Census(self._by_uuid)
        self._pages = tuple(Page(self.census) for _ in PREFIXES)

    def find(self, reference: str, connection: str | None = None) -> Entry:
        """Return the entry that a UUID, a name or an id names.

        Raises:
            NoDomain: there is none.
            AmbiguousName: several connections have a domain of that name.
        """
        entry = self._by_uuid.get(reference)
        if entry is not None and entry.visible and (connection is None or entry.connection == connection):
            return entry
        named = [
            entry
            for entry in self._by_name.get(reference, ())
            if entry.visible and (connection is None or entry.connection == connection)
        ]
        if len(named) == 1:
            return named[0]
        if named:
            raise AmbiguousName(
                f"{len(named)} domains are called {reference}", remedy="say the connection or use the UUID",
                connections=[entry.connection for entry in named],
            )  # fmt: skip
        return self._find_otherwise(reference, connection)

    def _find_otherwise(self, reference: str, connection: str | None) -> Entry:
        uuid = canonical_uuid(reference)
        entry = self._by_uuid.get(uuid) if uuid else None
        if entry is not None and entry.visible and (connection is None or entry.connection == connection):
            return entry
        if reference.isascii() and reference.isdigit() and len(reference) <= 9:
            return self.find_id(int(reference), connection)
        raise no_domain(reference)

    def find_id(self, number: int, connection: str | None = None) -> Entry:
        """Return the entry of the running domain with this id."""
        found = [
            entry
            for entry in self.census.with_id(number)
            if entry.visible and (connection is None or entry.connection == connection)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousName(f"{len(found)} domains have id {number}", remedy="say the connection")
        raise no_domain(str(number))

    def get(self, uuid: str) -> Entry | None:
        """Return the entry with this canonical UUID, visible or not."""
        return self._by_uuid.get(uuid)

    def add(self, entry: Entry) -> None:
        """Add an entry.

        Raises:
            DomainExists: its UUID or its name on that connection is taken.
        """
        snapshot = entry.cell.snapshot
        with self._lock:
            if snapshot.uuid in self._by_uuid:
                raise DomainExists(f"a domain with UUID {snapshot.uuid} exists", remedy="undefine it first")
            self._claim_name(snapshot.name, snapshot.connection, None)
            self._by_uuid[snapshot.uuid] = entry
            self._by_name[snapshot.name] = (*self._by_name.get(snapshot.name, ()), entry)
            entry.cell.page = self._page(snapshot.uuid)
            entry.cell.page.add(snapshot.uuid)
            self.census.add(entry)

    def load(self, entries: list[Entry]) -> None:
        """Add many entries at start, of which the store says that they are distinct."""
        with self._lock:
            for entry in entries:
                snapshot = entry.cell.snapshot
                self._by_uuid[snapshot.uuid] = entry
                self._by_name[snapshot.name] = (*self._by_name.get(snapshot.name, ()), entry)
            by_page: dict[Page, list[str]] = {page: [] for page in self._pages}
            for uuid in sorted(self._by_uuid):
                page = self._by_uuid[uuid].cell.page = self._page(uuid)
                by_page[page].append(uuid)
            for page, uuids in by_page.items():
                page.fill(uuids)
            for entry in entries:
                self.census.add(entry)

    def _page(self, uuid: str) -> Page:
        return self._pages[page_number(uuid)]

    def _claim_name(self, name: str, connection: str, but: Entry | None) -> None:
        for other in self._by_name.get(name, ()):
            if other is not but and other.connection == connection:
                raise DomainExists(
                    f"domain {name} exists already with UUID {other.uuid}",
                    remedy="use another name, or that UUID to change its definition", uuid=other.uuid,
                )  # fmt: skip

    def leaving(self, name: str, connection: str) -> bool:
        """Tell whether a name will be free as soon as an ended transient domain is cleaned up."""
        return any(other.leaving and other.connection == connection for other in self._by_name.get(name, ()))

    def rename(self, entry: Entry, name: str) -> None:
        """Give an entry's name away and claim another; the cell is told by the caller."""
        with self._lock:
            self._claim_name(name, entry.connection, entry)
            self._drop_name(entry, entry.cell.snapshot.name)
            self._by_name[name] = (*self._by_name.get(name, ()), entry)

    def rename_back(self, entry: Entry, claimed: str) -> None:
        """Undo `rename` when the store refused it."""
        with self._lock:
            self._drop_name(entry, claimed)
            name = entry.cell.snapshot.name
            self._by_name[name] = (*self._by_name.get(name, ()), entry)

    def _drop_name(self, entry: Entry, name: str) -> None:
        left = tuple(other for other in self._by_name.get(name, ()) if other is not entry)
        if left:
            self._by_name[name] = left
        else:
            self._by_name.pop(name, None)

    def remove(self, entry: Entry) -> None:
        """Take an entry out."""
        snapshot = entry.cell.snapshot
        with self._lock:
            if self._by_uuid.get(snapshot.uuid) is not entry:
                return
            del self._by_uuid[snapshot.uuid]
            self._drop_name(entry, snapshot.name)
            self._page(snapshot.uuid).remove(snapshot.uuid)
            self.census.remove(entry)

    def page(self, after: str | None = None, limit: int | None = None) -> list[Entry]:
        """Return visible entries in the order of their UUIDs, from behind `after`."""
        first = page_number(after) if after else 0
        found: list[Entry] = []
        for number in range(first, len(self._pages)):
            for uuid in self._pages[number].uuids(after if number == first else None):
                entry = self._by_uuid.get(uuid)
                if entry is not None and entry.visible:
                    found.append(entry)
                    if limit is not None and len(found) >= limit:
                        return found
        return found

    def packed(self) -> Iterator[tuple[int, bytes]]:
        """Yield how many visible domains there are on each page, and their packed records, in order."""
        return (page.packed(self._by_uuid) for page in self._pages)

    def all(self) -> list[Entry]:
        """Return all entries, visible or not, in no order."""
        return list(self._by_uuid.values())

    def __len__(self) -> int:
        return len(self._by_uuid)


def no_domain(reference: str) -> NoDomain:
    """Return the error for a domain that is not there."""
    return NoDomain(f"there is no domain {reference[:100]!r}", remedy="`mechane list --all` shows what there is")
