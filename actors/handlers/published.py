"""PUBLISHED calls: answered from memory, inline on the gateway's thread while that is idle.

Each handler gets the view, the client and its checked arguments, and returns the packed
result. None of them may wait; get_info reads /proc/PID/stat and nothing else.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from ...config.errors import InvalidArgument, NoConnection
from ...config.states import State
from ...protocol.catalogue import CallSpec
from ...protocol.wire import PROTOCOL, pack
from ..cells.directory import Entry, canonical_uuid, no_domain
from ..events.filter import EventFilter
from ..events.subscriptions import list_events_packed
from ..router.pending import Client
from .view import View

Args = dict[str, Any]
_STATES = frozenset(State)
SLICE = 512
"""Records joined at once: some 150 KiB, below 0.1 ms under the GIL (measured)."""


def hello(view: View, client: Any, args: Args) -> bytes:
    """Answer session.hello."""
    client.client_name = args["client"]
    limits = view.limits()
    return pack(
        {
            "node": view.node,
            "version": view.version,
            "protocol": PROTOCOL,
            "epoch": view.journal.epoch,
            "client": client.id,
            "identity": client.identity.to_wire(),
            "read_only": client.read_only,
            "limits": (limits.for_read_only() if client.read_only else limits).to_wire(),
            "connections": list(view.connections),
        }
    )


def ping(view: View, client: Client, args: Args) -> bytes:
    """Answer session.ping."""
    if len(args["data"]) > 4096:
        raise InvalidArgument("data is too long", remedy="send at most 4096 characters", path="params.data")
    return pack(args["data"])


def get_version(view: View, client: Client, args: Args) -> bytes:
    """Answer session.get_version."""
    return pack({"mechane": view.version, "protocol": PROTOCOL, "python": platform.python_version()})


def describe_call(spec: CallSpec) -> Args:
    """Return what session.list_calls says of a call."""
    return {
        "name": spec.name,
        "on": spec.on.value,
        "priority": spec.priority.value,
        "permission": spec.permission,
        "read_only": spec.read_only,
        "idempotent": spec.idempotent,
        "summary": spec.summary,
        "libvirt": list(spec.libvirt),
        "arguments": [
            {"name": a.name, "required": a.required, "default": a.default, "doc": a.doc}
            for a in spec.arguments.values()
        ],
    }


def list_calls(view: View, client: Client, args: Args) -> bytes:
    """Answer session.list_calls."""
    packed, prefix = view.packed_calls, args["prefix"]
    if not packed:
        packed.update((spec.name, pack(describe_call(spec))) for spec in view.catalogue)
    found = [call for name, call in packed.items() if name.startswith(prefix)]
    return b"".join([array_head(len(found)), *found])


def connection_list(view: View, client: Client, args: Args) -> bytes:
    """Answer connection.list."""
    return pack([supervisor.describe(client.grants) for supervisor in view.connections.values()])


def find_connection(view: View, uri: str | None) -> Any:
    """Return the supervisor of a connection; the node's first when `uri` is None.

    Raises:
        NoConnection: the node does not have it.
    """
    if uri is None:
        for supervisor in view.connections.values():
            return supervisor
    supervisor = view.connections.get(uri or "")
    if supervisor is None:
        raise NoConnection(
            f"this node has no connection {str(uri)[:100]!r}" if uri else "this node has no connection",
            remedy=f"it has {', '.join(view.connections) or 'none: start it with --connection URI'}",
        )
    return supervisor


def connection_get_info(view: View, client: Client, args: Args) -> bytes:
    """Answer connection.get_info."""
    return pack(find_connection(view, args["connection"]).describe(client.grants))


def domain_list(view: View, client: Client, args: Args) -> list[bytes]:
    """Answer domain.list: ready-packed records, joined in slices that are sent one after the other."""
    limit = args["limit"]
    if limit is not None and not 1 <= limit <= 100000:
        raise InvalidArgument("limit must be 1 to 100000", remedy="ask for pages", path="params.limit", value=limit)
    if args["connection"] is not None:
        find_connection(view, args["connection"])
    keep = _filter_of(view, client, args)
    after = _page_mark(args["after"])
    if keep is None and after is None and limit is None:
        pages = list(view.directory.packed())
        return [array_head(sum(count for count, _ in pages)), *(records for _, records in pages if records)]
    entries = view.directory.page(after, limit if keep is None else None)
    if keep is not None:
        entries = [entry for entry in entries if keep(entry)][:limit]
    parts = [array_head(len(entries))]
    for start in range(0, len(entries), SLICE):
        parts.append(b"".join([entry.cell.packed_record() for entry in entries[start : start + SLICE]]))
    return parts


def _page_mark(after: str | None) -> str | None:
    if after is None or (found := canonical_uuid(after)) is not None:
        return after and found
    raise InvalidArgument(
        f"after is no UUID: {after[:60]!r}", remedy="give the last UUID of the page before", path="params.after",
        value=after[:60],
    )  # fmt: skip


def array_head(length: int) -> bytes:
    """Return MessagePack's head of an array."""
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2, "big") if length < 65536 else b"\xdd" + length.to_bytes(4, "big")


