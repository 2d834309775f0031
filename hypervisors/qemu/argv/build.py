"""Put a command line together."""

from __future__ import annotations

from ....config.domain.domain import Domain
from .balloon import add_balloon
from .boot import add_boot
from .clock import add_clock
from .context import Build
from .controllers import add_controllers
from .cpu import CpuBuilder
from .disks import DiskBuilder
from .filesystem import add_filesystems
from .firmware import FirmwareBuilder
from .graphics import add_graphics
from .hostdev import add_hostdevs
from .input import add_inputs
from .interfaces import add_interfaces
from .iothreads import add_iothreads
from .machine import add_globals, machine_words, plan_machine
from .memory import MemoryBuilder
from .memory_devices import add_memory_devices
from .options import as_keys, whole
from .panic import add_panics
from .passthrough import add_passthrough
from .plan.planner import plan_devices
from .records import CommandLine, Emulator, LiveDevices, Resources
from .rng import add_rngs
from .rules import check_rules
from .rules_machine import check_machine_rules
from .serials import add_serials
from .shmem import add_cryptos, add_iommu, add_pstore, add_shmems, add_vsock
from .smartcard import add_redirdevs, add_smartcards
from .smbios import add_generation, add_sysinfo
from .sound import add_audios, add_sounds
from .tpm import add_tpms
from .tuning import add_tuning
from .unbuilt import refuse_unbuilt
from .video import add_videos
from .watchdog import add_watchdogs

MONITOR = "charmonitor"


def build(domain: Domain, capabilities: Emulator, resources: Resources) -> CommandLine:
    """Return the command line of a guest, without the emulator's own path.

    Pure: reads nothing but its arguments, so any thread or a worker process may run it. The guest is
    to be started stopped (-S), the monitor commands of `before_cont` sent, then continued.

    Args:
        domain: its definition, planned or not.
        capabilities: the probed emulator.
        resources: what the node opened for this start.

    Raises:
        ConfigUnsupported: something in the definition cannot be built; `path` names it.
    """
    return build_planned(plan_devices(domain, capabilities, live=True), capabilities, resources)


def build_planned(planned: Domain, capabilities: Emulator, resources: Resources) -> CommandLine:
    """Return the command line of a definition that is planned, with aliases; it becomes the live definition.

    Raises:
        ConfigUnsupported: something in the definition cannot be built; `path` names it.
    """
    refuse_unbuilt(planned)
    check_rules(planned)
    check_machine_rules(planned, capabilities)
    work = Build(planned, capabilities, resources)
    _add_base(work)
    _add_devices(work)
    work.overrides.check_done()
    add_passthrough(work)
    return CommandLine(
        argv=_head(work) + work.argv,
        pass_fds=tuple(dict.fromkeys(work.fds)),
        files=tuple(work.files),
        live=LiveDevices(domain=planned, ptys=tuple(work.ptys), displays=tuple(work.displays)),
        environment=work.environment,
        before_cont=tuple(work.commands),
        passthrough=tuple(work.passthrough),
        raw_io=any(disk.rawio for disk in planned.devices.disks)
        or any(hostdev.rawio for hostdev in planned.devices.hostdevs),
    )


def _head(work: Build) -> list[str]:
    """Return what comes first; the machine's properties are known only when all is built."""
    name = as_keys("", {"guest": work.domain.name, "debug-threads": True})
    return ["-name", name, "-S", *machine_words(work)]


def _add_base(work: Build) -> None:
    firmware = FirmwareBuilder(work)
    firmware.choose()
    plan_machine(work)
    cpu = CpuBuilder(work)
    cpu.add()
    memory = MemoryBuilder(work)
    memory.add()
    locked = work.domain.memory_backing is not None and work.domain.memory_backing.locked
    work.option("-overcommit", as_keys("", {"mem-lock": locked}))
    cpu.add_topology()
    add_iothreads(work)
    memory.add_cells()
    if work.domain.uuid:
        work.option("-uuid", whole(work.domain.uuid))
    add_sysinfo(work)
    work.option("-no-user-config")
    work.option("-nodefaults")
    _add_monitor(work)
    add_clock(work)
    work.option("-no-shutdown")
    if work.domain.on_reboot not in (None, "restart"):
        # QEMU stops in place of a reboot; the driver then does what the definition says
        work.option("-action", as_keys("", {"reboot": "shutdown"}))
    add_globals(work)
    firmware.add()
    add_boot(work)
    add_iommu(work)
    add_memory_devices(work, memory)
    if work.resources.incoming is not None:
        work.option("-incoming", whole(work.resources.incoming))


def _add_monitor(work: Build) -> None:
    fd = work.resources.monitor_fd
    if fd is None:
        return
    work.fds.append(fd)
    work.chardev("socket", MONITOR, {"fd": fd, "server": True, "wait": False})
    work.option("-mon", as_keys("", {"chardev": MONITOR, "id": "monitor", "mode": "control"}))


def _add_devices(work: Build) -> None:
    add_controllers(work)
    add_filesystems(work)
    DiskBuilder(work).add()
    add_interfaces(work)
    add_smartcards(work)
    add_serials(work)
    add_tpms(work)
    add_inputs(work)
    add_audios(work)
    add_graphics(work)
    add_videos(work)
    add_sounds(work)
    add_watchdogs(work)
    add_redirdevs(work)
    add_hostdevs(work)
    add_balloon(work)
    add_rngs(work)
    add_panics(work)
    add_shmems(work)
    add_generation(work)
    add_vsock(work)
    add_cryptos(work)
    add_pstore(work)
    add_tuning(work)
    work.option("-msg", as_keys("", {"timestamp": True}))
