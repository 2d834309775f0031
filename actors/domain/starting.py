"""Verbs that bring a guest into being, and clean up after it.

The order of a start is what makes `kill -9` of the node harmless:

1. the intent (owner token, incarnation, guest folder) is durable before anything is spawned;
2. the kill handle is published at the spawn, so destroy works from then on;
3. when the guest runs that is published, made durable, and only then acknowledged.

After a crash of the node a record in phase `starting` was never acknowledged: its guest is
killed. One in phase `running` is adopted (adopting.py), and so is one that has a mark (marks.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...config.errors import Busy, Cancelled, InvalidArgument, MechaneError, OperationFailed, StartFailed, Unresponsive
from ...config.reach import Guard
from ...hypervisors.contract import CancelFlag, Capability, Handle, Started, StartMode, StartRequest, Target
from ..cells import facts
from ..cells.snapshot import Size
from ..router.pending import PendingCall
from ..stores.aio import apply, fetch
from ..stores.interface import Delete, Operation, Put
from . import leftovers, reaching
from .registering import register, unregister
from .running import acknowledge_run, unmark
from .sizes import described
from .stored import OWNER, RUN, StoredOwner, StoredRun

if TYPE_CHECKING:
    from .actor import DomainActor

CLEAN_TRIES = 40
CLEAN_PAUSE_S = 0.05


async def start(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Start a defined domain."""
    xml = await actor.supervisor.definition(actor.entry)
    guard = await reaching.of_start(actor, call)
    await reaching.examined(actor, guard, xml)
    return await _bring_up(actor, {**args, "guard": guard}, call, xml, transient="")


