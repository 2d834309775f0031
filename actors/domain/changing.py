"""Verbs that change what a running guest does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.states import State
from ...hypervisors.contract import Target
from ...hypervisors.facts import StateChanged
from ..router.pending import PendingCall

if TYPE_CHECKING:
    from .actor import DomainActor


def target_of(actor: DomainActor) -> Target:
    """Return whom a driver's verb is about."""
    snapshot = actor.cell.snapshot
    return Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=snapshot.incarnation, id=snapshot.id)


async def suspend(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Stop the processors; a guest that is paused already stays so."""
    asked_at = actor.cell.snapshot.changes
    if actor.cell.snapshot.state is not State.PAUSED:
        target = target_of(actor)
        await actor.supervisor.driver.suspend(target)
        actor.cell.put(
            StateChanged(
                incarnation=target.incarnation, state=State.PAUSED, reason="user", event="suspended", detail="paused",
                asked_at=asked_at,
            )  # fmt: skip
        )
    return actor.cell.packed_record()


async def resume(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Let the processors go on; where they stop again at once (the disk is still full) that is what is shown."""
    target, asked_at = target_of(actor), actor.cell.snapshot.changes
    await actor.supervisor.driver.resume(target)
    actor.cell.put(
        StateChanged(
            incarnation=target.incarnation, state=State.RUNNING, reason="unpaused", event="resumed", detail="unpaused",
            asked_at=asked_at,
        )
    )  # fmt: skip
    return actor.cell.packed_record()


async def shutdown(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Ask the guest to shut down."""
    await actor.supervisor.driver.shutdown(target_of(actor), args.get("mode"))
    return actor.cell.packed_record()


async def reboot(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Ask the guest to reboot."""
    await actor.supervisor.driver.reboot(target_of(actor), args.get("mode"))
    return actor.cell.packed_record()


async def reset(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Press the reset button."""
    await actor.supervisor.driver.reset(target_of(actor))
    return actor.cell.packed_record()
