"""How a connection takes up what runs when its node starts: recorded guests, those that nobody knows, quarantined ones.

Mixed into the supervisor; runs on its loop. No guest is ended here, but what an unacknowledged start left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...config.errors import MechaneError
from ..cells import facts
from ..cells.directory import Entry
from ..domain import marks
from ..domain.orders import Order
from ..domain.stored import DOMAIN, OWNER, RUN, StoredDomain, StoredOwner, StoredRun
from ..stores.aio import fetch

if TYPE_CHECKING:
    import logging

    from ..runtime.loop_thread import LoopThread
    from ..services import Services
    from .env import ConnectionEnv

ADOPT_DEADLINE_S = 30.0
ADOPT_PATIENCE_S = 5.0
"""How long the stocktaking and autostart wait for guests to be taken up; a hung one goes on in its own actor."""
READ_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What ran on the connection, by the store or by the guest's mark."""

    run: StoredRun
    rewrite: bool = False
    """Whether store and mark do not both have it as it is."""


class TakingUp:
    """See the module."""

    services: Services
    env: ConnectionEnv
    home: LoopThread
    log: logging.Logger
    driver: Any
    uri: Any
    _opened: asyncio.Event

    async def adopt_all(self, runs: dict[str, Recorded]) -> None:
        """Take up the guests that ran before, side by side; a hung one delays no other."""
        if not await self.opened(ADOPT_DEADLINE_S):  # type: ignore[attr-defined]  # the supervisor's
            self.log.error("%s is not open: its guests stay as recorded", self.uri)
            await self._opened.wait()
        waits = []
        for uuid, recorded in runs.items():
            entry = self.services.directory.get(uuid)
            if entry is not None and not entry.cell.snapshot.quarantined:
                waits.append(self._adopt(entry, recorded))
        if waits:
            await asyncio.wait(waits, timeout=ADOPT_PATIENCE_S)

    def _adopt(self, entry: Entry, recorded: Recorded) -> asyncio.Future[Any]:
        done = self.home.loop.create_future()
        args = {"run": recorded.run, "rewrite": recorded.rewrite}
        entry.mailbox.urge(Order(verb="adopt", args=args, done=settle(done)))
        return done

    async def take_stock(self, runs: dict[str, Recorded]) -> None:
        """Take up guests that nobody knows, then remove what is left of those that ended."""
        try:
            waits = [wait for guest in await self.driver.discover() if (wait := self.meet(guest)) is not None]
            if waits:
                self.log.warning("%d guests of %s run that nobody knew: they are taken up", len(waits), self.uri)
                await asyncio.wait(waits, timeout=ADOPT_PATIENCE_S)
            known = {uuid: item.run.handle for uuid, item in runs.items()}
            known |= {entry.uuid: {} for entry in self.services.directory.all() if entry.cell.snapshot.quarantined}
            swept = await self.driver.sweep(known)
        except MechaneError as error:
            self.log.warning("stocktaking of %s: %s", self.uri, error)
        else:
            if swept:
                self.log.warning("removed what %d guests left that ended: %s", len(swept), ", ".join(swept))

    def meet(self, guest: Any) -> asyncio.Future[Any] | None:
        """See Discovery."""
        raise NotImplementedError

    async def reload(self, entry: Entry) -> None:
        """Read the records of a domain again that was quarantined because one could not be read, and take it up.

        Raises:
            StoreError: one cannot be read still.
        """
        if not entry.unread:
            return
        uuid, services = entry.uuid, self.services
        domain = await fetch(services.definitions, DOMAIN + uuid)
        owner = await fetch(services.definitions, OWNER + uuid)
        run = await fetch(services.runtime, RUN + uuid)
        record = StoredDomain.unpack(domain.value) if domain is not None else None
        owned = StoredOwner.unpack(owner.value) if owner is not None else None
        ran = StoredRun.unpack(run.value) if run is not None else None
        mark = await self.env.blocking(marks.read, self.env.runtime_dir, uuid, deadline_s=READ_S, domain=uuid)
        entry.record, entry.stored_version = record, domain.version if domain is not None else 0
        entry.owner, entry.owner_version = owned, owner.version if owner is not None else 0
        entry.unread = False
        entry.cell.put(facts.TakenBack())
        found = marks.stronger(ran, mark)
        if found is not None:
            entry.cell.put(facts.StartBegan(incarnation=found.incarnation))
            await self._adopt(entry, Recorded(run=found, rewrite=True))


def settle(future: asyncio.Future[Any]) -> Any:
    """Return what tells a future of an order's outcome."""

    def done(outcome: Any) -> None:
        if not future.done():
            future.set_result(outcome)

    return done
