"""What libvirt refuses of a QEMU guest although its format has it: rules between values, by kind of device.

Source of the rules: what libvirt 9.0 answers to such definitions (observed).
"""

from __future__ import annotations

from collections.abc import Callable

from ....config.domain.address import VirtioSerialAddress
from ....config.domain.domain import Domain
from ....config.domain.graphics import Graphics
from ....config.domain.video import Video
from .refusal import refuse

SMALLEST_VRAM_KIB = 1024
SMALLEST_SHMEM = 1 << 20
VIRTIO_PORTS = 31
"""Ports of a virtio-serial controller (QEMU's max_ports)."""
SECONDARY = ("qxl", "virtio")
MULTIHEAD = ("qxl", "virtio")


def check_rules(domain: Domain) -> None:
    """Look through a planned definition.

    Raises:
        ConfigUnsupported: the path names what breaks which rule.
    """
    for check in _CHECKS:
        check(domain)


def _check_graphics(domain: Domain) -> None:
    kinds: set[str] = set()
    for item in domain.devices.graphics:
        if item.type in kinds:
            raise refuse(domain, item, "@type", f"a guest has one display of type {item.type} at most")
        kinds.add(item.type)
        _check_display(domain, item)


def _check_display(domain: Domain, item: Graphics) -> None:
    if len([listen for listen in item.listens if listen.type in ("address", "socket")]) > 1:
        raise refuse(domain, item, "listen[2]", "QEMU listens at one address only")
    shown = {other.type for other in domain.devices.graphics}
    if item.type == "egl-headless" and shown & {"sdl", "dbus"}:
        raise refuse(domain, item, "@type", "egl-headless is for guests without a window on the host")


def _check_videos(domain: Domain) -> None:
    videos = domain.devices.videos
    primaries = [item for item in videos if item.model.primary]
    if len(primaries) > 1:
        raise refuse(domain, primaries[1], "model/@primary", "only one card can be the primary one")
    if len(videos) > 1:
        for item in videos:
            if item.model.type == "none":
                raise refuse(domain, item, "model/@type", "'none' beside another card")
    for place, item in enumerate(videos):
        _check_video(domain, item, first=item.model.primary or (not primaries and not place))


def _check_video(domain: Domain, item: Video, *, first: bool) -> None:
    model = item.model
    kind = model.type
    if not first and kind not in SECONDARY:
        raise refuse(domain, item, "model/@type", f"QEMU has no second card of type {kind}")
    if kind != "none" and (model.heads or 1) > 1 and kind not in MULTIHEAD:
        raise refuse(domain, item, "model/@heads", f"cards of type {kind} have one head")
    if model.vgamem is not None:
        if kind != "qxl":
            raise refuse(domain, item, "model/@vgamem", "only qxl cards have this")
        if model.vgamem & (model.vgamem - 1):
            raise refuse(domain, item, "model/@vgamem", "not a power of two")
    if model.vram64 is not None and kind != "qxl":
        raise refuse(domain, item, "model/@vram64", "only qxl cards have this")
    if model.vram is not None and model.vram < SMALLEST_VRAM_KIB and kind in ("vga", "qxl", "vmvga", "bochs"):
        raise refuse(domain, item, "model/@vram", f"less than {SMALLEST_VRAM_KIB} KiB")


def _check_audio(domain: Domain) -> None:
    ids: set[int | None] = set()
    for item in domain.devices.audios:
        if item.id in ids:
            raise refuse(domain, item, "@id", f"another audio backend has number {item.id}")
        ids.add(item.id)
        if item.type == "spice" and not _has_spice(domain):
            raise refuse(domain, item, "@type", "needs a display of type spice")
        for name, side in (("input", item.input), ("output", item.output)):
            if side.fixed_settings and side.mixing_engine is False:
                raise refuse(domain, item, f"{name}/@fixedSettings", "needs the mixing engine")


def _check_seclabels(domain: Domain) -> None:
    models = [label.model for label in domain.seclabels]
    for label in domain.seclabels:
        if models.count(label.model) > 1:
            raise refuse(domain, label, "@model", "there is another label of this model")


def _has_spice(domain: Domain) -> bool:
    return any(item.type == "spice" for item in domain.devices.graphics)


def _check_characters(domain: Domain) -> None:
    devices = domain.devices
    for item in (*devices.serials, *devices.parallels, *devices.consoles, *devices.channels, *devices.redirdevs,
                 *devices.smartcards):
        if item.type in ("spicevmc", "spiceport") and not _has_spice(domain):
            raise refuse(domain, item, "@type", f"{item.type} needs a display of type spice")
        if item.type == "udp" and len(item.sources) > 2:
            raise refuse(domain, item, "source[3]", "one source to listen and one to connect are enough")