def _filter_of(view: View, client: Client, args: Args) -> Callable[[Entry], bool] | None:
    tests: list[Callable[[Any], object]] = []
    if (connection := args["connection"]) is not None:
        tests.append(lambda s: s.connection == connection)
    if (states := args["states"]) is not None:
        for index, word in enumerate(states):
            if word not in _STATES:
                raise InvalidArgument(
                    f"{word!r} is no state", remedy=f"use {', '.join(State)}", path=f"params.states[{index}]",
                    value=word, allowed=[state.value for state in State],
                )  # fmt: skip
        wanted = frozenset(states)
        tests.append(lambda s: s.state in wanted)
    for name in ("active", "persistent", "autostart"):
        if (value := args[name]) is not None:
            tests.append(_equals(name, value))
    if (pattern := args["pattern"]) is not None:
        match = view.patterns.matcher(pattern)
        tests.append(lambda s: match(s.name))
    grants = client.grants
    if not grants.everywhere("domain:getattr"):
        tests.append(lambda s: grants.may("domain:getattr", s.connection, s.name))
    if not tests:
        return None
    return lambda entry: all(test(entry.cell.snapshot) for test in tests)


def _equals(name: str, value: bool) -> Callable[[Any], bool]:
    return lambda snapshot: getattr(snapshot, name) is value


