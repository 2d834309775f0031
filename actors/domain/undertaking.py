"""Changes that take several steps: durable as an intent first, finished or taken back whatever comes between.

A driver that changes a running guest, its images or its files says before (`DriverEnv.intend`) what it is about to
do. That note is stored under work/<uuid> and goes in the very transaction that records the change. So:

- a note that is still there tells of a change that was broken off: by a deadline, a cancelled call, the guest's end,
  a full disk, the node's own end. `settle` has the driver finish it or take it back, and an event says which;
- no other verb that changes the domain begins before: each settles first, and so does the adoption;
- what the guest has and the store does not take yet is shown and worked with (`Pending.live_xml`), and recorded as
  soon as the store takes it.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...config.errors import (
    Busy,
    ConnectionLost,
    DeadlineExceeded,
    MechaneError,
    OutcomeUnknown,
    StoreError,
    Unresponsive,
)
from ...hypervisors.contract import Outcome
from ...hypervisors.facts import GuestEvent
from ..cells import facts
from ..cells.directory import Entry
from ..router.pending import PendingCall
from ..services import Services
from ..stores.aio import apply, fetch
from ..stores.interface import Delete, Operation, Put
from .changing import target_of
from .defining import save, stored
from .orders import Order
from .reaching import Record
from .registering import register
from .running import mark_anew
from .sizes import described
from .stored import RUN, WORK, StoredRun, StoredWork

if TYPE_CHECKING:
    from .actor import DomainActor

_log = logging.getLogger("mechane.domain")
SETTLE_S = 10.0
"""How long a verb that was broken off waits until that is settled; then it goes on in the background."""
RETRY_S = 2.0
ENDING_S = 0.05
"""Between the end of a guest's monitor and that of its process."""
LATER = (DeadlineExceeded, ConnectionLost, OutcomeUnknown, Unresponsive, Busy, StoreError)
"""Errors after which a change may still be settled: something does not answer now."""
BESIDE = frozenset(
    {
        "adopt", "clean", "settle", "meet", "vanish", "stats", "unplugged", "domain.get_stats", "domain.snapshot_list",
        "domain.open_console", "domain.open_exec", "domain.exec", "domain.monitor_command", "domain.set_autostart",
    }
)  # fmt: skip
"""Verbs that need not wait until a change that was broken off is settled."""


@dataclass(slots=True)
class Pending:
    """A change under way, or one that was broken off. Changed by the domain's actor alone."""

    work: StoredWork
    durable: bool = False
    """Whether the store may have the note."""
    live_xml: str = ""
    """What the guest has and the run record does not say yet."""
    retrying: bool = False


@asynccontextmanager
async def undertaken(
    actor: DomainActor, verb: str, *, config: str = "", before: str = "", reach: Record | None = None
) -> AsyncIterator[Pending]:
    """Run a change of several steps; whatever breaks it off, it is settled before the next.

    Args:
        actor: whose domain it is.
        verb: what is done.
        config: the definition that comes with it, stored where the change is finished.
        before: the definition as it is now, of a hypervisor that keeps definitions itself.
        reach: who brought in what that definition names.
    """
    snapshot = actor.cell.snapshot
    work = StoredWork(
        connection=snapshot.connection, verb=verb, incarnation=snapshot.incarnation,
        since=actor.supervisor.services.wall_clock(), config=_packed(config), before=_packed(before),
        reach=reach,
    )  # fmt: skip
    pending = actor.entry.work = Pending(work)
    try:
        yield pending
    except BaseException:
        if actor.entry.work is pending:
            with actor.unbroken():
                await _break_off(actor)
        raise
    if actor.entry.work is pending:
        try:
            await commit(actor)
        except MechaneError as error:  # it is done; that it is need only be noted
            _log.warning("%s of %s is done and not recorded yet: %s", verb, snapshot.name, error)
            settle_later(actor)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 1) if text else b""


def _unpacked(data: bytes) -> str:
    return zlib.decompress(data).decode() if data else ""