def _check_ports(domain: Domain) -> None:
    devices = domain.devices
    for console in devices.consoles[1:]:
        if console.target.type in (None, "serial"):
            raise refuse(domain, console, "target/@type", "only the first console can be a serial port")
    if len(devices.smartcards) > 1:
        raise refuse(domain, devices.smartcards[1], "", "a guest has one smart card at most")
    for card in devices.smartcards:
        if card.database is not None and not card.database.startswith("/"):
            raise refuse(domain, card, "database", "must be an absolute path")
    for item in (*devices.channels, *devices.consoles):
        address = item.address
        if not isinstance(address, VirtioSerialAddress):
            continue
        ports = next((c.ports for c in devices.controllers if c.type == "virtio-serial"
                      and (c.index or 0) == (address.controller or 0)), None) or VIRTIO_PORTS
        if (address.port or 0) >= ports:
            raise refuse(domain, item, "address/@port", f"the controller has ports up to {ports - 1}")


def _check_disks(domain: Domain) -> None:
    backing, cpu = domain.memory_backing, domain.cpu
    cells = cpu.numa.cells if cpu is not None and cpu.numa is not None else []
    shared = (backing is not None and (backing.access.mode == "shared" or backing.source.type == "memfd")) or (
        bool(cells) and all(cell.mem_access == "shared" for cell in cells))
    for disk in domain.devices.disks:
        if disk.rawio is not None and disk.device != "lun":
            raise refuse(domain, disk, "@rawio", "only device 'lun' has this")
        if disk.source.reservations is not None and disk.device != "lun":
            raise refuse(domain, disk, "source/reservations", "only device 'lun' has this")
        if disk.type == "vhostuser" and not shared:
            raise refuse(domain, disk, "@type", "a vhost-user disk needs shared memory",
                         remedy="Add <memoryBacking><access mode='shared'/></memoryBacking> with a memfd source")
        if disk.device == "lun" and disk.type == "network" and disk.source.protocol != "iscsi":
            raise refuse(domain, disk, "source/@protocol", "device 'lun' needs iscsi")
        if disk.driver.name not in (None, "qemu"):
            raise refuse(domain, disk, "driver/@name", "QEMU's disks have driver qemu")


def _check_tpms(domain: Domain) -> None:
    for item in domain.devices.tpms:
        if item.backend.type != "emulator":
            continue
        if item.backend.version == "1.2" and item.model == "tpm-crb":
            raise refuse(domain, item, "@model", "TPM 1.2 has no such interface", remedy="Use tpm-tis, or version 2.0")
        if item.backend.active_pcr_banks is not None and item.backend.version != "2.0":
            raise refuse(domain, item, "backend/active_pcr_banks", "needs version 2.0")


def _check_shmems(domain: Domain) -> None:
    for item in domain.devices.shmems:
        if item.size is not None and (item.size < SMALLEST_SHMEM or item.size & (item.size - 1)):
            raise refuse(domain, item, "size", "must be a power of two, 1 MiB at least")
        if item.msi is not None and item.server is None:
            raise refuse(domain, item, "msi", "needs a server")


def _check_controllers(domain: Domain) -> None:
    for item in domain.devices.controllers:
        if item.type == "scsi" and not (item.model or "").startswith("virtio"):
            for name in ("queues", "cmd_per_lun", "max_sectors", "ioeventfd"):
                if getattr(item.driver, name) is not None:
                    raise refuse(domain, item, f"driver/@{name}", "only virtio-scsi controllers have this")


def _check_addresses(domain: Domain) -> None:
    for panic in domain.devices.panics:
        if panic.model == "isa" and panic.address is not None and panic.address.type != "isa":
            raise refuse(domain, panic, "address/@type", "this panic device sits on the ISA bus")
    iommu = domain.devices.iommu
    if iommu is not None and iommu.model == "intel" and iommu.address is not None:
        raise refuse(domain, iommu, "address", "this IOMMU is part of the machine and has no address")
    if iommu is not None and iommu.model != "intel" and not iommu.driver.is_empty():
        raise refuse(domain, iommu, "driver", f"an IOMMU of model {iommu.model} has no such options")


def _check_hostdevs(domain: Domain) -> None:
    for item in domain.devices.hostdevs:
        if item.rawio is not None and item.type != "scsi":
            raise refuse(domain, item, "@rawio", "only SCSI devices have this")


def _check_others(domain: Domain) -> None:
    for item in domain.devices.shmems:
        kind = item.model.type if item.model is not None else None
        if kind == "ivshmem-doorbell" and item.server is None:
            raise refuse(domain, item, "server", "a doorbell needs a server")
    for folder in domain.devices.filesystems:
        if folder.driver.type == "virtiofs" and folder.readonly:
            raise refuse(domain, folder, "readonly", "virtiofs folders cannot be read-only")
        if folder.driver.type != "virtiofs" and folder.boot is not None:
            raise refuse(domain, folder, "boot", "only virtiofs folders can be booted from")
    for watchdog in domain.devices.watchdogs:
        if watchdog.model != "i6300esb" and watchdog.address is not None:
            raise refuse(domain, watchdog, "address", f"a watchdog of model {watchdog.model} has no address")


_CHECKS: tuple[Callable[[Domain], None], ...] = (
    _check_ports, _check_disks, _check_seclabels, _check_graphics, _check_videos, _check_audio, _check_characters,
    _check_tpms, _check_shmems, _check_controllers, _check_addresses, _check_hostdevs,
    _check_others,
)  # fmt: skip
