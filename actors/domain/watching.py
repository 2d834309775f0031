"""Verbs that ask the hypervisor and change nothing: statistics, monitor commands, consoles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument
from ...config.states import STATE_NUMBERS, reason_number
from ...hypervisors.contract import Capability
from ..cells.snapshot import Snapshot
from ..router.pending import PendingCall
from .changing import target_of

if TYPE_CHECKING:
    from .actor import DomainActor

GROUPS = ("state", "cpu", "balloon", "vcpu", "block", "interface")
"""Groups of statistics, named as virsh domstats names them."""


def wanted_groups(groups: list[str] | None) -> frozenset[str]:
    """Return the groups asked for.

    Raises:
        InvalidArgument: an unknown one.
    """
    if groups is None:
        return frozenset(GROUPS)
    for index, group in enumerate(groups):
        if group not in GROUPS:
            raise InvalidArgument(
                f"{group!r} is no group of statistics", remedy=f"use {', '.join(GROUPS)}",
                path=f"params.groups[{index}]", value=group, allowed=list(GROUPS),
            )  # fmt: skip
    return frozenset(groups)


def state_group(snapshot: Snapshot) -> dict[str, Any]:
    """Return the state group, which needs no hypervisor."""
    return {
        "state.state": STATE_NUMBERS[snapshot.state],
        "state.reason": reason_number(snapshot.state, snapshot.reason),
    }


async def stats(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Gather the groups of `args` and keep them as the domain's last values."""
    groups: frozenset[str] = args["groups"]
    snapshot = actor.cell.snapshot
    values: dict[str, Any] = state_group(snapshot) if "state" in groups else {}
    asked = groups - {"state"}
    if asked and snapshot.active and Capability.STATS in actor.supervisor.driver.capabilities:
        deadline_s = args.get("deadline_s") or actor.supervisor.env.deadlines.query_s
        values |= await actor.supervisor.driver.stats(target_of(actor), asked, deadline_s=deadline_s)
        kept = actor.entry.stats
        merged = {**kept[1], **values} if kept is not None else values
        actor.entry.stats = (actor.supervisor.services.clock(), merged)
    return values


async def get_stats(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Answer domain.get_stats."""
    snapshot = actor.cell.snapshot
    values = await stats(actor, {"groups": wanted_groups(args.get("groups"))}, call)
    return {
        "uuid": snapshot.uuid,
        "name": snapshot.name,
        "node": snapshot.node,
        "connection": snapshot.connection,
        "stats": values,
    }


async def monitor_command(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> Any:
    """Pass a command to the monitor."""
    limit = actor.supervisor.services.limits.deadline_s("monitor")
    if call is not None:
        limit = max(0.001, call.deadline_at - actor.home.loop.time())
    return await actor.supervisor.driver.monitor_command(
        target_of(actor), args["command"], hmp=bool(args.get("hmp")), deadline_s=limit
    )


async def open_console(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> dict[str, Any]:
    """Open a console and hand its descriptor to the client's session as a stream."""
    assert call is not None
    return await actor.supervisor.consoles.open(actor.entry, target_of(actor), args, call)
