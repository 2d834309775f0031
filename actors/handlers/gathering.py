"""NODE calls that wait: they run as tasks on the node's own loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...config.errors import DeadlineExceeded, InvalidArgument, MechaneError
from ...hypervisors.contract import Target
from ..cells import facts
from ..cells.directory import Entry
from ..domain.watching import state_group, wanted_groups
from ..router.pending import PendingCall
from .polling import Polls
from .published import find_connection, seen

if TYPE_CHECKING:
    from ..node.node import Node

BULK_DEADLINE_S = 2.0
"""How long list_stats waits for the slowest guest, when the caller's deadline is longer."""


async def list_stats(node: Node, call: PendingCall) -> list[dict[str, Any]]:
    """Gather statistics of many domains at once; a hung guest comes with its last values."""
    args = call.args
    groups = wanted_groups(args["groups"])
    entries = _wanted(node, call)
    loop = asyncio.get_running_loop()
    waits: dict[Entry, asyncio.Future[Any]] = {}
    polls: Polls = node.polls
    answers: dict[Entry, Any] = {}
    limit_s = min(BULK_DEADLINE_S, max(0.05, call.deadline_at - loop.time() - 0.05))
    for entry in entries:
        snapshot = entry.cell.snapshot
        if not snapshot.active or groups == {"state"}:
            answers[entry] = state_group(snapshot) if "state" in groups else {}
        elif snapshot.stuck is not None:
            answers[entry] = DeadlineExceeded(
                f"the monitor of {snapshot.name} does not answer {snapshot.stuck.command}",
                remedy="destroy the domain or wait", command=snapshot.stuck.command, since=snapshot.stuck.since,
            )  # fmt: skip
        else:
            waits[entry] = polls.ask(entry, groups, limit_s, read_only=call.client.read_only)
    try:
        if waits:
            await asyncio.wait(waits.values(), timeout=limit_s)
    finally:
        for future in waits.values():
            future.cancel()  # nothing where it is done; else whoever asked gave up
    for entry, future in waits.items():
        late = DeadlineExceeded(f"{entry.cell.snapshot.name} did not answer in {limit_s:g} s", remedy="ask again")
        answers[entry] = late if future.cancelled() else future.result()
    return [_shown(node, entry, answers[entry], groups) for entry in entries]


def _wanted(node: Node, call: PendingCall) -> list[Entry]:
    args, grants = call.args, call.client.grants
    connection = args["connection"]
    if connection is not None:
        find_connection(node.view, connection)
    if args["domains"] is not None:
        named = (seen(node.view, call.client, reference, connection) for reference in args["domains"])
        entries = list(dict.fromkeys(named))  # each once, however often it is named
    else:
        entries = node.view.directory.page()
    found = []
    for entry in entries:
        s = entry.cell.snapshot
        if connection is not None and s.connection != connection:
            continue
        if args["active"] is not None and s.active is not args["active"]:
            continue
        if grants.everything or grants.may("domain:read", s.connection, s.name):
            found.append(entry)
    return found


def _shown(node: Node, entry: Entry, answer: Any, groups: frozenset[str]) -> dict[str, Any]:
    s = entry.cell.snapshot
    shown: dict[str, Any] = {"uuid": s.uuid, "name": s.name, "node": s.node, "connection": s.connection}
    if not isinstance(answer, MechaneError):
        shown["stats"] = answer
        return shown
    kept = entry.stats
    shown["stats"] = state_group(s) if "state" in groups else {}
    if kept is not None:
        prefixes = tuple(f"{'net' if group == 'interface' else group}." for group in groups)
        shown["stats"] |= {key: value for key, value in kept[1].items() if key.startswith(prefixes)}
        shown["stats"] |= state_group(s) if "state" in groups else {}
        shown["stale_for_s"] = round(node.services.clock() - kept[0], 3)
    else:
        shown["error"] = answer.to_wire()
    return shown


async def get_info(node: Node, call: PendingCall) -> dict[str, Any]:
    """Return what the host is."""
    from ..node.host import host_info

    return {**host_info(), "node": node.name, "version": node.version, "started_at": node.started_at, "pid": node.pid}


async def reattach(node: Node, call: PendingCall) -> dict[str, Any]:
    """Take a quarantined domain or connection into service again."""
    args = call.args
    if args["domain"] is not None:
        entry = seen(node.view, call.client, args["domain"], args["connection"])
        supervisor = node.connections[entry.connection]
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(_reattach_domain(supervisor, entry), supervisor.home.loop)
        )
    if args["connection"] is None:
        raise InvalidArgument("say which domain or connection", remedy="give domain or connection", path="params")
    supervisor = find_connection(node.view, args["connection"])
    supervisor.window.forget()
    supervisor.home.call(supervisor.open_again)
    shown: dict[str, Any] = supervisor.describe(call.client.grants)
    return shown


async def _reattach_domain(supervisor: Any, entry: Entry) -> dict[str, Any]:
    if entry.window is not None:
        entry.window.forget()
    await supervisor.reload(entry)
    snapshot = entry.cell.put(facts.TakenBack())
    if snapshot.active:
        target = Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=snapshot.incarnation, id=snapshot.id)
        seen = await supervisor.driver.inspect(target)
        from ...hypervisors.facts import StateChanged

        entry.cell.put(
            StateChanged(
                incarnation=snapshot.incarnation, state=seen.state, reason=seen.reason, asked_at=snapshot.changes
            )
        )
    return entry.cell.snapshot.record()


GATHERING: dict[str, Any] = {
    "domain.list_stats": list_stats,
    "node.get_info": get_info,
    "node.reattach": reattach,
}
