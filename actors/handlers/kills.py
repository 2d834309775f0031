"""KILL calls: they act outside the monitor and leave; whoever sees the exit replies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument, NoJob, OperationFailed, OperationInvalid
from ..cells.snapshot import Snapshot
from ..domain.orders import DestroyByDriver, Interrupt
from ..router.pending import PendingCall
from ..router.router import cancelled

if TYPE_CHECKING:
    from ..node.node import Node


def destroy(node: Node, call: PendingCall) -> None:
    """Kill the guest; the reply leaves when its exit is seen."""
    grace_s = call.args["grace_s"]
    if grace_s is None:
        grace_s = node.default_grace_s
    if not 0 <= grace_s <= 60:
        raise InvalidArgument("grace_s must be 0 to 60", remedy="use 0 to kill at once", path="params.grace_s",
                              value=grace_s)  # fmt: skip
    entry = call.entry
    cell = entry.cell
    killed = cell.kill(grace_s)  # which incarnation it was is known only now: a start may have begun just before

    def ended(snapshot: Snapshot) -> bool:
        if cell.gone or snapshot.incarnation != killed.incarnation or not (snapshot.active or snapshot.starting):
            call.reply_packed(cell.packed_record())
            return True
        if snapshot.zombie:
            call.fail(
                OperationFailed(
                    f"the process of {snapshot.name} was killed but does not die: {snapshot.zombie}",
                    remedy="the kernel holds it; mend the storage or network it waits for", cause=snapshot.zombie,
                )
            )  # fmt: skip
            return True
        return call.done

    if ended(cell.watch(ended)):
        cell.unwatch(ended)
        return
    if not killed.handled and not killed.starting:
        entry.mailbox.post(DestroyByDriver(grace_s=grace_s, call=call))
    node.deadlines.arm(call, lambda: cell.unwatch(ended))


def abort_job(node: Node, call: PendingCall) -> None:
    """Cancel the verb that holds the domain, at its next step."""
    entry = call.entry
    holder = entry.holder
    name = entry.cell.snapshot.name
    if holder is None:
        raise NoJob(f"no job holds domain {name}", remedy="nothing to abort")
    if entry.cell.cancel_start("by abort_job"):
        if entry.cell.kill_handle is not None:
            with contextlib.suppress(OperationInvalid):  # the start ended meanwhile
                entry.cell.kill(0.0)
        call.reply({"aborted": holder.verb})
        return
    victim = node.current_call(entry)
    if victim is None:
        raise NoJob(f"{holder.verb} of domain {name} cannot be aborted", remedy="wait for it")
    victim.cancelled = "by abort_job"
    entry.mailbox.post(Interrupt(call=victim, error=cancelled(victim)))
    call.reply({"aborted": holder.verb})


KILLS: dict[str, Any] = {"domain.destroy": destroy, "domain.abort_job": abort_job}
