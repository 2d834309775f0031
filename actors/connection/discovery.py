"""What changed behind our back: guests that somebody else defined, started or removed.

Mixed into the supervisor; runs on its loop. One discovery at a time; what is asked for
meanwhile runs once more afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.errors import MechaneError
from ...config.states import is_active
from ...hypervisors.contract import Capability, Found
from ..cells import facts
from ..cells.directory import Entry
from ..cells.snapshot import Size
from ..domain.orders import Order

if TYPE_CHECKING:
    import logging

    from ..runtime.loop_thread import LoopThread
    from ..services import Services


class Discovery:
    """Compares what the hypervisor lists with the directory."""

    services: Services
    home: LoopThread
    log: logging.Logger
    driver: Any
    uri: Any
    _discovering: bool
    _again: bool

    def __init__(self) -> None:
        self._discovering = False
        self._again = False

    def discover_soon(self) -> None:
        """Look for guests that changed behind our back. Loop's thread."""
        if self._discovering or self.driver is None:
            self._again = True
            return
        self._discovering = True
        self.home.spawn(self._discover(), "discover")

    async def _discover(self) -> None:
        try:
            found = await self.driver.discover()
            for guest in found:
                self._meet(guest)
            if Capability.NATIVE_DEFINITIONS in self.driver.capabilities:
                self._miss({guest.uuid for guest in found})
        except MechaneError as error:
            self.log.warning("discovery on %s: %s", self.uri, error)
        except Exception as error:  # noqa: BLE001 - the supervisor's edge
            self.crashed("discover", error)  # type: ignore[attr-defined]  # the supervisor's
        finally:
            self._discovering = False
        if self._again:
            self._again = False
            self.discover_soon()

    def _meet(self, guest: Found) -> None:
        """Make a domain known that the hypervisor has and we do not, and take it up when it runs."""
        entry = self.services.directory.get(guest.uuid)
        if entry is None:
            entry = self._new(guest)
            if entry is None:
                return
        snapshot = entry.cell.snapshot
        if snapshot.connection != self.uri.text:
            return
        running = is_active(guest.state)
        if running and not (snapshot.active or snapshot.starting) and entry.holder is None:
            entry.mailbox.urge(Order(verb="meet", args={"found": guest}))

    def _new(self, guest: Found) -> Entry | None:
        entry: Entry = self.new_entry(guest.uuid, guest.name, visible=guest.persistent)  # type: ignore[attr-defined]  # the supervisor's
        try:
            self.services.directory.add(entry)
        except MechaneError as error:
            self.log.warning("cannot show %s of %s: %s", guest.name, self.uri, error)
            return None
        if guest.persistent:
            entry.cell.put(facts.Defined(name=guest.name, title="", size=Size()))
        return entry

    def _miss(self, found: set[str]) -> None:
        """Remove domains that the hypervisor itself no longer defines."""
        for entry in self.services.directory.all():
            snapshot = entry.cell.snapshot
            gone = snapshot.connection == self.uri.text and snapshot.uuid not in found and entry.visible
            if gone and not (snapshot.active or snapshot.starting) and entry.holder is None:
                entry.mailbox.urge(Order(verb="vanish"))
