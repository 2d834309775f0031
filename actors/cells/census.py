"""How many domains each connection has, how many of them run, and which has which id: kept, never counted.

Guarantees: look-ups take no lock; whoever changes a domain's id or visibility says so afterwards, and what is kept
is then that of the newest snapshot, whichever of two threads comes last.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...protocol.permissions import Grants
    from .directory import Entry


class Noted(NamedTuple):
    """What is counted of a domain."""

    visible: bool
    id: int | None


class Census:
    """See the module. All methods for any thread; none waits for more than a few microseconds."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Count nobody yet.

        Args:
            entries: all domains by UUID; who is added or removed is said as well.
        """
        self._entries = entries
        self._lock = threading.Lock()
        self._by_id: dict[int, tuple[Entry, ...]] = {}
        self._domains: dict[str, int] = {}
        self._running: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Count a domain from now on."""
        with self._lock:
            self._note(entry, Noted(entry.visible, entry.cell.snapshot.id))

    def remove(self, entry: Entry) -> None:
        """Count a domain no longer."""
        with self._lock:
            self._note(entry, None)

    def changed(self, uuid: str) -> None:
        """Look again at a domain whose id or visibility changed; nothing happens when it is not counted."""
        entry = self._entries.get(uuid)
        if entry is not None:
            with self._lock:
                if entry.noted is not None:
                    self._note(entry, Noted(entry.visible, entry.cell.snapshot.id))

    def counts(self, connection: str) -> tuple[int, int]:
        """Return how many visible domains a connection has, and how many of them run."""
        return self._domains.get(connection, 0), self._running.get(connection, 0)

    def seen(self, connection: str, grants: Grants | None) -> tuple[int, int]:
        """Return the same of the domains that `grants` may see; looks at each only where some may not be seen."""
        if grants is None or grants.everywhere("domain:getattr"):
            return self.counts(connection)
        snapshots = [entry.cell.snapshot for entry in list(self._entries.values()) if entry.visible]
        seen = [
            one for one in snapshots
            if one.connection == connection and grants.may("domain:getattr", connection, one.name)
        ]  # fmt: skip
        return len(seen), sum(1 for one in seen if one.active)

    def with_id(self, number: int) -> tuple[Entry, ...]:
        """Return the running domains that have this id: one of each connection at most."""
        return self._by_id.get(number, ())

    def _note(self, entry: Entry, now: Noted | None) -> None:
        """Take what was counted of a domain back and count what it is now. Under the lock."""
        before, entry.noted = entry.noted, now
        uri = entry.connection
        for noted, step in ((before, -1), (now, 1)):
            if noted is not None and noted.visible:
                self._domains[uri] = self._domains.get(uri, 0) + step
                self._running[uri] = self._running.get(uri, 0) + (step if noted.id is not None else 0)
        if before is not None and before.id is not None:
            left = tuple(other for other in self._by_id.get(before.id, ()) if other is not entry)
            if left:
                self._by_id[before.id] = left
            else:
                self._by_id.pop(before.id, None)
        if now is not None and now.id is not None:
            self._by_id[now.id] = (*self._by_id.get(now.id, ()), entry)
