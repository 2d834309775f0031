"""Disks, CD-ROM drives and floppy drives."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, UINT, UINT32, YES_NO, matching, words
from ..xml.fields import attr, flag, text
from .device import Device, VirtioDriver
from .storage import (
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

BUSES = ("ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd", "none")


class DiskDriver(VirtioDriver, change="re-create"):
    """How the emulator treats the disk."""

    name: str | None = attr("name")
    type: str | None = attr("type", STORAGE_FORMAT)
    cache: str | None = attr(
        "cache", words("default", "none", "writeback", "writethrough", "directsync", "unsafe")
    )
    error_policy: str | None = attr("error_policy", words("default", "stop", "report", "ignore", "enospace"))
    rerror_policy: str | None = attr("rerror_policy", words("default", "stop", "report", "ignore"))
    io: str | None = attr("io", words("default", "threads", "native", "io_uring"))
    ioeventfd: bool | None = attr("ioeventfd", ON_OFF)
    event_idx: bool | None = attr("event_idx", ON_OFF)
    copy_on_read: bool | None = attr("copy_on_read", ON_OFF)
    discard: str | None = attr("discard", words("default", "unmap", "ignore"))
    iothread: int | None = attr("iothread", UINT32)
    detect_zeroes: str | None = attr("detect_zeroes", words("default", "off", "on", "unmap"))
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
    trans: str | None = attr("trans", words("auto", "none", "lba", "default"))


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


class Disk(Device, change="re-create"):
    """A disk; `type` says what its source is."""

    type: str = attr("type", words(*SOURCE_TYPES), default="file")
    device: str = attr("device", words("disk", "lun", "cdrom", "floppy"), default="disk")
    model: str | None = attr("model", VIRTIO_MODEL)
    rawio: bool | None = attr("rawio", YES_NO)
    sgio: str | None = attr("sgio", words("default", "filtered", "unfiltered"))
    snapshot: str | None = attr("snapshot", words("default", "no", "internal", "external", "manual"))
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
