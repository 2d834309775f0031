"""The QEMU driver: composed of parts, each in a file of its own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.errors import ConfigUnsupported, MechaneError, OperationFailed
from ..abilities import ConsoleChannel, SnapshotInfo
from ..contract import (
    Capability,
    Driver,
    DriverEnv,
    Found,
    Handle,
    HypervisorInfo,
    Inspection,
    Itself,
    Outcome,
    Started,
    StartRequest,
    Target,
)
from ..facts import FactSink
from ..reach.check import Rules, examine
from ..tooling.logkeeper import LogKeeper
from . import locks
from .adoption import Adoption
from .ballooning import Ballooning
from .cgroup import Grouping
from .checking import Checker
from .command import Definitions
from .console import Consoles
from .cpu.answers import CpuAnswers
from .cpu.settling import Settler
from .cpu.tables import ProcessorTables
from .emulators import Emulators, emulator_at, key_of
from .endings import Endings
from .host.ports import Ports
from .host.site import tpm_dirs
from .host.undefine import NVRAM, forget_kinds, kept_kinds, nvram_file
from .host_capabilities import HostCapabilities
from .host_choice import HostChoice
from .hotplug.hotplug import Hotplugging
from .hotplug.processors import Processors
from .identity import choose
from .keeping.saving import Saving
from .keeping.snapshots import Snapshotting
from .kvm import KvmProbe
from .options import QemuOptions
from .power import Power
from .procfs import boot_id
from .qmp import Command
from .recovery import Recovery
from .starting import Starter
from .stats import Statistics
from .workshop import Workshop, own_files

if TYPE_CHECKING:
    from ...config.domain.claim import Claim
    from ...config.domain.domain import Domain
    from ...config.reach import Guard

EMULATORS = ("/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-kvm", "/usr/libexec/qemu-kvm")
"""Where the host's own emulator may lie (Debian, Fedora, RHEL); the first that exists."""