async def create(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Start a transient domain; its entry is visible from the moment it runs."""
    caller = reaching.reach_of_caller(actor, call)
    guard = Guard(default=caller) if caller is not None else None
    try:
        await reaching.left_alone(actor, call)
        await reaching.examined(actor, guard, args["xml"])
    except MechaneError:
        if not actor.entry.visible:
            actor.supervisor.remove(actor.entry)
        raise
    await register(actor, args["xml"], transient=True)
    return await _bring_up(actor, {**args, "guard": guard}, call, args["xml"], transient=args["xml"])


async def restore(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Start a defined domain from the file that domain.save wrote."""
    path = absolute(args["path"])
    await reaching.file_of_caller(actor, call, path, write=False)
    xml = await actor.supervisor.definition(actor.entry)
    guard = await reaching.of_start(actor, call, saved=True)
    return await _bring_up(actor, {**args, "source": path, "guard": guard}, call, xml, transient="")


def absolute(path: str) -> str:
    """Return an absolute path of a file on the node's host.

    Raises:
        InvalidArgument: it is relative or climbs.
    """
    if not path.startswith("/") or ".." in path.split("/"):
        raise InvalidArgument("path must be absolute and without ..", remedy="name the file from /",
                              path="params.path", value=path[:200])  # fmt: skip
    return path


async def autostart(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Start a domain with the node."""
    return await start(actor, {}, None)


async def _bring_up(
    actor: DomainActor, args: dict[str, Any], call: PendingCall | None, xml: str, transient: str
) -> bytes:
    cell, supervisor = actor.cell, actor.supervisor
    await _finish_last(actor)
    snapshot = cell.snapshot
    cancel = CancelFlag()
    run = StoredRun(
        connection=snapshot.connection, name=snapshot.name, incarnation=snapshot.incarnation + 1, phase="starting",
        id=supervisor.next_id(), handle={}, xml=transient, size=asdict(snapshot.size), title=snapshot.title,
        autodestroy=bool(args.get("autodestroy")), start=uuid4().hex,
    )  # fmt: skip
    cell.begin_start(cancel)
    cell.put(facts.StartBegan(incarnation=run.incarnation))
    try:
        if call is not None and call.done:  # aborted, or too late, while the definition was read: told so already
            raise Cancelled(f"the start of {snapshot.name} was cancelled before it began")
        started, run = await _spawn(actor, run, xml, cancel, args)
        await _acknowledge(actor, run, started, "restored" if args.get("source") else "booted")
    except asyncio.CancelledError:
        raise  # the node stops: the record stays as it is, and the next node ends what is left
    except BaseException as error:
        await _give_up(actor, run, error)
        if cancel.reason is not None and isinstance(error, MechaneError) and not isinstance(error, Cancelled):
            raise Cancelled(f"the start of {snapshot.name} was cancelled: {cancel.reason}") from error
        raise
    finally:
        cell.end_start()
    if args.get("autodestroy") and call is not None:
        supervisor.autodestroy(actor.entry, call.client, run.incarnation)
    return cell.packed_record()


async def _finish_last(actor: DomainActor) -> None:
    """Clean up after the guest before, where that is still to be done: its record is about to be written over.

    Raises:
        OperationFailed: the domain was transient, and went with its guest.
    """
    incarnation = actor.cell.snapshot.incarnation
    if actor.entry.cleaned < incarnation:
        await clean(actor, {"incarnation": incarnation}, None)
    leftovers.refuse(actor)
    if actor.cell.gone:
        raise OperationFailed(f"domain {actor.cell.snapshot.name} has just been removed", remedy="try again")


async def _spawn(
    actor: DomainActor, run: StoredRun, xml: str, cancel: CancelFlag, args: dict[str, Any]
) -> tuple[Started, StoredRun]:
    """Have the driver start the guest; the intent is durable before it spawns."""
    snapshot = actor.cell.snapshot
    intended = False
    latest = run

    async def record(handle: Handle) -> None:
        nonlocal intended, latest
        latest = replace(latest, handle=handle)
        if not intended:
            intended = True
            with actor.unbroken():
                await _claim(actor, latest)
            actor.supervisor.services.fault("before_spawn")
        else:
            actor.supervisor.services.fault("after_spawn")

    request = StartRequest(
        target=Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=run.incarnation, id=run.id),
        xml=xml, paused=bool(args.get("paused")), source=args.get("source") or "",
        mode=StartMode.RESTORE if args.get("source") else StartMode.BOOT,
        token=str(actor.entry.owner_version), cancel=cancel, record=record, guard=args.get("guard"),
        facts=actor.supervisor.sink_of(actor.entry),
    )  # fmt: skip
    started = await leftovers.start_in_time(actor, request)
    native = Capability.NATIVE_DEFINITIONS in actor.supervisor.driver.capabilities  # asked for the live one each time
    live_xml = started.live_xml or ("" if native else xml)
    if request.mode is StartMode.RESTORE and started.live_xml:  # it has what it was saved with
        latest = replace(latest, size=asdict(described(started.live_xml)))
    return started, replace(latest, handle=started.handle, live_xml=live_xml)


def owned(actor: DomainActor, incarnation: int, *, held: bool) -> StoredOwner:
    """Return the owner's record to store, with what other versions keep in it."""
    node = actor.supervisor.services.node
    kept: StoredOwner = actor.entry.owner or StoredOwner(node=node, incarnation=incarnation, held=held)
    return replace(kept, node=node, incarnation=incarnation, held=held)


async def _claim(actor: DomainActor, run: StoredRun) -> None:
    services = actor.supervisor.services
    uuid = actor.entry.uuid
    owner = owned(actor, run.incarnation, held=True)
    result = await apply(
        services.definitions,
        [
            Put(OWNER + uuid, owner.pack(), if_version=actor.entry.owner_version),
            *([Put(RUN + uuid, run.pack())] if services.runtime is services.definitions else []),
        ],
    )
    actor.entry.owner, actor.entry.owner_version = owner, result.versions[0]
    if services.runtime is not services.definitions:
        await apply(services.runtime, [Put(RUN + uuid, run.pack())])


async def _acknowledge(actor: DomainActor, run: StoredRun, started: Started, detail: str) -> None:
    """Publish that the guest runs and make it durable; only then may it be acknowledged."""
    services = actor.supervisor.services
    now = services.wall_clock()
    after = actor.cell.put(
        facts.StartDone(
            incarnation=run.incarnation, id=run.id, state=started.state, reason=started.reason, pid=started.pid,
            started_at=now, detail=detail, size=Size(**run.size) if run.size else None,
        )
    )  # fmt: skip
    if not after.active or after.incarnation != run.incarnation:
        raise StartFailed(
            f"the guest of {after.name} ended while it was being started ({after.reason})",
            remedy="look at the guest's log", reason=after.reason,
        )  # fmt: skip
    actor.entry.visible = True
    run = replace(
        run, phase="running", state=started.state.value, reason=started.reason, started_at=now,
    )  # fmt: skip
    uuid = actor.entry.uuid
    boot = services.boots.marks(uuid) if after.persistent else []
    await acknowledge_run(actor.supervisor, uuid, run, boot)
    if boot:
        services.boots.committed(uuid)


async def _give_up(actor: DomainActor, run: StoredRun, error: BaseException) -> None:
    """Undo a start that failed: the guest is ended, records are removed, one event says so."""
    cell, supervisor = actor.cell, actor.supervisor
    snapshot = cell.snapshot
    was_killed = cell.killing
    reason = "destroyed" if was_killed or isinstance(error, Cancelled) else "failed"
    if snapshot.active and snapshot.incarnation == run.incarnation and cell.kill_handle is not None:
        cell.kill(0.0)  # it runs, but that could not be made durable: it must not stay
        if snapshot.persistent and not was_killed:  # its mark may have been made durable all the same
            await supervisor.services.boots.forget(actor.entry.uuid)
        return
    leftovers.tell(actor)
    cell.put(facts.StartGaveUp(incarnation=run.incarnation, reason=reason))
    supervisor.log.info("start of %s gave up: %s", snapshot.name, error)
    if was_killed and snapshot.persistent:  # its administrator wants it off, and so it stays
        await supervisor.services.boots.remember(actor.entry.uuid)
    await settle(actor, run.incarnation, start=run.start)


async def settle(actor: DomainActor, incarnation: int, *, start: str | None = None) -> None:
    """Forget a run of which nothing is left; what storage that hangs keeps is waited for, with the run's record."""
    if leftovers.wait(actor, incarnation):
        return
    await forget(actor, start=start)
    actor.entry.cleaned = incarnation
    if not actor.cell.snapshot.persistent:
        await unregister(actor)
        actor.supervisor.remove(actor.entry)


async def forget(actor: DomainActor, *, start: str | None = None) -> None:
    """Remove the run record and the mark, and free the owner token.

    Args:
        actor: whose domain it is.
        start: the start that is given up: the mark of another one stays.
    """
    services = actor.supervisor.services
    uuid = actor.entry.uuid
    await unmark(actor.supervisor, uuid, start)
    free = owned(actor, actor.cell.snapshot.incarnation, held=False)
    shared: list[Operation] = []
    if actor.entry.owner_version:
        keep = actor.cell.snapshot.persistent
        shared.append(Put(OWNER + uuid, free.pack()) if keep else Delete(OWNER + uuid))
    local: list[Operation] = [Delete(RUN + uuid)]
    if services.runtime is services.definitions:
        shared, local = [*shared, *local], []
    result = await apply(services.definitions, shared)
    if actor.entry.owner_version:
        actor.entry.owner_version = result.versions[0]
        actor.entry.owner = free if actor.entry.owner_version else None
    if local:
        await apply(services.runtime, local)


async def _finished(actor: DomainActor, target: Target) -> None:
    """Have the driver clean up, patiently: a thread of a verb that was broken off may still be on its way back."""
    for left in reversed(range(CLEAN_TRIES)):
        try:
            await actor.supervisor.driver.finished(target)
            return
        except (Busy, Unresponsive):
            if not left:
                raise
        await asyncio.sleep(CLEAN_PAUSE_S)


async def clean(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Clean up after a guest that exited, before the next call begins."""
    cell, supervisor = actor.cell, actor.supervisor
    snapshot = cell.snapshot
    if snapshot.incarnation != args["incarnation"] or snapshot.active or snapshot.starting:
        return
    if actor.entry.cleaned >= snapshot.incarnation:
        return
    target = Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=snapshot.incarnation)
    try:
        await _finished(actor, target)
    except MechaneError as error:
        supervisor.log.warning("clean-up of %s: %s", snapshot.name, error)
    await _forget_state(actor, target)
    actor.entry.stats = None
    await settle(actor, snapshot.incarnation)


async def _forget_state(actor: DomainActor, target: Target) -> None:
    """Remove what its definition's removal left to the guest's end: UEFI variables, the TPM."""
    supervisor = actor.supervisor
    if actor.cell.snapshot.persistent or Capability.KEPT_STATE not in supervisor.driver.capabilities:
        return
    try:
        found = await fetch(supervisor.services.runtime, RUN + target.uuid)
        kinds = StoredRun.unpack(found.value).forget if found is not None else []
        if kinds:
            await supervisor.driver.forget_state(target, kinds)
    except MechaneError as error:
        supervisor.log.warning("state of %s stays: %s", target.name, error)
