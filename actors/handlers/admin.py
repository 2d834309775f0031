"""Administration of the running node: HIGH, memory only, so that it works in trouble."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument, NoClient
from ..router.pending import PendingCall

if TYPE_CHECKING:
    from ..node.node import Node

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _client(node: Node, session: Any) -> dict[str, Any]:
    return {
        "id": session.id,
        "transport": session.transport,
        "read_only": session.read_only,
        "identity": session.identity.to_wire(),
        "name": session.client_name,
        "connected_at": session.connected_at,
        "calls": session.calls,
        "in_flight": len(session.in_flight),
        "outbox_bytes": session.outbox_bytes(),
        "subscriptions": node.subscriptions.count(session),
        "streams": len(session.streams),
    }


def list_clients(node: Node, call: PendingCall) -> Any:
    """Answer node.list_clients."""
    return [_client(node, session) for session in node.gateway.sessions()]


def _session(node: Node, number: int) -> Any:
    session = node.gateway.session(number)
    if session is None:
        raise NoClient(f"there is no client {number}", remedy="node.list_clients shows them")
    return session


def get_client(node: Node, call: PendingCall) -> Any:
    """Answer node.get_client."""
    session = _session(node, call.args["client"])
    now = node.services.clock()
    waiting = [
        {"msgid": c.msgid, "call": c.spec.name, "for_s": round(now - c.since, 3), "deadline_s": c.deadline_s}
        for c in list(session.in_flight.values())
        if isinstance(c, PendingCall)
    ]
    return {**_client(node, session), "waiting": waiting}


def disconnect_client(node: Node, call: PendingCall) -> Any:
    """Answer node.disconnect_client."""
    session = _session(node, call.args["client"])
    shown = _client(node, session)
    session.disconnect(None)
    return shown


def get_workers(node: Node, call: PendingCall) -> Any:
    """Answer node.get_workers."""
    return node.executors.describe()


def set_workers(node: Node, call: PendingCall) -> Any:
    """Answer node.set_workers."""
    executors, args = node.executors, call.args
    wanted = {
        "prio_workers": args["prio_workers"] if args["prio_workers"] is not None else executors.prio_workers,
        "min_workers": args["min_workers"] if args["min_workers"] is not None else executors.min_workers,
        "max_workers": args["max_workers"] if args["max_workers"] is not None else executors.max_workers,
    }
    for name, most in (("prio_workers", 64), ("min_workers", 256), ("max_workers", 256)):
        if not 1 <= wanted[name] <= most:
            raise InvalidArgument(f"{name} must be 1 to {most}", remedy="choose within that range",
                                  path=f"params.{name}", value=wanted[name])  # fmt: skip
    if wanted["min_workers"] > wanted["max_workers"]:
        raise InvalidArgument("min_workers is above max_workers", remedy="raise max_workers too",
                              path="params.min_workers", value=wanted["min_workers"])  # fmt: skip
    for name, value in wanted.items():
        setattr(executors, name, value)
    executors.resize()
    return executors.describe()


def get_limits(node: Node, call: PendingCall) -> Any:
    """Answer node.get_limits."""
    return node.services.limits.to_wire()


def set_limits(node: Node, call: PendingCall) -> Any:
    """Answer node.set_limits."""
    node.change_limits(call.args["limits"])
    return node.services.limits.to_wire()


def get_log_level(node: Node, call: PendingCall) -> Any:
    """Answer node.get_log_level."""
    level = logging.getLogger("mechane").level
    return {"level": next((word for word, number in LEVELS.items() if number == level), str(level))}


def set_log_level(node: Node, call: PendingCall) -> Any:
    """Answer node.set_log_level."""
    logging.getLogger("mechane").setLevel(LEVELS[call.args["level"]])
    return {"level": call.args["level"]}


def get_health(node: Node, call: PendingCall) -> Any:
    """Answer node.get_health."""
    now = node.services.clock()
    busy, stuck, quarantined = [], [], []
    for entry in node.services.directory.all():
        s, holder = entry.cell.snapshot, entry.holder
        if holder is not None or len(entry.mailbox):
            busy.append({"uuid": s.uuid, "name": s.name, "queued": len(entry.mailbox),
                         "holder": holder.describe(now) if holder else None})  # fmt: skip
        if s.stuck is not None:
            stuck.append({"uuid": s.uuid, "name": s.name, "command": s.stuck.command, "since": s.stuck.since})
        if s.quarantined:
            quarantined.append({"uuid": s.uuid, "name": s.name, "cause": s.quarantined})
    slow = node.router.slow
    return {
        "node": node.name,
        "ready": node.ready,
        "domains": len(node.services.directory),
        "busy": busy[:1000],
        "unresponsive": stuck[:1000],
        "quarantined": quarantined[:1000],
        "connections": [supervisor.describe() for supervisor in node.connections.values()],
        "mailboxes": {"high": node.executors.high.describe(), "low": node.executors.low.describe()},
        "workers": node.executors.describe(),
        "clients": len(node.gateway.sessions()),
        "gateway": node.gateway.counters(),
        "slow_high_calls": {"count": slow.count, "last": slow.last},
        "journal": {"head": node.journal.head, "oldest": node.journal.oldest, "epoch": node.journal.epoch},
    }


ADMIN: dict[str, Any] = {
    "node.list_clients": list_clients,
    "node.get_client": get_client,
    "node.disconnect_client": disconnect_client,
    "node.get_workers": get_workers,
    "node.set_workers": set_workers,
    "node.get_limits": get_limits,
    "node.set_limits": set_limits,
    "node.get_log_level": get_log_level,
    "node.set_log_level": set_log_level,
    "node.get_health": get_health,
}