class QemuDriver(Driver):
    """Guests of QEMU and KVM on this host: qemu:///system and qemu:///session."""

    kind: ClassVar[str] = "qemu"
    schemes: ClassVar[tuple[str, ...]] = ("qemu",)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.SUSPEND, Capability.RESET, Capability.MONITOR, Capability.STATS, Capability.CONSOLE,
            Capability.DOMAIN_CAPABILITIES, Capability.HOTPLUG, Capability.VCPUS, Capability.SAVE, Capability.SNAPSHOTS,
            Capability.CPU_MODELS, Capability.MEMORY, Capability.KEPT_STATE,
        }
    )

    def __init__(self, env: DriverEnv) -> None:
        super().__init__(env)
        options = QemuOptions.of(env.settings)
        self._shop = Workshop(
            env=env, options=options, identity=choose(options), boot_id=boot_id(),
            log=logging.getLogger("mechane.qemu"), tasks=set(),
            ports=Ports(options.display_port_min, options.display_port_max),
        )  # fmt: skip
        self._logs = LogKeeper(
            env.state_dir / "log", limit_bytes=options.log_bytes, files=options.log_files, log=self._shop.log
        )
        self._endings = Endings(self._shop)
        self._definitions = Definitions(env)
        self._emulators = Emulators(self._shop)
        self._kvm = KvmProbe(self._shop)
        self._grouping = Grouping(self._shop)
        tables = self._tables = ProcessorTables(self._shop)
        self._starter = Starter(
            self._shop, self._emulators, self._kvm, self._endings, self._definitions, self._grouping, Settler(tables)
        )
        self._checker = Checker(self._shop, self._emulators, self._definitions)
        self._adoption = Adoption(self._shop, self._endings)
        self._power = Power(self._shop, self._endings)
        self._hotplug = Hotplugging(self._shop, self._power, self._emulators)
        self._processors = Processors(self._shop, self._power, self._hotplug)
        self._ballooning = Ballooning(self._shop, self._power)
        self._saving = Saving(self._shop, self._power)
        self._snapshots = Snapshotting(self._shop, self._endings, self._definitions)
        self._recovery = Recovery(
            self._shop, self._endings, self._power, self._hotplug, self._processors, self._ballooning, self._saving,
            self._snapshots,
        )  # fmt: skip
        self._stats = Statistics(self._shop, self._power)
        self._consoles = Consoles(self._power)
        self._default = next((path for path in EMULATORS if Path(path).exists()), EMULATORS[0])
        choice = HostChoice(self._emulators, self._kvm, self._default)
        self._host = HostCapabilities(
            self._shop, self._emulators, self._kvm, choice, tables,
            live_migration=Capability.MIGRATION in self.capabilities,
        )  # fmt: skip
        self._cpus = CpuAnswers(self._shop, choice, tables)

    # ---- life

    async def open(self) -> HypervisorInfo:
        """Make the folders; the host's emulator and KVM are probed in the background."""
        try:
            await self._shop.blocking(key_of, self._default, domain=emulator_at(self._default))
        except ConfigUnsupported as error:
            raise OperationFailed(error.message, remedy="install QEMU (Debian: qemu-system-x86)") from error
        state = self.env.state_dir
        await self._shop.blocking(
            self._shop.let_in, self.env.runtime_dir, state, state / NVRAM, tpm_dirs(state),
            domain=Itself("the connection's folders"),
        )  # fmt: skip
        await self._adoption.look_around()
        known = await self._emulators.remembered(self._default)
        self._shop.later(self._learn())
        self._logs.start()
        version = ".".join(str(number) for number in known.version) if known is not None else ""
        return HypervisorInfo(version=version, details={"emulator": self._default, "user": self._shop.identity.user})

    async def _learn(self) -> None:
        try:
            await self._definitions.load()
            await self._emulators.get(self._default)
            await self._kvm.verdict(self._default)
        except MechaneError as error:
            self._shop.log.warning("%s cannot be probed: %s", self._default, error)

    async def close(self) -> None:
        """Let go of everything; guests keep running."""
        await self._shop.end_tasks()
        self._logs.close()
        self._grouping.close()
        await self._emulators.close()
        await self._tables.close()
        for guest in self._endings.guests.values():
            guest.live = False
            if guest.monitor is not None:
                guest.monitor.close()
            if guest.process is not None:
                guest.process.forget()
            guest.host.forget()
        self._endings.guests.clear()

    async def discover(self) -> Sequence[Found]:
        """Return guests that run and that nobody has taken up: QEMU keeps no list, the host's processes are one."""
        return await self._adoption.discover()

    async def define(self, target: Target, xml: str) -> str | None:
        """Check that a command line can be made of a definition, as far as that needs no start; return it filled in."""
        return await self._checker.check(target, xml)

    async def define_model(self, target: Target, domain: Domain) -> str:
        """As `define`, without writing and reading the definition in between."""
        return await self._checker.check_model(target, domain)

    async def examine(self, target: Target, claims: Sequence[Claim], guard: Guard, *, live: bool = False) -> None:
        """Look where on this host the claims lead; a start does it again, and holds what it found."""
        own = frozenset({str(nvram_file(self.env.state_dir, target.uuid))})
        rules = Rules(emulators=self._shop.options.emulator_dirs, own=own, live=live)
        await self._shop.blocking(examine, claims, guard, rules, domain=target.uuid)

    async def undefine(self, target: Target) -> None:
        """Forget what was kept for a definition: its folder, records of snapshots."""
        await self._shop.blocking(self._shop.folder_of(target.uuid).remove, domain=own_files(target.uuid))
        await self._shop.blocking(
            locks.forget, self.env.runtime_dir, target.uuid, domain=own_files(target.uuid)
        )
        await self._snapshots.forget(target)

    async def kept_state(self, target: Target) -> Sequence[str]:
        """Tell whether there are UEFI variables, or the state of a TPM."""
        kinds: Sequence[str] = await self._shop.blocking(
            kept_kinds, self.env.state_dir, target, domain=own_files(target.uuid)
        )
        return kinds

    async def forget_state(self, target: Target, kinds: Collection[str]) -> None:
        """Remove UEFI variables, or the state of a TPM."""
        await self._shop.blocking(forget_kinds, self.env.state_dir, target, kinds, domain=own_files(target.uuid))

    # ---- guests

    async def start(self, request: StartRequest) -> Started:
        """Start a guest."""
        return await self._starter.start(request)

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a running guest."""
        started = await self._adoption.reattach(target, handle, facts)
        if started is not None:
            self._recovery.adopted(target)
        return started

    async def recover(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Finish or take back a change that was broken off."""
        return await self._recovery.recover(target, note)

    async def abandon(self, target: Target, handle: Handle) -> None:
        """End what an unfinished start left."""
        await self._adoption.abandon(target, handle)

    async def sweep(self, known: Mapping[str, Handle]) -> Sequence[str]:
        """Remove what guests left that nobody knows."""
        return await self._adoption.sweep(known)

    async def inspect(self, target: Target) -> Inspection:
        """Ask QEMU for the state."""
        return await self._power.inspect(target)

    async def shutdown(self, target: Target, mode: str | None) -> None:
        """Press the power button."""
        await self._power.shutdown(target, mode)

    async def reboot(self, target: Target, mode: str | None) -> None:
        """Press the power button and start over."""
        await self._power.reboot(target, mode)

    async def destroy(self, target: Target, grace_s: float) -> None:
        """End the process; the node uses the kill handle instead."""
        process = self._power.guest(target).process
        assert process is not None
        process.kill(grace_s)

    async def finished(self, target: Target) -> None:
        """Clean up after a guest that exited."""
        await self._endings.finished(target)

    async def suspend(self, target: Target) -> None:
        """Stop the processors."""
        await self._power.change(target, Command("stop"))

    async def resume(self, target: Target) -> None:
        """Let the processors go on."""
        await self._power.change(target, Command("cont"))

    async def reset(self, target: Target) -> None:
        """Press the reset button."""
        await self._power.change(target, Command("system_reset"))

    async def monitor_command(self, target: Target, command: str, *, hmp: bool, deadline_s: float) -> Any:
        """Pass a command to the monitor."""
        return await self._power.command(target, command, hmp=hmp, deadline_s=deadline_s)

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Gather statistics."""
        return await self._stats.stats(target, groups, deadline_s=deadline_s)

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open a console."""
        return await self._consoles.open_console(target, device)

    # ---- states that are kept

    async def save(self, target: Target, path: str) -> None:
        """Write the guest to a file and end it."""
        await self._saving.save(target, path)

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """List the domain's snapshots, oldest first."""
        return await self._snapshots.shown(target)

    async def create_snapshot(
        self, target: Target, name: str, *, description: str, memory: bool
    ) -> SnapshotInfo:
        """Take a snapshot in the domain's qcow2 images."""
        return await self._snapshots.create(target, name, description=description, memory=memory)

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Go back to a snapshot."""
        await self._snapshots.revert(target, name)

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Delete a snapshot; its children hang from its parent."""
        await self._snapshots.delete(target, name)

    # ---- devices

    async def attach_device(self, target: Target, xml: str, device: str) -> str:
        """Plug a device."""
        return await self._hotplug.attach(target, xml, device)

    async def detach_device(self, target: Target, xml: str, device: str) -> str:
        """Unplug a device once the guest lets go."""
        return await self._hotplug.detach(target, xml, device)

    async def update_device(self, target: Target, xml: str, device: str) -> str:
        """Change a device."""
        return await self._hotplug.update(target, xml, device)

    async def set_vcpus(self, target: Target, xml: str, count: int) -> str:
        """Plug processors in or out."""
        return await self._processors.set_vcpus(target, xml, count)

    async def set_memory(self, target: Target, xml: str, kib: int) -> str:
        """Ask the guest to use so much memory."""
        return await self._ballooning.set_memory(target, xml, kib)

    def changed_handle(self, target: Target, handle: Handle) -> Handle:
        """Put the disks and consoles of a guest, and the files that were taken for it, into its handle."""
        guest = self._endings.guests.get(target.uuid)
        return guest.refresh(handle) if guest is not None else handle

    # ---- the host

    async def get_capabilities(self) -> dict[str, Any]:
        """Say what the host and its emulator can do."""
        return await self._host.get_capabilities()

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Say what a domain may ask for."""
        return await self._host.get_domain_capabilities(
            emulator=emulator, arch=arch, machine=machine, virttype=virttype
        )

    async def get_cpu_models(self, arch: str | None) -> list[str]:
        """Name the processor models of an architecture."""
        return await self._cpus.get_cpu_models(arch)

    async def compare_cpu(self, xml: str) -> dict[str, Any]:
        """Compare a processor with the host's."""
        return await self._cpus.compare_cpu(xml)

    async def compare_hypervisor_cpu(
        self, xml: str, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Compare a processor with what a guest can get."""
        return await self._cpus.compare_hypervisor_cpu(
            xml, emulator=emulator, arch=arch, machine=machine, virttype=virttype
        )

    async def baseline_cpu(self, documents: Sequence[str], *, expand: bool, migratable: bool) -> dict[str, Any]:
        """Find a processor that all hosts have."""
        return await self._cpus.baseline_cpu(documents, expand=expand, migratable=migratable)

    async def baseline_hypervisor_cpu(
        self, documents: Sequence[str], *, emulator: str | None, arch: str | None, machine: str | None,
        virttype: str | None, expand: bool, migratable: bool,
    ) -> dict[str, Any]:  # fmt: skip
        """Find a processor that guests can get on all hosts."""
        return await self._cpus.baseline_hypervisor_cpu(
            documents, emulator=emulator, arch=arch, machine=machine, virttype=virttype, expand=expand,
            migratable=migratable,
        )  # fmt: skip
