"""The verb that takes up a guest that ran before the node was restarted, or cleans up what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack

from ...config.errors import StoreError
from ...config.states import State
from ...hypervisors.contract import Started, Target
from ..cells import facts
from ..router.pending import PendingCall
from ..stores.interface import Put
from .orders import Order
from .running import keep_run
from .starting import clean, owned, settle
from .stored import OWNER, StoredRun
from .undertaking import after_end

if TYPE_CHECKING:
    from .actor import DomainActor


async def adopt(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Take up the guest of a record.

    A start that was never acknowledged is undone. A record that a newer version wrote stays as it is, and so
    does its guest: the domain is quarantined.
    """
    run: StoredRun = args["run"]
    cell, supervisor = actor.cell, actor.supervisor
    if cell.snapshot.incarnation != run.incarnation:
        return  # it had ended, and was started anew while the connection was being opened: that guest is another
    target = Target(uuid=cell.snapshot.uuid, name=run.name, incarnation=run.incarnation, id=run.id)
    try:
        if run.phase != "running":
            await _undo(actor, run, target)
            return
        started = await supervisor.driver.reattach(target, run.handle, supervisor.sink_of(actor.entry))
    except StoreError as error:
        cell.put(facts.WasQuarantined(cause=error.message))
        supervisor.log.error("%s stays as it is: %s", run.name, error)
        return
    if started is None:
        cell.put(facts.StartGaveUp(incarnation=run.incarnation, reason="unknown"))
        await after_end(actor)
        await clean(actor, {"incarnation": run.incarnation}, None)
        return
    unsure = cell.snapshot.stuck is not None or started.state is State.NOSTATE  # its monitor did not tell
    cell.put(
        facts.StartDone(
            incarnation=run.incarnation, id=run.id, state=run.known_state if unsure else started.state,
            reason=run.reason if unsure else _kept_reason(run, started), pid=started.pid, started_at=run.started_at,
            detail="adopted",
        )
    )  # fmt: skip
    actor.entry.visible = True
    supervisor.log.info("adopted %s (pid %s)", run.name, started.pid)
    if args.get("rewrite") or _differs(run, started):
        await _record(actor, replace(run, handle=started.handle))
    if cell.snapshot.persistent:  # a version before, which kept no marks, may have started it
        await supervisor.services.boots.remember(actor.entry.uuid)
    if actor.entry.work is not None:
        actor.entry.mailbox.urge(Order(verb="settle"))
    if run.autodestroy:  # no client's connection outlives the node
        supervisor.end_with_client(actor.entry, run.incarnation)


async def _undo(actor: DomainActor, run: StoredRun, target: Target) -> None:
    """End what a start left that was never acknowledged."""
    cell, supervisor = actor.cell, actor.supervisor
    await supervisor.driver.abandon(target, run.handle)
    cell.put(facts.StartGaveUp(incarnation=run.incarnation))
    await settle(actor, run.incarnation, start=run.start)


async def _record(actor: DomainActor, run: StoredRun) -> None:
    """Store whose guest it is and what runs: the store knew it otherwise, or not at all."""
    entry = actor.entry
    owner = owned(actor, run.incarnation, held=True)
    put = Put(OWNER + entry.uuid, owner.pack(), if_version=entry.owner_version)
    with actor.unbroken():
        await keep_run(actor.supervisor, entry.uuid, run, [put])
        entry.owner, entry.owner_version = owner, entry.owner_version + 1


def _differs(run: StoredRun, started: Started) -> bool:
    return bool(msgpack.unpackb(msgpack.packb(started.handle)) != run.handle)


def _kept_reason(run: StoredRun, started: Started) -> str:
    return run.reason if run.state == started.state.value else started.reason
