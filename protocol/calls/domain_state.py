"""Calls that keep a guest's state: saving, restoring, snapshots; and that change its devices."""

from __future__ import annotations

from typing import Any

from ..catalogue import ConnectionRef, DomainRef, Place, call
from ..records import DomainRecord


@call(on=Place.DOMAIN, permission="domain:hibernate", libvirt=(55, 232), deadline="job")
def domain_save(domain: DomainRef, path: str, connection: ConnectionRef | None = None) -> DomainRecord:
    """Write a running guest's memory and state to a file on the node's host, and end it.

    Args:
        domain: UUID, or name.
        path: absolute path of the file to write; must not exist.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:start", libvirt=(54, 233), deadline="job")
def domain_restore(
    domain: DomainRef, path: str, paused: bool = False, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Start a defined domain from the file that domain.save wrote.

    Args:
        domain: UUID, or name.
        path: absolute path of the saved state.
        paused: leave the guest's processors stopped.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:read", libvirt=(187, 188, 274), idempotent=True, read_only=True)
def domain_snapshot_list(domain: DomainRef, connection: ConnectionRef | None = None) -> list[dict[str, Any]]:
    """List a domain's snapshots: name, parent, current, state, time, description.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:snapshot", libvirt=(185,), deadline="job")
def domain_snapshot_create(
    domain: DomainRef,
    name: str,
    description: str = "",
    memory: bool = True,
    connection: ConnectionRef | None = None,
) -> dict[str, Any]:
    """Take a snapshot of a domain.

    Args:
        domain: UUID, or name.
        name: name of the snapshot.
        description: what it is for (a document).
        memory: with the running guest's memory, where the hypervisor can.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:snapshot", libvirt=(192,), deadline="job")
def domain_snapshot_revert(
    domain: DomainRef, name: str, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Bring a domain back to a snapshot.

    Args:
        domain: UUID, or name.
        name: name of the snapshot.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:snapshot", libvirt=(193,), deadline="job")
def domain_snapshot_delete(
    domain: DomainRef, name: str, connection: ConnectionRef | None = None
) -> dict[str, Any]:
    """Delete a snapshot; its children keep their state.

    Args:
        domain: UUID, or name.
        name: name of the snapshot.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(8, 160), deadline="change")
def domain_attach_device(
    domain: DomainRef,
    device: str,
    live: bool = False,
    config: bool = False,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Add a device to the running guest, to the definition, or to both: all or nothing.

    Args:
        domain: UUID, or name.
        device: one device element of domain XML (a document).
        live: change the running guest; the default where it runs and config is not given.
        config: change the definition; the default where it does not run.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(13, 161, 392), deadline="change")
def domain_detach_device(
    domain: DomainRef,
    device: str,
    live: bool = False,
    config: bool = False,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Remove a device from the running guest, from the definition, or from both.

    Args:
        domain: UUID, or name.
        device: the device element, or as much of it as names one device (a document).
        live: change the running guest; the default where it runs and config is not given.
        config: change the definition; the default where it does not run.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(174,), deadline="change")
def domain_update_device(
    domain: DomainRef,
    device: str,
    live: bool = False,
    config: bool = False,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Change a device of the running guest, of the definition, or of both.

    Args:
        domain: UUID, or name.
        device: the device element as it shall be (a document).
        live: change the running guest; the default where it runs and config is not given.
        config: change the definition; the default where it does not run.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(32, 199), deadline="change")
def domain_set_vcpus(
    domain: DomainRef,
    count: int,
    live: bool = False,
    config: bool = False,
    maximum: bool = False,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Give a domain so many virtual processors: the running guest, the definition, or both.

    Args:
        domain: UUID, or name.
        count: how many, from 1 up to the maximum of the definition.
        live: change the running guest; the default where it runs and config is not given.
        config: change the definition; the default where it does not run.
        maximum: change the maximum instead, which only the definition can.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(30, 31, 204), deadline="change")
def domain_set_memory(
    domain: DomainRef,
    memory_kib: int,
    live: bool = False,
    config: bool = False,
    maximum: bool = False,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Give a domain so much memory: the running guest (which follows when it can), the definition, or both.

    Args:
        domain: UUID, or name.
        memory_kib: KiB that the guest may use, up to the maximum of the definition.
        live: change the running guest; the default where it runs and config is not given.
        config: change the definition; the default where it does not run.
        maximum: change the maximum instead, which only the definition can.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration
