"""Calls about processors: what the host has, what guests can get, what several hosts have in common."""

from __future__ import annotations

from ..catalogue import ConnectionRef, Place, call
from ..records import CpuBaseline, CpuComparison


@call(on=Place.OBJECT, permission="connect:read", libvirt=(312,), idempotent=True, read_only=True,
      deadline="probe")  # fmt: skip
def connection_get_cpu_models(connection: ConnectionRef | None = None, arch: str | None = None) -> list[str]:
    """Return the names of the processor models that an architecture's emulator has.

    Args:
        connection: which one; the node's first when left out.
        arch: the architecture, such as x86_64; the host's when left out.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:read", libvirt=(158,), idempotent=True, read_only=True,
      deadline="probe")  # fmt: skip
def connection_compare_cpu(
    xml: str, connection: ConnectionRef | None = None, fail_incompatible: bool = False
) -> CpuComparison:
    """Compare a processor with the host's: identical, superset (the host has more), or incompatible, and why.

    Args:
        xml: a `<cpu>`, or a document of a domain, of a host's capabilities or of domain capabilities that has one.
        connection: which one; the node's first when left out.
        fail_incompatible: answer an error (cpu_incompatible) instead of incompatible.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:write", libvirt=(393,), idempotent=True, deadline="probe")
def connection_compare_hypervisor_cpu(
    xml: str,
    connection: ConnectionRef | None = None,
    emulator: str | None = None,
    arch: str | None = None,
    machine: str | None = None,
    virttype: str | None = None,
    fail_incompatible: bool = False,
) -> CpuComparison:
    """Compare a processor with the most that the hypervisor can give a guest on this host.

    Args:
        xml: as `connection.compare_cpu` takes it.
        connection: which one; the node's first when left out.
        emulator: path of the emulator; the default of the architecture when left out.
        arch: architecture of the guest, such as x86_64; the host's when left out.
        machine: machine type, such as q35; the emulator's default when left out.
        virttype: kvm or qemu; the best that was proved to run when left out.
        fail_incompatible: answer an error (cpu_incompatible) instead of incompatible.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:read", libvirt=(162,), idempotent=True, read_only=True,
      deadline="probe")  # fmt: skip
def connection_baseline_cpu(
    documents: list[str],
    connection: ConnectionRef | None = None,
    expand_features: bool = False,
    migratable: bool = False,
) -> CpuBaseline:
    """Return the richest processor that all of the given ones can stand for, as `<cpu>` and as a map.

    Args:
        documents: each holds one or more of what `connection.compare_cpu` takes.
        connection: which one; the node's first when left out.
        expand_features: list the features of the model too.
        migratable: leave out features with which a guest cannot be migrated.
    """
    raise NotImplementedError  # declaration


@call(on=Place.OBJECT, permission="connect:write", libvirt=(394,), idempotent=True, deadline="probe")
def connection_baseline_hypervisor_cpu(
    documents: list[str],
    connection: ConnectionRef | None = None,
    emulator: str | None = None,
    arch: str | None = None,
    machine: str | None = None,
    virttype: str | None = None,
    expand_features: bool = False,
    migratable: bool = False,
) -> CpuBaseline:
    """Return the richest processor that guests can get on all hosts that the given ones were asked from.

    Args:
        documents: each holds one or more of what `connection.compare_cpu` takes, such as domain capabilities.
        connection: which one; the node's first when left out.
        emulator: path of the emulator; the default of the architecture when left out.
        arch: architecture of the guest, such as x86_64; the host's when left out.
        machine: machine type, such as q35; the emulator's default when left out.
        virttype: kvm or qemu; the best that was proved to run when left out.
        expand_features: list the features of the model too.
        migratable: leave out features with which a guest cannot be migrated.
    """
    raise NotImplementedError  # declaration
