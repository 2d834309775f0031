"""Verbs that keep a guest's state: save and snapshots."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ...config.characters import control_in, unshown_in
from ...config.errors import InvalidArgument
from ...config.states import is_active
from ...hypervisors.facts import StateChanged
from ..cells import facts
from ..router.pending import PendingCall
from . import reaching
from .changing import target_of
from .defining import save as store_record
from .defining import stored
from .registering import kept_by_hypervisor
from .sizes import described
from .starting import absolute
from .undertaking import undertaken

if TYPE_CHECKING:
    from .actor import DomainActor


async def save(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Write memory and state to a file; the driver reports the guest's exit as saved."""
    path = absolute(args["path"])
    await reaching.file_of_caller(actor, call, path, write=True)
    async with undertaken(actor, "save"):
        await actor.supervisor.driver.save(target_of(actor), path)
    return actor.cell.packed_record()


def _name(args: dict[str, Any], *, new: bool = False) -> str:
    name: str = args["name"]
    wrong = not name or name.startswith("-") or "/" in name or not name.isprintable()
    if wrong or (new and unshown_in(name)):  # one that is there already can be reverted to, and deleted
        raise InvalidArgument(
            f"{name[:60]!r} cannot name a snapshot", remedy="use letters, digits, dots and dashes", path="params.name",
            value=name[:60],
        )  # fmt: skip
    return name


async def snapshot_list(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> list[dict[str, Any]]:
    """List snapshots."""
    return [asdict(found) for found in await actor.supervisor.driver.list_snapshots(target_of(actor))]


def _description(args: dict[str, Any]) -> str:
    text: str = args["description"]
    if code := control_in(text, free=True):
        raise InvalidArgument(
            f"the snapshot's description has a control character ({code})", path="params.description", value=text[:60],
            remedy="of control characters it may have newlines and tabs",
        )  # fmt: skip
    return text


async def snapshot_create(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Take a snapshot."""
    name, description = _name(args, new=True), _description(args)
    await _may_touch_images(actor, call)
    async with undertaken(actor, "snapshot_create"):
        made = await actor.supervisor.driver.create_snapshot(
            target_of(actor), name, description=description, memory=args["memory"]
        )
    return asdict(made)


async def _may_touch_images(actor: DomainActor, call: PendingCall | None) -> None:
    """Measure the definition of a guest that does not run: its images are opened now, by their paths.

    Raises:
        PermissionDenied: it names what it may not.
    """
    if not actor.cell.snapshot.active:
        guard = await reaching.of_start(actor, call)
        if guard is not None:
            await reaching.examined(actor, guard, await actor.supervisor.definition(actor.entry), by_path=True)


async def snapshot_revert(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Go back to a snapshot, then look what state the guest is in."""
    target = target_of(actor)
    await _may_touch_images(actor, call)
    async with undertaken(actor, "snapshot_revert"):
        await actor.supervisor.driver.revert_snapshot(target, _name(args))
    asked_at = actor.cell.snapshot.changes
    seen = await actor.supervisor.driver.inspect(target) if actor.cell.snapshot.active else None
    if seen is not None and is_active(seen.state) and actor.cell.snapshot.active:
        actor.cell.put(
            StateChanged(
                incarnation=target.incarnation, state=seen.state, reason="from_snapshot", asked_at=asked_at
            )
        )
    if kept_by_hypervisor(actor) and actor.cell.snapshot.persistent:
        await _learn_size(actor)  # the definition came back with the rest
    actor.supervisor.discover_soon()
    return actor.cell.packed_record()


async def _learn_size(actor: DomainActor) -> None:
    size = described(await actor.supervisor.definition(actor.entry))
    await store_record(actor, replace(stored(actor), size=size), None)
    actor.cell.put(facts.Resized(defined=size))


async def snapshot_delete(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Delete a snapshot."""
    await _may_touch_images(actor, call)
    async with undertaken(actor, "snapshot_delete"):
        await actor.supervisor.driver.delete_snapshot(target_of(actor), _name(args))
    return {"name": args["name"]}
