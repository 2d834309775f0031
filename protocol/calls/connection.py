"""Calls about the node's hypervisor connections."""

from __future__ import annotations

from typing import Any

from ..catalogue import ConnectionRef, Place, Priority, call
from ..records import ConnectionInfo


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="connect:getattr", idempotent=True,
      read_only=True)  # fmt: skip
def connection_list() -> list[ConnectionInfo]:
    """List the node's hypervisor connections."""
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="connect:getattr", libvirt=(3, 4, 59, 110),
      idempotent=True, read_only=True)  # fmt: skip
def connection_get_info(connection: ConnectionRef | None = None) -> ConnectionInfo:
    """Return one connection: its kind, state, hypervisor version and declared capabilities.

    Args:
        connection: which one; the node's first when left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:read", libvirt=(7,), idempotent=True, read_only=True,
      deadline="probe")  # fmt: skip
def connection_get_capabilities(connection: ConnectionRef | None = None) -> dict[str, Any]:
    """Return the host's and the hypervisor's capabilities, as libvirt's XML and as a map.

    Args:
        connection: which one; the node's first when left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:write", libvirt=(342,), idempotent=True, deadline="probe")
def connection_get_domain_capabilities(
    connection: ConnectionRef | None = None,
    emulator: str | None = None,
    arch: str | None = None,
    machine: str | None = None,
    virttype: str | None = None,
) -> dict[str, Any]:
    """Return what a domain may ask for on this host, as libvirt's XML and as a map.

    Args:
        connection: which one; the node's first when left out.
        emulator: path of the emulator; the default of the architecture when left out.
        arch: architecture of the guest, such as x86_64; the host's when left out.
        machine: machine type, such as q35; the emulator's default when left out.
        virttype: kvm or qemu; the best that was proved to run when left out.
    """
    raise NotImplementedError  # declaration