def lookup(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.lookup."""
    return view.directory.find(args["domain"], args["connection"]).cell.packed_record()


def lookup_by_name(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.lookup_by_name."""
    entry = view.directory.find(args["name"], args["connection"])
    if entry.cell.snapshot.name != args["name"]:
        raise no_domain(args["name"])
    return _shown(client, entry, args["name"])


def lookup_by_uuid(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.lookup_by_uuid."""
    uuid = canonical_uuid(args["uuid"])
    if uuid is None:
        raise InvalidArgument(
            f"{args['uuid'][:60]!r} is no UUID", remedy="write 32 hex digits, with or without hyphens",
            path="params.uuid", value=args["uuid"][:60],
        )  # fmt: skip
    entry = view.directory.get(uuid)
    if entry is None or not entry.visible or args["connection"] not in (None, entry.connection):
        raise no_domain(uuid)
    return _shown(client, entry, uuid)


def lookup_by_id(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.lookup_by_id."""
    return _shown(client, view.directory.find_id(args["id"], args["connection"]), str(args["id"]))


def _shown(client: Client, entry: Entry, reference: str) -> bytes:
    snapshot = entry.cell.snapshot
    if not client.grants.may("domain:getattr", snapshot.connection, snapshot.name):
        raise no_domain(reference)
    return entry.cell.packed_record()


def get_state(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.get_state."""
    return view.directory.find(args["domain"], args["connection"]).cell.packed_state()


def get_info(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.get_info: the record, sizes, processor time from /proc."""
    cell = view.directory.find(args["domain"], args["connection"]).cell
    snapshot, handle = cell.snapshot, cell.kill_handle
    info = snapshot.record()
    size = snapshot.size
    info["max_memory_kib"] = size.max_memory_kib
    info["memory_kib"] = size.memory_kib
    info["vcpus"] = size.vcpus
    info["cpu_time_ns"] = handle.cpu_time_ns() if handle is not None else 0
    if snapshot.pid is not None:
        info["pid"] = snapshot.pid
    if snapshot.started_at and snapshot.active:
        info["started_at"] = snapshot.started_at
    return pack(info)


def get_control_info(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.get_control_info."""
    entry = view.directory.find(args["domain"], args["connection"])
    snapshot, holder = entry.cell.snapshot, entry.holder
    word = snapshot.control
    info: dict[str, Any] = {"control": word, "queued": len(entry.mailbox)}
    if holder is not None:
        if word == "ok":
            info["control"] = "occupied"
        info["holder"] = holder.describe(view.clock())
        info["for_s"] = info["holder"]["for_s"]
        info["since"] = holder.wall
    if snapshot.stuck is not None:
        info["command"] = snapshot.stuck.command
        info["since"] = snapshot.stuck.since
    cause = snapshot.quarantined or snapshot.zombie or snapshot.left
    if cause:
        info["cause"] = cause
    return pack(info)


def get_job_info(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.get_job_info: the verb that holds the domain is its job."""
    holder = view.directory.find(args["domain"], args["connection"]).holder
    if holder is None:
        return pack({"type": "none", "operation": "none"})
    info = {
        "type": "unbounded",
        "operation": holder.verb.partition(".")[2] or holder.verb,
        "since": holder.wall,
        "elapsed_s": round(view.clock() - holder.since, 3),
        "deadline_s": holder.deadline_s,
    }
    if holder.client is not None:
        info["owner"] = f"client {holder.client}"
    return pack(info)


def get_autostart(view: View, client: Client, args: Args) -> bytes:
    """Answer domain.get_autostart."""
    return pack(view.directory.find(args["domain"], args["connection"]).cell.snapshot.autostart)


def seen(view: View, client: Client, reference: str, connection: str | None) -> Entry:
    """Return a domain that the client may see.

    Raises:
        NoDomain: there is none, or it may not be seen: which of both cannot be told.
    """
    entry = view.directory.find(reference, connection)
    snapshot = entry.cell.snapshot
    if not client.grants.may("domain:getattr", snapshot.connection, snapshot.name):
        raise no_domain(reference)
    return entry


def event_filter(view: View, client: Client, args: Args) -> EventFilter:
    """Return the filter of a subscription, with what the client may see."""
    uuid = None
    if args.get("connection") is not None:
        find_connection(view, args["connection"])
    if args.get("domain") is not None:
        uuid = seen(view, client, args["domain"], args.get("connection")).uuid
    grants = client.grants
    may = None
    if not grants.everywhere("domain:getattr"):

        def may(event: Any) -> bool:
            name = event.get("name")
            return name is None or grants.may("domain:getattr", event.get("connection", ""), name)

    return EventFilter(kinds=args.get("kinds"), domain=uuid, connection=args.get("connection"), may=may)


def events_list(view: View, client: Client, args: Args) -> bytes:
    """Answer events.list."""
    limit = args["limit"]
    if not 1 <= limit <= 10000:
        raise InvalidArgument("limit must be 1 to 10000", remedy="ask for pages", path="params.limit", value=limit)
    wanted = event_filter(view, client, args)
    wanted = wanted.named(args["name"]) if args["name"] else wanted
    return list_events_packed(view.journal, wanted, args["since"], limit, newest=args["newest"])


PUBLISHED: dict[str, Callable[[Any, Any, Args], bytes | list[bytes]]] = {
    "session.hello": hello,
    "session.ping": ping,
    "session.get_version": get_version,
    "session.list_calls": list_calls,
    "connection.list": connection_list,
    "connection.get_info": connection_get_info,
    "domain.list": domain_list,
    "domain.lookup": lookup,
    "domain.lookup_by_name": lookup_by_name,
    "domain.lookup_by_uuid": lookup_by_uuid,
    "domain.lookup_by_id": lookup_by_id,
    "domain.get_state": get_state,
    "domain.get_info": get_info,
    "domain.get_control_info": get_control_info,
    "domain.get_job_info": get_job_info,
    "domain.get_autostart": get_autostart,
    "events.list": events_list,
}
