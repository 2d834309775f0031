"""What a driver may do beside the contract: narrow protocols, one for each declared `Capability`.

All methods run on the connection's event loop under the rules of contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .contract import Capability, Target


@runtime_checkable
class Suspend(Protocol):
    """Capability suspend."""

    async def suspend(self, target: Target) -> None: ...
    async def resume(self, target: Target) -> None: ...


@runtime_checkable
class Reset(Protocol):
    """Capability reset."""

    async def reset(self, target: Target) -> None: ...


@runtime_checkable
class Monitor(Protocol):
    """Capability monitor."""

    async def monitor_command(self, target: Target, command: str, *, hmp: bool, deadline_s: float) -> Any: ...


@runtime_checkable
class Stats(Protocol):
    """Capability stats: libvirt's dotted names (cpu.time, balloon.current, block.0.rd.bytes, …).

    `groups` is a subset of cpu, balloon, vcpu, block, interface (state comes from the cell).
    """

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleChannel:
    """An open console: a non-blocking file descriptor to read and write, owned by the taker."""

    device: str
    fd: int
    close: Callable[[], None]


@runtime_checkable
class Console(Protocol):
    """Capability console."""

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What a command inside a guest left: its exit code (128 and more: a signal's number) and its output."""

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    """Whether more was said than is kept."""


@runtime_checkable
class Exec(Protocol):
    """Capability exec: commands in a running guest's own namespaces, as its root, without an agent in it."""

    async def execute(
        self, target: Target, argv: Sequence[str], *, stdin: bytes, environment: Mapping[str, str], deadline_s: float
    ) -> ExecResult: ...
    async def open_terminal(
        self, target: Target, argv: Sequence[str], *, environment: Mapping[str, str], rows: int, columns: int
    ) -> ConsoleChannel: ...


@runtime_checkable
class DomainCapabilities(Protocol):
    """Capability domain_capabilities: libvirt's XML plus the same facts as a map."""

    async def get_capabilities(self) -> dict[str, Any]: ...
    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]: ...


@runtime_checkable
class CpuModels(Protocol):
    """Capability cpu_models: compare processors and find what several have in common.

    Documents are `<cpu>` elements, or documents of domains, hosts or domain capabilities that hold one.
    """

    async def get_cpu_models(self, arch: str | None) -> list[str]: ...
    async def compare_cpu(self, xml: str) -> dict[str, Any]: ...
    async def compare_hypervisor_cpu(
        self, xml: str, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]: ...
    async def baseline_cpu(self, documents: Sequence[str], *, expand: bool, migratable: bool) -> dict[str, Any]: ...
    async def baseline_hypervisor_cpu(
        self, documents: Sequence[str], *, emulator: str | None, arch: str | None, machine: str | None,
        virttype: str | None, expand: bool, migratable: bool,
    ) -> dict[str, Any]: ...  # fmt: skip


@runtime_checkable
class NativeDefinitions(Protocol):
    """Capability native_definitions: the hypervisor keeps definitions of its own.

    `Driver.define` and `undefine` change them, `discover` lists them all, and they may change
    behind our back: what the hypervisor says is true, our store only keeps UUID and name.
    """

    async def get_definition(self, target: Target) -> str:
        """Return the hypervisor's own definition as domain XML."""
        ...


@runtime_checkable
class Save(Protocol):
    """Capability save; restoring is a start with mode RESTORE and `StartRequest.source`."""

    async def save(self, target: Target, path: str) -> None:
        """Write the guest's memory and state to an absolute path and end it; reports Exited, reason saved."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo:
    """One snapshot of a domain; `created_at` in seconds since 1970."""

    name: str
    parent: str = ""
    current: bool = False
    state: str = "shutoff"
    created_at: float = 0.0
    description: str = ""
    memory: bool = False


@runtime_checkable
class Snapshots(Protocol):
    """Capability snapshots."""

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]: ...
    async def create_snapshot(
        self, target: Target, name: str, *, description: str, memory: bool
    ) -> SnapshotInfo: ...
    async def revert_snapshot(self, target: Target, name: str) -> None: ...
    async def delete_snapshot(self, target: Target, name: str) -> None: ...


@runtime_checkable
class Hotplug(Protocol):
    """Capability hotplug: change devices of a running guest.

    `xml` is the live domain, `device` one device element. Each returns the live domain's XML
    after the change; nothing is changed when it raises.
    """

    async def attach_device(self, target: Target, xml: str, device: str) -> str: ...
    async def detach_device(self, target: Target, xml: str, device: str) -> str: ...
    async def update_device(self, target: Target, xml: str, device: str) -> str: ...


@runtime_checkable
class Vcpus(Protocol):
    """Capability vcpus: plug virtual processors into a running guest, or out of it."""

    async def set_vcpus(self, target: Target, xml: str, count: int) -> str:
        """Give the guest so many processors; returns the live domain's XML after it, as Hotplug does."""
        ...


@runtime_checkable
class MemorySize(Protocol):
    """Capability memory: give a running guest more or less memory, up to its maximum."""

    async def set_memory(self, target: Target, xml: str, kib: int) -> str:
        """Ask the guest to use `kib` KiB; returns the live domain's XML after it. The guest follows when it can."""
        ...


@runtime_checkable
class KeptState(Protocol):
    """Capability kept_state: what a guest wrote for itself and the node keeps: nvram (UEFI variables) and tpm.

    `undefine` leaves it; whoever removes a definition says what becomes of it.
    """

    async def kept_state(self, target: Target) -> Sequence[str]:
        """Return which kinds there are."""
        ...

    async def forget_state(self, target: Target, kinds: Collection[str]) -> None:
        """Remove some kinds for good; what is not there is no error."""
        ...


PROTOCOLS: dict[Capability, type] = {
    Capability.SUSPEND: Suspend,
    Capability.RESET: Reset,
    Capability.MONITOR: Monitor,
    Capability.STATS: Stats,
    Capability.CONSOLE: Console,
    Capability.EXEC: Exec,
    Capability.DOMAIN_CAPABILITIES: DomainCapabilities,
    Capability.NATIVE_DEFINITIONS: NativeDefinitions,
    Capability.SAVE: Save,
    Capability.SNAPSHOTS: Snapshots,
    Capability.HOTPLUG: Hotplug,
    Capability.VCPUS: Vcpus,
    Capability.MEMORY: MemorySize,
    Capability.CPU_MODELS: CpuModels,
    Capability.KEPT_STATE: KeptState,
}
"""Which protocol provides a capability; the registry checks a driver's declaration by it."""
