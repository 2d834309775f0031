"""Calls that find domains and tell what is known of them."""

from __future__ import annotations

from typing import Any, Literal

from ..catalogue import ConnectionRef, DomainRef, Place, Priority, call, when
from ..records import ControlInfo, DomainInfo, DomainRecord, DomainState, JobInfo


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="connect:search_domains", filter="domain:getattr",
      libvirt=(21, 25, 37, 51, 273), idempotent=True, read_only=True)  # fmt: skip
def domain_list(
    connection: ConnectionRef | None = None,
    states: list[str] | None = None,
    active: bool | None = None,
    persistent: bool | None = None,
    autostart: bool | None = None,
    pattern: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> list[DomainRecord]:
    """List domains, ordered by UUID.

    Args:
        connection: only this connection's; all of the node's when left out.
        states: only these state words (running, paused, shutoff, …).
        active: only running ones (true) or only those that do not run (false).
        persistent: only defined ones (true) or only transient ones (false).
        autostart: only those that start with the node (true), or that do not (false).
        pattern: only names that match this shell pattern (*, ?, [abc]); at most 255 characters, 16 stars, 16 sets.
        limit: at most this many, 1 to 100000.
        after: only UUIDs greater than this one: the last UUID of the page before.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:getattr", libvirt=(150, 151),
      idempotent=True, read_only=True)  # fmt: skip
def domain_lookup(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainRecord:
    """Find one domain by UUID or name.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:getattr", libvirt=(23,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_lookup_by_name(name: str, connection: ConnectionRef | None = None) -> DomainRecord:
    """Find one domain by its name.

    Args:
        name: the whole name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:getattr", libvirt=(24,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_lookup_by_uuid(uuid: str, connection: ConnectionRef | None = None) -> DomainRecord:
    """Find one domain by its UUID.

    Args:
        uuid: the UUID, with or without hyphens.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:getattr", libvirt=(22,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_lookup_by_id(id: int, connection: ConnectionRef | None = None) -> DomainRecord:
    """Find a running domain by its id.

    Args:
        id: the id it has while it runs, as `virsh list` shows it.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:read", libvirt=(212,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_get_state(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainState:
    """Return the state and its reason, as last seen; never asks the hypervisor.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:read", libvirt=(16, 17, 18, 19),
      idempotent=True, read_only=True)  # fmt: skip
def domain_get_info(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainInfo:
    """Return the record with memory, processors and processor time used.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:read", libvirt=(229,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_get_control_info(domain: DomainRef, connection: ConnectionRef | None = None) -> ControlInfo:
    """Return whether the monitor answers: control is ok, job, occupied, unresponsive, cleaning, quarantined.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:read", libvirt=(163, 298),
      idempotent=True, read_only=True)  # fmt: skip
def domain_get_job_info(domain: DomainRef, connection: ConnectionRef | None = None) -> JobInfo:
    """Return the job that holds the domain; its type is none when nothing does.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="domain:read", libvirt=(15,), idempotent=True,
      read_only=True)  # fmt: skip
def domain_get_autostart(domain: DomainRef, connection: ConnectionRef | None = None) -> bool:
    """Return whether the domain starts with the node.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="domain:read", conditions=(when("secure", "domain:read_secure"),),
      libvirt=(14,), idempotent=True, read_only=True)  # fmt: skip
def domain_get_xml(
    domain: DomainRef, inactive: bool = False, secure: bool = False, connection: ConnectionRef | None = None
) -> str:
    """Return the domain's XML: of the running guest, or of the definition.

    Args:
        domain: UUID, or name.
        inactive: the definition for the next start, also while the guest runs.
        secure: with passwords and keys.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="domain:read", libvirt=(265,), idempotent=True, read_only=True)
def domain_get_metadata(
    domain: DomainRef,
    type: Literal["description", "title", "element"] = "element",
    uri: str | None = None,
    connection: ConnectionRef | None = None,
) -> str:
    """Return the title, the description or a metadata element.

    Args:
        domain: UUID, or name.
        type: which kind of metadata.
        uri: namespace of the element, with type element.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:read", libvirt=(64, 65, 159, 243, 262), idempotent=True, read_only=True)
def domain_get_stats(
    domain: DomainRef, groups: list[str] | None = None, connection: ConnectionRef | None = None
) -> dict[str, Any]:
    """Return the domain's statistics, asked of the hypervisor now.

    Args:
        domain: UUID, or name.
        groups: state, cpu, balloon, vcpu, block, interface; all when left out.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.NODE, permission="connect:search_domains", filter="domain:read", libvirt=(344,),
      idempotent=True, read_only=True)  # fmt: skip
def domain_list_stats(
    domains: list[str] | None = None,
    groups: list[str] | None = None,
    active: bool | None = None,
    connection: ConnectionRef | None = None,
) -> list[dict[str, Any]]:
    """Return the statistics of many domains, gathered at once under one deadline.

    A domain whose monitor does not answer in time comes with its last values and
    `stale_for_s`, or with `error` when it never answered.

    Args:
        domains: UUIDs or names; all when left out.
        groups: state, cpu, balloon, vcpu, block, interface; all when left out.
        active: only running ones (true) or only those that do not run (false).
        connection: only this connection's domains.
    """
    raise NotImplementedError  # declaration
