"""What changed behind our back: guests that somebody else defined, started or removed.

Mixed into the supervisor; runs on its loop. One discovery at a time; what is asked for
meanwhile runs once more afterwards.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...config.errors import MechaneError
from ...config.states import is_active
from ...hypervisors.contract import Capability, Found
from ..cells import facts
from ..cells.directory import Entry
from ..cells.snapshot import Size
from ..domain.orders import Order
from .taking_up import settle

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
                self.meet(guest)
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

    def meet(self, guest: Found) -> asyncio.Future[Any] | None:
        """Make a domain known that the hypervisor has and we do not, and take it up when it runs.

        Returns:
            What is done when it was taken up; None where there is nothing to do.
        """
        entry = self.services.directory.get(guest.uuid)
        if entry is None:
            entry = self._new(guest)
            if entry is None:
                return None
        snapshot = entry.cell.snapshot
        if snapshot.connection != self.uri.text or snapshot.quarantined:
            return None
        running = is_active(guest.state)
        if not running or snapshot.active or snapshot.starting or entry.holder is not None:
            return None
        done: asyncio.Future[Any] = self.home.loop.create_future()
        entry.mailbox.urge(Order(verb="meet", args={"found": guest}, done=settle(done)))
        return done

    def _new(self, guest: Found) -> Entry | None:
        """Make an entry; where another domain has the name, the guest is shown under it and its UUID's begin."""
        for name in (guest.name, f"{guest.name}-{guest.uuid[:8]}"):
            entry: Entry = self.new_entry(guest.uuid, name, visible=guest.persistent)  # type: ignore[attr-defined]  # the supervisor's
            try:
                self.services.directory.add(entry)
            except MechaneError as error:
                self.log.warning("cannot show %s of %s: %s", name, self.uri, error)
                continue
            if guest.persistent:
                entry.cell.put(facts.Defined(name=name, title="", size=Size()))
            return entry
        return None

    def _miss(self, found: set[str]) -> None:
        """Remove domains that the hypervisor itself no longer defines."""
        for entry in self.services.directory.all():
            snapshot = entry.cell.snapshot
            gone = snapshot.connection == self.uri.text and snapshot.uuid not in found and entry.visible
            if gone and not (snapshot.active or snapshot.starting) and entry.holder is None:
                entry.mailbox.urge(Order(verb="vanish"))
