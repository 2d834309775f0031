"""Disks, CD-ROM drives and floppy drives."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, UINT, UINT32, YES_NO, matching, words
from ..xml.extra import Problem
from ..xml.fields import attr, flag, text
from .device import Device, VirtioDriver
from .filling import Filling
from .storage import (
    PROTOCOLS,
    SOURCE_TYPES,
    Auth,
    BackendDomain,
    BackingStore,
    CacheSize,
    Encryption,
    Mirror,
    StorageSource,
    Transient,
)
from .words import POSITIVE, STORAGE_FORMAT, VIRTIO_MODEL, WWN

# What a target's name says of its bus, and the attribute that each type of source needs
_BUS_OF = {"fd": "fdc", "hd": "ide", "sd": "scsi", "vd": "virtio", "xvd": "xen", "ubd": "uml"}
_DISK_NAMES = ("hd", "sd", "vd", "xvd", "ubd", "nvme")
_NEEDED = {"file": "file", "block": "dev", "dir": "dir", "volume": "pool", "vhostuser": "path", "nvme": "type"}
BUSES = ("ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd", "nvme")


def _is_disk_name(dev: str) -> bool:
    """Tell whether a target is named as disks are: a known beginning and letters (nvme: a number)."""
    if dev.startswith("nvme"):
        return True
    prefix = next((start for start in _DISK_NAMES if dev.startswith(start)), None)
    letters = dev[len(prefix):].rstrip("0123456789") if prefix is not None else ""
    return letters.isascii() and letters.isalpha() and letters.islower()


class DiskDriver(VirtioDriver, change="re-create"):
    """How the emulator treats the disk."""

    name: str | None = attr("name")
    type: str | None = attr("type", STORAGE_FORMAT)
    cache: str | None = attr("cache", words("default", "none", "writeback", "writethrough", "directsync", "unsafe"))
    error_policy: str | None = attr("error_policy", words("stop", "report", "ignore", "enospace"))
    rerror_policy: str | None = attr("rerror_policy", words("stop", "report", "ignore"))
    io: str | None = attr("io", words("threads", "native", "io_uring"))
    ioeventfd: bool | None = attr("ioeventfd", ON_OFF)
    event_idx: bool | None = attr("event_idx", ON_OFF)
    copy_on_read: bool | None = attr("copy_on_read", ON_OFF)
    discard: str | None = attr("discard", words("unmap", "ignore"))
    iothread: int | None = attr("iothread", UINT32)
    detect_zeroes: str | None = attr("detect_zeroes", words("off", "on", "unmap"))
    queues: int | None = attr("queues", POSITIVE)
    queue_size: int | None = attr("queue_size", POSITIVE)
    metadata_cache: CacheSize | None = optional("metadata_cache", CacheSize)


class DiskTarget(Element, change="re-create"):
    """Where the guest sees the disk."""

    dev: str | None = attr("dev")
    bus: str | None = attr("bus", words(*BUSES))
    tray: str | None = attr("tray", words("open", "closed"), change="live")
    removable: bool | None = attr("removable", ON_OFF)
    rotation_rate: int | None = attr("rotation_rate", UINT32)


class Geometry(Element, change="re-create"):
    """Cylinders, heads and sectors that the guest is told."""

    cyls: int | None = attr("cyls", UINT32)
    heads: int | None = attr("heads", UINT32)
    secs: int | None = attr("secs", UINT32)
    trans: str | None = attr("trans", words("auto", "none", "lba"))


class BlockIo(Element, change="re-create"):
    """Block sizes that the guest is told, in bytes."""

    logical_block_size: int | None = attr("logical_block_size", UINT32)
    physical_block_size: int | None = attr("physical_block_size", UINT32)
    discard_granularity: int | None = attr("discard_granularity", UINT32)


class IoTune(Element, change="live"):
    """Limits of bytes and operations a second, their peaks, and how many seconds a peak may last."""

    total_bytes_sec: int | None = text("total_bytes_sec", UINT)
    read_bytes_sec: int | None = text("read_bytes_sec", UINT)
    write_bytes_sec: int | None = text("write_bytes_sec", UINT)
    total_iops_sec: int | None = text("total_iops_sec", UINT)
    read_iops_sec: int | None = text("read_iops_sec", UINT)
    write_iops_sec: int | None = text("write_iops_sec", UINT)
    total_bytes_sec_max: int | None = text("total_bytes_sec_max", UINT)
    read_bytes_sec_max: int | None = text("read_bytes_sec_max", UINT)
    write_bytes_sec_max: int | None = text("write_bytes_sec_max", UINT)
    total_iops_sec_max: int | None = text("total_iops_sec_max", UINT)
    read_iops_sec_max: int | None = text("read_iops_sec_max", UINT)
    write_iops_sec_max: int | None = text("write_iops_sec_max", UINT)
    size_iops_sec: int | None = text("size_iops_sec", UINT)
    group_name: str | None = text("group_name")
    total_bytes_sec_max_length: int | None = text("total_bytes_sec_max_length", UINT)
    read_bytes_sec_max_length: int | None = text("read_bytes_sec_max_length", UINT)
    write_bytes_sec_max_length: int | None = text("write_bytes_sec_max_length", UINT)
    total_iops_sec_max_length: int | None = text("total_iops_sec_max_length", UINT)
    read_iops_sec_max_length: int | None = text("read_iops_sec_max_length", UINT)
    write_iops_sec_max_length: int | None = text("write_iops_sec_max_length", UINT)

    def problems(self) -> Iterator[Problem]:
        """A total cannot stand beside the parts it is the sum of."""
        for what in ("bytes_sec", "iops_sec", "bytes_sec_max", "iops_sec_max"):
            total = getattr(self, f"total_{what}")
            if total and (getattr(self, f"read_{what}") or getattr(self, f"write_{what}")):
                yield Problem(f"total_{what}", total, "cannot stand beside a limit for reading or writing")


class Disk(Device, change="re-create"):
    """A disk; `type` says what its source is."""

    type: str = attr("type", words(*SOURCE_TYPES), default="file")
    device: str = attr("device", words("disk", "lun", "cdrom", "floppy"), default="disk")
    model: str | None = attr("model", VIRTIO_MODEL)
    rawio: bool | None = attr("rawio", YES_NO)
    sgio: str | None = attr("sgio", words("filtered", "unfiltered"))
    snapshot: str | None = attr("snapshot", words("no", "internal", "external", "manual"))
    driver: DiskDriver = child("driver", DiskDriver)
    auth: Auth | None = optional("auth", Auth)
    source: StorageSource = child("source", StorageSource, change="live")
    backing_store: BackingStore | None = optional("backingStore", BackingStore)
    backend_domain: BackendDomain | None = optional("backenddomain", BackendDomain)
    geometry: Geometry | None = optional("geometry", Geometry)
    blockio: BlockIo | None = optional("blockio", BlockIo)
    mirror: Mirror | None = optional("mirror", Mirror)
    target: DiskTarget = child("target", DiskTarget)
    iotune: IoTune | None = optional("iotune", IoTune, change="live")
    readonly: bool = flag("readonly")
    shareable: bool = flag("shareable")
    transient: Transient | None = optional("transient", Transient)
    serial: str | None = text("serial")
    wwn: str | None = text("wwn", WWN)
    vendor: str | None = text("vendor", matching("[\x20-\x7e]{0,8}", "at most 8 printable characters"))
    product: str | None = text("product", matching("[\x20-\x7e]{0,16}", "at most 16 printable characters"))
    encryption: Encryption | None = optional("encryption", Encryption)

    def fill(self, filling: Filling) -> None:
        """Follow the target's name for the bus; a CD-ROM is read-only; QEMU takes an unnamed format for raw."""
        target = self.target
        self.__dict__.setdefault("device", "disk")
        if self.driver.cache == "default":
            self.driver.cache = None
        if target.dev and not target.bus:
            bus = "fdc" if self.device == "floppy" else _BUS_OF.get(target.dev.rstrip("0123456789")[:-1])
            target.bus = bus
        if self.device == "cdrom":
            self.readonly = True
        if target.tray == "closed":
            target.tray = None
        if self.type == "vhostuser":
            self.snapshot = "no"
        if filling.is_qemu:
            self.driver.name = self.driver.name or "qemu"
            self.driver.type = self.driver.type or ("fat" if self.type == "dir" else "raw")

    def problems(self) -> Iterator[Problem]:
        """Check target, bus and source against the kind of disk."""
        target = self.target
        if not target.dev:
            yield Problem("target/@dev", None, "a disk needs a target", "a name such as vda, sdb or hdc")
        elif self.device == "floppy" and not target.dev.startswith("fd"):
            yield Problem("target/@dev", target.dev, "not the name of a floppy", "fda or fdb")
        elif self.device != "floppy" and not _is_disk_name(target.dev):
            yield Problem(
                "target/@dev",
                target.dev,
                "not the name of a disk",
                "hd, sd, vd, xvd or ubd and a letter, or nvme and a number",
            )
        if (self.device == "floppy") != (target.bus == "fdc") and target.bus:
            yield Problem("target/@bus", target.bus, f"no bus for a {self.device}", "fdc for a floppy, and only that")
        if self.device == "lun" and self.type not in ("block", "network", "volume"):
            yield Problem("@type", self.type, "no source for a lun", ("block", "network", "volume"))
        yield from self._target_problems()
        yield from self._source_problems()

    def _target_problems(self) -> Iterator[Problem]:
        target, bus = self.target, self.target.bus
        if target.tray is not None and self.device not in ("cdrom", "floppy"):
            yield Problem("target/@tray", target.tray, "only CD-ROM and floppy drives have a tray")
        if target.removable is not None and bus not in (None, "usb", "scsi"):
            yield Problem("target/@removable", target.removable, "only disks on USB or SCSI can be removable")
        if target.rotation_rate is not None and bus not in (None, "scsi", "ide", "sata"):
            yield Problem("target/@rotation_rate", target.rotation_rate, "only SCSI, IDE and SATA disks have one")
        if (self.vendor or self.product) and bus not in (None, "scsi"):
            name = "vendor" if self.vendor else "product"
            yield Problem(name, getattr(self, name), "only SCSI disks have it")
        policy = self.source.startup_policy
        if policy is not None and self.type == "network":
            yield Problem("source/@startupPolicy", policy, "a network disk has no startup policy")
        elif policy == "requisite" and self.device not in ("cdrom", "floppy"):
            yield Problem("source/@startupPolicy", policy, "only for CD-ROM and floppy drives")

    def _source_problems(self) -> Iterator[Problem]:
        source = self.source
        if self.type == "network":
            if not source.protocol:
                yield Problem("source/@protocol", None, "a network disk needs a protocol", PROTOCOLS)
            return
        needed = _NEEDED[self.type]
        may_be_empty = self.device in ("cdrom", "floppy") or source.startup_policy is not None
        if not may_be_empty and not getattr(source, needed) and self.type != "nvme":
            yield Problem(f"source/@{needed}", None, f"a disk of type {self.type} needs it")
        if self.type == "volume" and bool(source.pool) != bool(source.volume):
            yield Problem("source", None, "a volume needs pool and volume")
        if self.type == "nvme" and (source.namespace is None or source.address is None):
            yield Problem("source/@namespace", None, "an NVMe disk needs namespace and PCI address")
