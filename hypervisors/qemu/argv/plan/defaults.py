"""Devices and values that a silent definition means, as libvirt fills them in for x86."""

from __future__ import annotations

from .....config.domain.balloon import Memballoon
from .....config.domain.cpu import Cpu
from .....config.domain.domain import Domain
from .....config.domain.input import Input
from .....config.domain.sound import Audio
from .....config.domain.video import Video, VideoModel
from ..records import Emulator
from ..refusal import refuse
from .machine import PC, Q35, chipset_of

NET_MODELS = (("rtl8139", "rtl8139"), ("e1000", "e1000"), ("virtio", "virtio-net-pci"))
"""Default models of a network card, the first that the emulator has."""
VIDEO_MODELS = (("cirrus", "cirrus-vga"), ("vga", "VGA"))


def fill_defaults(domain: Domain, emulator: Emulator) -> None:
    """Add what the definition leaves out.

    Raises:
        ConfigUnsupported: the amount of memory or the number of processors is missing.
    """
    _fill_sizes(domain)
    devices = domain.devices
    for interface in devices.interfaces:
        if interface.model.type is None and interface.type != "hostdev":
            interface.model.type = next(
                (model for model, driver in NET_MODELS if emulator.has_type(driver)), "virtio"
            )
    if devices.memballoon is None:
        devices.memballoon = Memballoon(model="virtio")
    for given in devices.inputs:
        if given.bus in (None, "default"):
            given.bus = "ps2" if given.type in ("mouse", "keyboard") else "usb" if given.type != "evdev" else None
            if given.type == "passthrough":
                given.bus = "virtio"
    if chipset_of(domain) in (PC, Q35):
        for kind in ("mouse", "keyboard"):
            if not any(item.type == kind and item.bus == "ps2" for item in devices.inputs):
                devices.inputs.append(Input(type=kind, bus="ps2"))
    _fill_video(domain, emulator)
    _fill_audio(domain)
    _fill_cpu(domain, emulator)
    for disk in devices.disks:
        if disk.device == "cdrom" and not disk.readonly:
            disk.readonly = True
    for watchdog in devices.watchdogs:
        if watchdog.action is None:
            watchdog.action = "reset"
    for panic in devices.panics:
        if panic.model in (None, "default"):
            panic.model = "isa"
    if devices.vsock is not None and devices.vsock.model in (None, "default"):
        devices.vsock.model = "virtio"
    for tpm in devices.tpms:
        if tpm.model in (None, "default"):
            tpm.model = "tpm-tis"
        if tpm.backend.type == "emulator" and tpm.backend.version in (None, "default"):
            banks = tpm.backend.active_pcr_banks is not None
            tpm.backend.version = "2.0" if tpm.model == "tpm-crb" or banks else "1.2"


def _fill_sizes(domain: Domain) -> None:
    cells = domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []
    modules = sum(item.target.size or 0 for item in domain.devices.memories)
    from_cells = sum(cell.memory or 0 for cell in cells)
    if from_cells:
        domain.memory.kib = from_cells + modules
    if not domain.memory.kib:
        raise refuse(domain, domain, "memory", "the amount of memory is missing")
    if domain.current_memory.kib is None or domain.current_memory.kib > domain.memory.kib:
        domain.current_memory.kib = domain.memory.kib
    if domain.vcpu.maximum is None:
        domain.vcpu.maximum = 1
    current = domain.vcpu.current
    if current is not None and current > domain.vcpu.maximum:
        raise refuse(domain, domain.vcpu, "@current", f"{current} is more than the maximum, {domain.vcpu.maximum}")


def _fill_cpu(domain: Domain, emulator: Emulator) -> None:
    """Name the processor that the machine has anyway, and how strictly the host is compared with it.

    Modes and checks: libvirt 9.0 writes them so for QEMU 7.2, for emulated guests and under KVM.
    """
    if domain.cpu is None:
        domain.cpu = Cpu()
    cpu = domain.cpu
    if cpu.topology is not None and cpu.topology.dies is None:
        cpu.topology.dies = 1
    if cpu.mode in (None, "custom") and not cpu.model.name:
        if cpu.features:
            raise refuse(domain, cpu, "feature", "features need a model that they are added to or taken from",
                         remedy="Name a <model> in <cpu>")
        name = emulator.default_cpu(domain.os.type.machine or "")
        if name is None:
            return
        cpu.mode, cpu.match, cpu.check = "custom", "exact", cpu.check or "none"
        cpu.model.name, cpu.model.fallback = name, "forbid"
    elif cpu.mode == "custom":
        cpu.model.fallback = cpu.model.fallback or "allow"
    if cpu.check is None:
        emulated = domain.type == "qemu" and cpu.mode == "custom"
        cpu.check = "none" if emulated or cpu.mode in ("host-passthrough", "maximum") else "partial"
    if cpu.mode == "host-passthrough" and cpu.migratable is None:
        cpu.migratable = True
    if not cpu.model.name and cpu.model.fallback is not None:
        cpu.model.fallback = None  # says something of a model only


def _fill_video(domain: Domain, emulator: Emulator) -> None:
    devices = domain.devices
    if devices.graphics and not devices.videos:
        devices.videos.append(Video(model=VideoModel()))
    chosen = next((item for item in devices.videos if item.model.primary), None)
    if chosen is not None and chosen is not devices.videos[0]:
        # the primary card comes first, and only the first display of a guest can be VGA compatible
        devices.videos[:] = [chosen, *(item for item in devices.videos if item is not chosen)]
    for position, video in enumerate(devices.videos):
        model = video.model
        if model.type == "default":
            model.type = next((kind for kind, driver in VIDEO_MODELS if emulator.has_type(driver)), "vga")
        if model.type == "none":
            continue
        model.heads = model.heads or 1
        if not any(other.model.primary for other in devices.videos) and position == 0:
            model.primary = True
        if model.type == "qxl":
            if model.vgamem and model.vgamem & (model.vgamem - 1):
                raise refuse(domain, video, "model/@vgamem", "not a power of two")
            model.ram = power_of_two(model.ram or 65536)
            model.vgamem = power_of_two(model.vgamem or 16384)
            model.vram = power_of_two(model.vram or 65536)
            model.vram64 = power_of_two(model.vram64) if model.vram64 else model.vram64
        elif model.vram is None and model.type in ("vga", "cirrus", "vmvga", "bochs"):
            model.vram = 16384


def power_of_two(size: int) -> int:
    """Return the smallest power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def _fill_audio(domain: Domain) -> None:
    """Add the backend that the display means: its own, or silence; a window on the host leaves it to QEMU."""
    devices = domain.devices
    shown = {item.type for item in devices.graphics}
    if not devices.audios and "sdl" not in shown and (not shown or shown & {"spice", "vnc"}):
        devices.audios.append(Audio(id=1, type="spice" if "spice" in shown else "none"))
    taken = {audio.id for audio in devices.audios}
    for audio in devices.audios:
        if audio.id is None:
            audio.id = next(number for number in range(1, 256) if number not in taken)
            taken.add(audio.id)
