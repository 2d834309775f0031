"""Verbs that administer the running node; virt-admin's spellings are aliases."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from .context import Context
from .exits import OK
from .verb import Verb, option, positional

SECTION = "administration"
LEVELS = ("debug", "info", "warning", "error")


def when(timestamp: float) -> str:
    """Return a time as local date and time."""
    return datetime.fromtimestamp(timestamp, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def client_list(context: Context, options: Namespace) -> int:
    """List the clients of the node."""
    clients = context.client.node.list_clients(deadline_s=context.deadline_s)
    rows = (
        (c["id"], c["transport"], when(c["connected_at"]), c["calls"], c["in_flight"], _identity(c["identity"]))
        for c in clients
    )
    titles = ["Id", "Transport", "Connected since", "Calls", "In flight", "Identity"]
    context.show_table(clients, titles, rows)
    return OK


def _identity(identity: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in identity.items() if value not in (None, "", [], ()))


def client_info(context: Context, options: Namespace) -> int:
    """Show one client with its calls in flight."""
    info = context.client.node.get_client(options.client, deadline_s=context.deadline_s)
    context.show_pairs(info, _flat(info))
    return OK


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a map's names and values, with dots for maps inside; lists item by item."""
    items: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            items += _flat(inner, f"{prefix}{name}.") or [(f"{prefix}{name}", "-")]
        elif isinstance(inner, list) and any(isinstance(item, dict) for item in inner):
            for index, item in enumerate(inner):
                items += _flat(item, f"{prefix}{name}[{index}].")
        elif isinstance(inner, list):
            items.append((prefix + name, " ".join(map(str, inner)) or "-"))
        else:
            items.append((prefix + name, round(inner, 6) if isinstance(inner, float) else inner))
    return items


def client_disconnect(context: Context, options: Namespace) -> int:
    """Close a client's connection."""
    answer = context.client.node.disconnect_client(options.client, deadline_s=context.deadline_s)
    context.done(answer, f"Client '{options.client}' disconnected")
    return OK


def workers(context: Context, options: Namespace) -> int:
    """Show the executors."""
    answer = context.client.node.get_workers(deadline_s=context.deadline_s)
    context.show_pairs(answer, answer.items())
    return OK


def workers_set(context: Context, options: Namespace) -> int:
    """Change the number of executors."""
    answer = context.client.node.set_workers(
        options.priority_workers, options.min_workers, options.max_workers, deadline_s=context.deadline_s
    )
    context.show_pairs(answer, answer.items())
    return OK


def limits(context: Context, options: Namespace) -> int:
    """Show the limits, or change some."""
    if options.changes:
        from .values import named

        answer = context.client.node.set_limits(named(options.changes), deadline_s=context.deadline_s)
    else:
        answer = context.client.node.get_limits(deadline_s=context.deadline_s)
    context.show_pairs(answer, _flat(answer))
    return OK


def log_level(context: Context, options: Namespace) -> int:
    """Show or set the log level."""
    node = context.client.node
    if options.level:
        answer = node.set_log_level(options.level, deadline_s=context.deadline_s)
    else:
        answer = node.get_log_level(deadline_s=context.deadline_s)
    context.show(answer, answer.get("level", ""))
    return OK


def health(context: Context, options: Namespace) -> int:
    """Show mailboxes, slow calls, and domains that need attention."""
    answer = context.client.node.get_health(deadline_s=context.deadline_s)
    context.show_pairs(answer, _flat(answer))
    return OK


def reattach(context: Context, options: Namespace) -> int:
    """Take a quarantined domain or connection into service again."""
    with context.progress(f"re-attaching {options.domain or context.connection or 'the connection'}"):
        answer = context.client.node.reattach(
            options.domain, context.connection, deadline_s=context.deadline_s
        )
    context.done(answer, f"{options.domain or context.connection or 'connection'} is in service again")
    return OK


CLIENT = positional("client", "number in the list of clients", metavar="CLIENT", type=int)
VERBS = (
    Verb("health", "Show mailboxes, slow calls, and domains that need attention.", health, section=SECTION),
    Verb("reattach", "Take a quarantined domain or connection (-c) into service again.", reattach,
         (positional("domain", "the domain", metavar="DOMAIN", nargs="?"),), section=SECTION),
    Verb("client-list", "List the clients of the node.", client_list, section=SECTION),
    Verb("client-info", "Show one client with its calls in flight.", client_info, (CLIENT,), section=SECTION),
    Verb("client-disconnect", "Close a client's connection.", client_disconnect, (CLIENT,), section=SECTION),
    Verb("workers", "Show the executors (also srv-threadpool-info).", workers,
         (positional("server", "ignored: a node has one", metavar="SERVER", nargs="?"),), section=SECTION),
    Verb(
        "workers-set", "Change the number of executors (also srv-threadpool-set).", workers_set,
        (
            positional("server", "ignored: a node has one", metavar="SERVER", nargs="?"),
            option("--min-workers", "N", "ordinary executors always kept", type=int),
            option("--max-workers", "N", "ordinary executors at most", type=int),
            option("--priority-workers", "N", "executors reserved for HIGH calls", "--prio-workers", type=int),
        ),
        section=SECTION,
    ),
    Verb("limits", "Show the limits, or change some while the node runs.", limits,
         (positional("changes", "limits to change", metavar="NAME=VALUE", nargs="*"),), section=SECTION),
    Verb("log-level", "Show or set the log level.", log_level,
         (positional("level", ", ".join(LEVELS), metavar="LEVEL", nargs="?", choices=LEVELS),),
         section=SECTION),
)  # fmt: skip
