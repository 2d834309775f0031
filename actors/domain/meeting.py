"""Verbs for guests that changed behind our back: started or removed by somebody else."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...config.errors import MechaneError
from ...config.states import State
from ...hypervisors.contract import CancelFlag, Found, Target
from ..cells import facts
from ..cells.snapshot import Size
from ..router.pending import PendingCall
from ..stores.aio import apply
from ..stores.interface import Delete, Put
from .registering import registered
from .running import keep_run, store_run
from .sizes import described
from .starting import owned
from .stored import DOMAIN, OWNER, XML, StoredRun

if TYPE_CHECKING:
    from .actor import DomainActor


async def meet(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Take up a guest that somebody else started."""
    found: Found = args["found"]
    cell, supervisor = actor.cell, actor.supervisor
    snapshot = cell.snapshot
    if snapshot.active or snapshot.starting:
        return
    run = StoredRun(
        connection=snapshot.connection, name=snapshot.name, incarnation=snapshot.incarnation + 1, phase="running",
        id=supervisor.next_id(), handle=found.handle or {}, state=found.state.value, reason=found.reason,
        xml="" if snapshot.persistent else found.xml or "", live_xml=found.xml or "",
        started_at=supervisor.services.wall_clock(), start=uuid4().hex, size=_size_of(found),
    )  # fmt: skip
    owner = owned(actor, run.incarnation, held=True)
    put_owner = Put(OWNER + snapshot.uuid, owner.pack(), if_version=actor.entry.owner_version)
    with actor.unbroken():
        await store_run(supervisor, snapshot.uuid, run, [put_owner])
        actor.entry.owner, actor.entry.owner_version = owner, actor.entry.owner_version + 1
    cell.begin_start(CancelFlag())  # a destroy of the run before this one is not meant for this one
    cell.end_start()
    cell.put(facts.StartBegan(incarnation=run.incarnation))
    target = Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=run.incarnation, id=run.id)
    started = await supervisor.driver.reattach(target, run.handle, supervisor.sink_of(actor.entry))
    if started is None:
        cell.put(facts.StartGaveUp(incarnation=run.incarnation, reason="unknown"))
        return
    if started.state is State.NOSTATE:  # its monitor did not tell
        started = replace(started, state=found.state, reason=found.reason)
    actor.entry.visible = True
    cell.put(
        facts.StartDone(
            incarnation=run.incarnation, id=run.id, state=started.state, reason=started.reason, pid=started.pid,
            started_at=run.started_at, size=Size(**run.size) if run.size else None,
        )
    )
    supervisor.log.info("took up %s (pid %s), which nobody knew", snapshot.name, started.pid)
    run = replace(run, handle=started.handle, state=started.state.value, reason=started.reason)
    await keep_run(supervisor, snapshot.uuid, run)
    if snapshot.persistent:
        await supervisor.services.boots.remember(snapshot.uuid)


def _size_of(found: Found) -> dict[str, Any] | None:
    """Return the size of a guest that was found; None where its document does not tell."""
    if not found.xml:
        return None
    try:
        return asdict(described(found.xml))
    except MechaneError:
        return None


async def vanish(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Forget a domain that the hypervisor itself no longer defines."""
    if actor.cell.snapshot.active or await registered(actor):
        return  # it was defined again since the hypervisor was asked
    uuid = actor.entry.uuid
    gone = [Delete(DOMAIN + uuid), Delete(XML + uuid), Delete(OWNER + uuid)]
    await apply(actor.supervisor.services.definitions, gone)
    actor.cell.put(facts.Undefined())
    actor.supervisor.remove(actor.entry)
