"""Calls that observe cells or the journal and occupy no mailbox: wait, subscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument, NoDomain
from ...config.states import State
from ..cells.snapshot import Snapshot
from ..router.pending import PendingCall
from .published import event_filter

if TYPE_CHECKING:
    from ..node.node import Node


def wait(node: Node, call: PendingCall) -> None:
    """Reply when the domain is in one of the states; register and leave."""
    args, cell = call.args, call.entry.cell
    words = frozenset(args["states"])
    allowed = {*State, "undefined"}
    for index, word in enumerate(args["states"]):
        if word not in allowed:
            raise InvalidArgument(
                f"{word!r} is no state", remedy=f"use {', '.join(State)} or undefined",
                path=f"params.states[{index}]", value=word, allowed=sorted(allowed),
            )  # fmt: skip
    if not words:
        raise InvalidArgument("states is empty", remedy="name at least one state", path="params.states")
    since = args["since_version"] or 0

    def seen(snapshot: Snapshot) -> bool:
        if cell.gone:
            if "undefined" in words:
                call.reply(snapshot.record())
            else:
                call.fail(NoDomain(f"domain {snapshot.name} was undefined meanwhile", remedy="wait for undefined"))
            return True
        if snapshot.state in words and snapshot.version > since and not snapshot.starting:
            call.reply_packed(cell.packed_record())
            return True
        return call.done

    if seen(cell.watch(seen, behind=call.client.behind)):
        cell.unwatch(seen)
        return
    call.on_cancel = lambda: _cancel(call, lambda: cell.unwatch(seen))
    node.deadlines.arm(call, lambda: cell.unwatch(seen))


def _cancel(call: PendingCall, release: Any) -> None:
    from ..router.router import cancelled

    release()
    call.fail(cancelled(call))


def subscribe(node: Node, call: PendingCall) -> None:
    """Answer events.subscribe, then let the events flow."""
    client: Any = call.client
    found = event_filter(node.view, client, call.args)
    subscription = node.subscriptions.subscribe(
        client, found, call.args["since"], most=client.limits.subscriptions
    )
    if call.reply(subscription.record):
        subscription.start()
    else:
        node.subscriptions.unsubscribe(client, subscription.number)


def unsubscribe(node: Node, call: PendingCall) -> None:
    """Answer events.unsubscribe."""
    client: Any = call.client
    node.subscriptions.unsubscribe(client, call.args["subscription"])
    call.reply({"subscription": call.args["subscription"]})


OBSERVING: dict[str, Any] = {
    "domain.wait": wait,
    "events.subscribe": subscribe,
    "events.unsubscribe": unsubscribe,
}
