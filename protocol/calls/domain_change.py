"""Calls that change a domain's definition or its state."""

from __future__ import annotations

from typing import Any, Literal

from ..catalogue import ConnectionRef, DomainRef, Place, Priority, Seconds, call, when
from ..records import DomainRecord


@call(on=Place.CONNECTION, permission="domain:write", libvirt=(11, 350), deadline="change")
def domain_define_xml(xml: str, connection: ConnectionRef | None = None) -> DomainRecord:
    """Define a domain from its XML, or replace the definition with the same UUID and name.

    Args:
        xml: the domain's XML, as libvirt has it.
        connection: where; the node's first when left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.CONNECTION, permission="domain:start", libvirt=(10,), deadline="start")
def domain_create_xml(
    xml: str, paused: bool = False, autodestroy: bool = False, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Start a transient domain from its XML; it is gone when it stops.

    Args:
        xml: the domain's XML, as libvirt has it.
        paused: leave the guest's processors stopped.
        autodestroy: destroy it when this client's connection ends.
        connection: where; the node's first when left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:delete", libvirt=(35, 231), deadline="change")
def domain_undefine(
    domain: DomainRef,
    connection: ConnectionRef | None = None,
    nvram: Literal["keep", "remove"] | None = None,
    tpm: Literal["keep", "remove"] | None = None,
) -> DomainRecord:
    """Remove the definition; a running guest becomes transient.

    A guest that has UEFI variables or a TPM's state is refused until it is said what becomes of them: keys of
    encrypted disks may lie there. What a running guest shall lose goes when it ends.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
        nvram: whether UEFI variables that the node keeps stay for a later domain of this UUID, or go for good.
        tpm: the same of its TPM; as `nvram` where left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:start", libvirt=(9, 196), deadline="start")
def domain_start(
    domain: DomainRef, paused: bool = False, autodestroy: bool = False, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Start a defined domain; the answer comes when the guest runs.

    Args:
        domain: UUID, or name.
        paused: leave the guest's processors stopped.
        autodestroy: destroy it when this client's connection ends.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:suspend", libvirt=(34,), deadline="change")
def domain_suspend(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainRecord:
    """Stop the guest's processors; memory stays.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:suspend", libvirt=(28,), deadline="change")
def domain_resume(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainRecord:
    """Let a suspended guest's processors go on.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:init_control", libvirt=(33, 258), deadline="change")
def domain_shutdown(
    domain: DomainRef, mode: Literal["acpi"] | None = None, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Ask the guest to shut down; the answer comes when it was asked, not when it is off.

    Args:
        domain: UUID, or name.
        mode: how to ask: acpi presses the power button; the hypervisor's best when left out.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:init_control", libvirt=(27,), deadline="change")
def domain_reboot(
    domain: DomainRef, mode: Literal["acpi"] | None = None, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Ask the guest to shut down and start it again when it did.

    Args:
        domain: UUID, or name.
        mode: how to ask: acpi presses the power button; the hypervisor's best when left out.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:reset", libvirt=(245,), deadline="change")
def domain_reset(domain: DomainRef, connection: ConnectionRef | None = None) -> DomainRecord:
    """Press the reset button: the guest starts anew without being asked.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.KILL, priority=Priority.HIGH, permission="domain:stop", libvirt=(12, 234), deadline="destroy")
def domain_destroy(
    domain: DomainRef, grace_s: Seconds | None = None, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Stop a domain at once, without asking the guest; works while its monitor hangs.

    Args:
        domain: UUID, or name.
        grace_s: seconds between the polite signal and the last one, 0 to 60; 0 kills at
            once; the node's setting (2 s) when left out.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.KILL, priority=Priority.HIGH, permission="domain:write", libvirt=(164, 442), deadline="change")
def domain_abort_job(domain: DomainRef, connection: ConnectionRef | None = None) -> dict[str, Any]:
    """Cancel the job that holds the domain, at its next step.

    Args:
        domain: UUID, or name.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(29,), deadline="change")
def domain_set_autostart(
    domain: DomainRef, autostart: bool, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Say whether the domain starts with the node.

    Args:
        domain: UUID, or name.
        autostart: true to start it with the node.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(264,), deadline="change")
def domain_set_metadata(
    domain: DomainRef,
    type: Literal["description", "title", "element"],
    value: str | None,
    uri: str | None = None,
    key: str | None = None,
    connection: ConnectionRef | None = None,
) -> DomainRecord:
    """Set or remove the title, the description or a metadata element.

    Args:
        domain: UUID, or name.
        type: which kind of metadata.
        value: the text or the XML fragment; nil removes it.
        uri: namespace of the element, with type element.
        key: namespace prefix of the element, with type element.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:write", libvirt=(358,), deadline="change")
def domain_rename(domain: DomainRef, new_name: str, connection: ConnectionRef | None = None) -> DomainRecord:
    """Give a domain that does not run another name.

    Args:
        domain: UUID, or name.
        new_name: the name it shall have; must be free on its connection.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.DOMAIN, permission="domain:monitor", conditions=(when("command", "domain:monitor"),),
      deadline="monitor")  # fmt: skip
def domain_monitor_command(
    domain: DomainRef, command: str, hmp: bool = False, connection: ConnectionRef | None = None
) -> Any:
    """Send a command to the hypervisor's monitor and return its answer; equal to root.

    Args:
        domain: UUID, or name.
        command: QMP as JSON text ({"execute": …}), or a human command with hmp.
        hmp: the command is a human one; the answer is its text.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration
