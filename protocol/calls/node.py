"""Calls about the node and its administration while it runs."""

from __future__ import annotations

from typing import Any, Literal

from ..catalogue import ConnectionRef, DomainRef, Place, Priority, call
from ..records import ClientInfo, NodeInfo


@call(on=Place.NODE, permission="connect:read", libvirt=(6, 101, 102),
      idempotent=True, read_only=True)  # fmt: skip
def node_get_info() -> NodeInfo:
    """Return the host's processors, memory, NUMA nodes and load, and the node's own version."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True)
def node_list_clients() -> list[ClientInfo]:
    """List the clients that are connected."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True)
def node_get_client(client: int) -> dict[str, Any]:
    """Return one client with its calls in flight.

    Args:
        client: its number in the list of clients.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:admin")
def node_disconnect_client(client: int) -> dict[str, Any]:
    """Close a client's connection; its accepted changes run on.

    Args:
        client: its number in the list of clients.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True)
def node_get_workers() -> dict[str, int]:
    """Return the executors: reserved, minimum, maximum, present, busy, and what waits."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:admin")
def node_set_workers(
    prio_workers: int | None = None, min_workers: int | None = None, max_workers: int | None = None
) -> dict[str, int]:
    """Change the number of executors while the node runs.

    Args:
        prio_workers: executors reserved for HIGH calls, 1 to 64.
        min_workers: ordinary executors always kept, 1 to 256.
        max_workers: ordinary executors at most, min_workers to 256.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True, read_only=True)
def node_get_limits() -> dict[str, Any]:
    """Return every limit and default deadline that is in force."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:admin")
def node_set_limits(limits: dict[str, Any]) -> dict[str, Any]:
    """Change limits of the running node; returns all limits.

    Args:
        limits: names of the limits table with their new values.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True)
def node_get_log_level() -> dict[str, str]:
    """Return the log level."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:admin")
def node_set_log_level(level: Literal["debug", "info", "warning", "error"]) -> dict[str, str]:
    """Set the log level of the running node.

    Args:
        level: the least severe messages that are logged.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, priority=Priority.HIGH, permission="node:read", idempotent=True)
def node_get_health() -> dict[str, Any]:
    """Return mailbox depths, slow HIGH calls, and busy, unresponsive and quarantined domains."""
    raise NotImplementedError  # declaration


@call(on=Place.NODE, permission="node:admin", deadline="start")
def node_reattach(domain: DomainRef | None = None, connection: ConnectionRef | None = None) -> dict[str, Any]:
    """Take a quarantined domain or connection into service again.

    Args:
        domain: the domain to re-attach.
        connection: the connection to open anew; with a domain, where the domain is.
    """
    raise NotImplementedError  # declaration
