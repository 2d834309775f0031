"""Where a driver reports facts of one domain."""

from __future__ import annotations

from ...hypervisors.facts import Exited, Fact, GuestEvent
from ..cells.directory import Entry
from ..domain.orders import Guestless, Order


class Sink:
    """See the module."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def put(self, fact: Fact) -> None:
        """Digest a fact in the cell, and tell the actor of an exit. Any thread."""
        entry = self._entry
        now = entry.cell.snapshot
        exited = isinstance(fact, Exited) and fact.incarnation == now.incarnation
        if exited and not now.persistent:
            entry.leaving, entry.visible = True, False  # before anybody hears of the exit
        entry.cell.put(fact)
        if exited:
            entry.mailbox.post(Guestless(incarnation=fact.incarnation))
        elif isinstance(fact, GuestEvent) and (fact.kind, fact.event) == ("device", "removed") and fact.detail:
            if len(entry.mailbox) > 2 * entry.mailbox.limit:
                return  # a QEMU that lies: no guest has so many devices
            entry.mailbox.urge(Order(verb="unplugged", args={"alias": fact.detail, "incarnation": fact.incarnation}))