async def intend(services: Services, entry: Entry, note: Mapping[str, Any]) -> None:
    """Store the note of the change under way; see `DriverEnv.intend`. Nothing is kept where none is under way."""
    pending: Pending | None = entry.work
    if pending is None:
        return
    before = pending.work, pending.durable
    pending.work, pending.durable = replace(pending.work, note=dict(note)), True
    try:
        await apply(services.runtime, [Put(WORK + entry.uuid, pending.work.pack())])
    except MechaneError:
        pending.work, pending.durable = before
        raise


async def commit(
    actor: DomainActor, *, live_xml: str = "", config: str = "", handle: Mapping[str, Any] | None = None,
    reach: Record | None = None,
) -> None:  # fmt: skip
    """Record what was changed and that nothing is under way any more, in one transaction.

    Args:
        actor: whose domain it is.
        live_xml: the running guest as it is now; '' leaves what is recorded.
        config: the new definition, or ''.
        handle: the guest's handle as it is now.
        reach: who brought in what the new definition names.

    Raises:
        MechaneError: it is not recorded; what the guest has is shown for all that.
    """
    entry, services = actor.entry, actor.supervisor.services
    pending: Pending | None = entry.work
    local: list[Operation] = [Delete(WORK + entry.uuid)] if pending is not None and pending.durable else []
    live = described(live_xml) if live_xml else None
    changed: StoredRun | None = None
    with actor.unbroken():
        if live_xml and pending is not None:
            pending.live_xml = live_xml
            actor.cell.put(facts.Resized(live=live))
        run = await run_of(services, entry) if live_xml or handle is not None else None
        if run is not None:
            changed = replace(run, handle=dict(handle or run.handle), revision=run.revision + 1)
            if live is not None:
                changed = replace(changed, live_xml=live_xml, size=asdict(live))
                changed = changed if actor.cell.snapshot.persistent else replace(changed, xml=live_xml)
            local.append(Put(RUN + entry.uuid, changed.pack()))
        await _store(actor, local, config, reach)
        if changed is not None:
            await mark_anew(actor.supervisor, entry.uuid, changed)
        if live is not None:
            actor.cell.put(facts.Resized(live=live))
        if entry.work is pending:
            entry.work = None


async def _store(actor: DomainActor, local: Sequence[Operation], config: str, reach: Record | None) -> None:
    services = actor.supervisor.services
    if config:
        size = described(config)
        together = services.runtime is services.definitions
        await save(actor, replace(stored(actor), size=size, reach=reach), config, local if together else ())
        actor.cell.put(facts.Resized(defined=size))
        if together:
            return
    if local:
        await apply(services.runtime, local)


async def run_of(services: Services, entry: Entry) -> StoredRun | None:
    """Return the run record of a domain, with what its guest has and the store does not say yet.

    Raises:
        StoreError: it cannot be read.
    """
    found = await fetch(services.runtime, RUN + entry.uuid)
    if found is None:
        return None
    run = StoredRun.unpack(found.value)
    pending: Pending | None = entry.work
    return replace(run, live_xml=pending.live_xml) if pending is not None and pending.live_xml else run


# ---- what was broken off


def take_up(services: Services) -> None:
    """Find the changes that an earlier node was broken off in; each is settled when its domain is taken up.

    Raises:
        StoreError: the store cannot be read.
    """
    for found in services.runtime.list(WORK):
        entry = services.directory.get(found.key[len(WORK) :])
        if entry is None:
            continue  # of a connection that this node was not given
        try:
            work = StoredWork.unpack(found.value)
        except StoreError as error:
            _log.error("a change of %s was broken off and cannot be settled: %s", entry.cell.snapshot.name, error)
            continue
        entry.work = Pending(work, durable=True)
        if not entry.cell.snapshot.starting:
            entry.mailbox.urge(Order(verb="settle"))  # else the adoption does


async def after_end(actor: DomainActor) -> None:
    """Settle what the end of a guest broke off while no node looked."""
    try:
        await settle(actor)
    except MechaneError as error:
        _log.warning("a change of %s is not settled yet: %s", actor.cell.snapshot.name, error)
        settle_later(actor)


async def _break_off(actor: DomainActor) -> None:
    """Settle the change that has just failed; what cannot be settled now is later."""
    try:
        try:
            await asyncio.wait_for(settle(actor), SETTLE_S)
        except (ConnectionLost, OutcomeUnknown, Unresponsive):
            # the guest has just ended, so what was taken for it is given back; or a thread is about to come back
            await asyncio.sleep(ENDING_S)
            await asyncio.wait_for(settle(actor), SETTLE_S)
    except (MechaneError, TimeoutError) as error:
        _log.warning("a change of %s is not settled yet: %s", actor.cell.snapshot.name, error)
        settle_later(actor)


async def settle(actor: DomainActor) -> Outcome | None:
    """Finish or take back the change that was broken off, if there is one.

    Raises:
        MechaneError: something does not answer; it stays to be settled.
    """
    pending: Pending | None = actor.entry.work
    if pending is None:
        return None
    if not pending.durable:
        actor.entry.work = None
        return None
    if actor.cell.snapshot.starting:
        raise Busy(f"domain {actor.cell.snapshot.name} is not taken up yet", remedy="try again", what="domain", limit=1)
    work = pending.work
    try:
        outcome: Outcome = await actor.supervisor.driver.recover(target_of(actor), work.note)
    except LATER:
        raise
    except MechaneError as error:
        outcome = Outcome(done=False, said=f"it can be neither finished nor taken back: {error.message}")
    config = _unpacked(work.config) if outcome.done else ""
    if work.before:
        await register(actor, config or _unpacked(work.before))
    running = actor.cell.snapshot.active and actor.cell.snapshot.incarnation == work.incarnation
    live_xml = (outcome.xml or pending.live_xml) if running else ""
    handle = None
    if running and (run := await run_of(actor.supervisor.services, actor.entry)) is not None:
        handle = actor.supervisor.driver.changed_handle(target_of(actor), run.handle)
    await commit(actor, live_xml=live_xml, config=config, handle=handle, reach=work.reach)
    _tell(actor, work, outcome)
    return outcome


def _tell(actor: DomainActor, work: StoredWork, outcome: Outcome) -> None:
    name, event = actor.cell.snapshot.name, "finished" if outcome.done else "taken_back"
    data = {"message": outcome.said} if outcome.said else {}
    incarnation = actor.cell.snapshot.incarnation
    actor.cell.put(GuestEvent(incarnation=incarnation, kind="job", event=event, detail=work.verb, data=data))
    level = _log.warning if outcome.said else _log.info
    level("%s of %s was broken off and is %s%s", work.verb, name, event.replace("_", " "),
          f": {outcome.said}" if outcome.said else "")  # fmt: skip


def settle_later(actor: DomainActor, behind: Order | None = None) -> None:
    """Try again in a while, before any other verb, and have an order done behind that. Loop's thread."""
    pending: Pending | None = actor.entry.work
    entry, loop = actor.entry, actor.home.loop
    if behind is not None:
        loop.call_later(RETRY_S, entry.mailbox.urge, behind)
    if pending is None or pending.retrying:
        return
    pending.retrying = True

    def again() -> None:
        pending.retrying = False
        if entry.work is pending:
            entry.mailbox.urge(Order(verb="settle"))

    loop.call_later(RETRY_S, again)


async def settle_first(actor: DomainActor) -> None:
    """Settle what was broken off before another verb begins.

    Raises:
        Busy: it cannot be settled now.
    """
    pending: Pending = actor.entry.work
    try:
        await settle(actor)
    except LATER as error:
        settle_later(actor)
        raise Busy(
            f"{pending.work.verb} of domain {actor.cell.snapshot.name} was broken off and cannot be settled now: "
            f"{error.message}", remedy="try again later; `mechane destroy` works meanwhile", what="domain", limit=1,
            verb=pending.work.verb,
        ) from error  # fmt: skip


async def settled(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Verb of our own: settle, and try again later where that cannot be done now."""
    try:
        await asyncio.wait_for(settle(actor), SETTLE_S)
    except (MechaneError, TimeoutError) as error:
        _log.info("a change of %s is not settled yet: %s", actor.cell.snapshot.name, error)
        settle_later(actor)
