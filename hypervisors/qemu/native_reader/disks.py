"""Disks, CD-ROM and floppy drives: -device with a block node, -drive, -hda and their like."""

from __future__ import annotations

from ....config.domain.address import DriveAddress
from ....config.domain.disk import BlockIo, Disk, Geometry, IoTune
from ....config.domain.os import Loader, NvramFile
from ....config.domain.storage import Reconnect, StorageSource, Transient
from ..argv.disks import POLICIES
from ..argv.plan.drives import name_index
from .nodes import FORMATS, Image, cache_mode, fill_disk, read_image, read_node
from .places import ide_place, pci_place, scsi_place, usb_place, virtio_options
from .reading import Reading, UnmappedError
from .sources import from_file_name
from .values import Props

DRIVERS = {
    "virtio-blk-pci": "virtio", "virtio-blk": "virtio", "virtio-blk-pci-transitional": "virtio",
    "virtio-blk-pci-non-transitional": "virtio", "ide-hd": "ide", "ide-cd": "ide", "ide-drive": "ide",
    "scsi-hd": "scsi", "scsi-cd": "scsi", "scsi-block": "scsi", "scsi-disk": "scsi", "usb-storage": "usb",
    "floppy": "fdc", "nvme": "nvme", "vhost-user-blk-pci": "vhostuser", "vhost-user-blk-pci-transitional": "vhostuser",
    "vhost-user-blk-pci-non-transitional": "vhostuser",
}  # fmt: skip
PREFIXES = {"virtio": "vd", "ide": "hd", "sata": "sd", "scsi": "sd", "usb": "sd", "fdc": "fd"}
KINDS = {"ide-cd": "cdrom", "scsi-cd": "cdrom", "scsi-block": "lun", "floppy": "floppy"}
MODELS = {"-non-transitional": "virtio-non-transitional", "-transitional": "virtio-transitional"}
FROM_POLICY = {word: name for name, word in POLICIES.items()}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST = 700


def letters(number: int) -> str:
    """Return a number as targets count: 0 is a, 26 is aa."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = LETTERS[rest] + text
    return text


def read_disk(reading: Reading, props: Props) -> None:
    """Read a device that is a drive.

    Raises:
        UnmappedError: its image cannot be said in domain XML.
    """
    driver = props.peek("driver")
    bus = DRIVERS[driver]
    if bus == "vhostuser":
        _read_vhost_user(reading, driver, props)
        return
    disk = Disk(device=KINDS.get(driver, "disk"))
    drive, node = None, props.peek("drive")
    if node:
        drive = reading.drive(node)
        if drive is None:
            image = read_image(reading, node)
            props.drop("drive")
            fill_disk(disk, image, props.flag("write-cache"))
        else:
            props.drop("drive")
            read_drive_image(reading, disk, drive, props.flag("write-cache"))
    elif disk.device == "disk" and bus != "nvme":
        raise UnmappedError("a disk without a drive")
    elif props.has("write-cache"):
        disk.driver.cache = "writethrough" if props.flag("write-cache") is False else "writeback"
    props.drop("driver")
    if bus == "nvme" and not node:
        raise UnmappedError("an NVMe controller without a drive")
    _read_place(reading, disk, bus, driver, props)
    _read_common(disk, props)
    if disk.device == "cdrom":
        disk.readonly = True
    reading.override(disk, props)
    reading.domain.devices.disks.append(disk)


def _read_place(reading: Reading, disk: Disk, bus: str, driver: str, props: Props) -> None:
    """Read bus, address and what only this kind of drive has."""
    wanted: int | None = None
    if bus == "virtio":
        disk.model = next((model for ending, model in MODELS.items() if driver.endswith(ending)), None)
        _read_virtio(reading, disk, props)
        wanted = _number_in_id(props, "virtio-disk")
    elif bus == "ide":
        bus, disk.address = ide_place(reading, props)
        wanted = target_number(bus, disk.address)
    elif bus == "scsi":
        disk.address = scsi_place(reading, props)
        disk.vendor, disk.product = props.take("vendor"), props.take("product")
        if props.peek("device_id").startswith("drive-"):
            props.drop("device_id")
        elif props.has("device_id"):
            disk.serial = props.take("device_id")
    elif bus == "usb":
        usb_place(reading, disk, props)
        wanted = _number_in_id(props, "usb-disk")
    elif bus == "fdc":
        disk.address = DriveAddress(type="drive", controller=0, bus=0, target=0, unit=props.number("unit") or 0)
        props.drop("bus", "drive-type")
    elif bus == "nvme":
        pci_place(reading, disk, props)
    removable = props.flag("removable")
    disk.target.removable = removable or None
    disk.target.rotation_rate = props.number("rotation_rate")
    disk.target.bus = bus
    disk.target.dev = next_target(reading, bus, wanted)
    reading.named(disk, props)


def target_number(bus: str, address: DriveAddress | None) -> int | None:
    """Return the number of the target that a place on IDE or SATA has by itself."""
    if address is None or address.controller:
        return None
    return (address.bus or 0) * (2 if bus == "ide" else 1) + (address.unit or 0)


def _number_in_id(props: Props, stem: str) -> int | None:
    """Return the number that libvirt put into an alias: it is the target's."""
    tail = props.peek("id").removeprefix(stem)
    return int(tail) if props.peek("id").startswith(stem) and tail.isdigit() and len(tail) < 4 else None


def next_target(reading: Reading, bus: str, wanted: int | None = None) -> str:
    """Return a name in the guest that no disk has yet, after all of its kind."""
    disks = reading.domain.devices.disks
    if bus == "nvme":
        return f"nvme{sum(disk.target.bus == 'nvme' for disk in disks)}n1"
    prefix = PREFIXES[bus]
    taken = [name_index(disk.target.dev or "") or 0 for disk in disks if (disk.target.dev or "").startswith(prefix)]
    number = max(taken, default=-1) + 1
    if wanted is not None and wanted >= number:
        number = wanted
    return prefix + letters(min(number, MOST))


def _read_virtio(reading: Reading, disk: Disk, props: Props) -> None:
    driver = disk.driver
    virtio_options(driver, props)
    driver.iothread = reading.iothread(props)
    driver.ioeventfd, driver.event_idx = props.flag("ioeventfd"), props.flag("event_idx")
    driver.queues, driver.queue_size = props.number("num-queues"), props.number("queue-size")
    pci_place(reading, disk, props)
    props.drop("scsi")


def _read_common(disk: Disk, props: Props) -> None:
    sizes = {name: props.size(name) for name in ("logical_block_size", "physical_block_size", "discard_granularity")}
    if any(value is not None for value in sizes.values()):
        disk.blockio = BlockIo(**sizes)
    if props.has("cyls"):
        disk.geometry = Geometry(cyls=props.number("cyls"), heads=props.number("heads"), secs=props.number("secs"))
        disk.geometry.trans = props.take("bios-chs-trans")
    wwn = props.number("wwn")
    if wwn is not None:
        disk.wwn = f"{wwn:016x}"
    serial = props.take("serial")
    if serial is not None:
        disk.serial = serial
    disk.shareable = bool(props.flag("share-rw")) or disk.shareable
    _read_policies(disk, props)


def _read_policies(disk: Disk, props: Props) -> None:
    writing, reading_policy = props.take("werror"), props.take("rerror")
    disk.driver.error_policy = FROM_POLICY.get(writing or "")
    if reading_policy != writing:
        disk.driver.rerror_policy = FROM_POLICY.get(reading_policy or "")


def _read_vhost_user(reading: Reading, driver: str, props: Props) -> None:
    chardev = reading.backend("chardev", props.take("chardev"))
    disk = Disk(type="vhostuser", device="disk")
    disk.driver.name, disk.driver.type = "qemu", "raw"
    source = StorageSource(type="unix", path=chardev.take("path") if chardev is not None else None)
    if chardev is not None and chardev.has("reconnect"):
        source.reconnect = Reconnect(enabled=True, timeout=chardev.number("reconnect"))
    disk.source = source
    disk.model = next((model for ending, model in MODELS.items() if driver.endswith(ending)), None)
    props.drop("driver")
    wanted = _number_in_id(props, "virtio-disk")
    _read_virtio(reading, disk, props)
    disk.target.bus, disk.target.dev = "virtio", next_target(reading, "virtio", wanted)
    reading.named(disk, props)
    reading.override(disk, props)
    reading.domain.devices.disks.append(disk)


# -drive


def read_drive_image(reading: Reading, disk: Disk, drive: Props, write_cache: bool | None = None) -> None:
    """Write what a -drive says of its image into a disk."""
    if drive.take("media") == "cdrom":
        disk.device = "cdrom"
    image = _drive_image(reading, drive, medium=disk.device == "cdrom")
    cache = drive.take("cache")
    read_only = drive.flag("readonly", "read-only")
    if image is not None:
        image.read_only = bool(read_only)
        for name in ("discard", "detect-zeroes", "aio"):
            value = drive.take(name)
            if value is not None:
                image.options[name] = "unmap" if (name, value) == ("discard", "on") else value
        if image.options.get("discard") in ("off", "ignore"):
            image.options["discard"] = "ignore"
        fill_disk(disk, image, None)
    disk.driver.cache = cache or cache_mode(drive.take("cache.direct"), drive.take("cache.no-flush"), write_cache)
    if drive.flag("copy-on-read"):
        disk.driver.copy_on_read = True
    if drive.flag("snapshot"):
        disk.transient = Transient()
    disk.readonly = disk.readonly or disk.device == "cdrom"
    _read_policies(disk, drive)
    _read_common(disk, drive)
    _read_limits(disk, drive)
    drive.drop("id", "if", "index", "bus", "unit", "node-name", "file.locking", "force-share", "locking")
    reading.left(drive, "a disk")


def _drive_image(reading: Reading, drive: Props, *, medium: bool) -> Image | None:
    """Return the image of a -drive; None for an empty one.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    name, image_format = drive.take("file"), drive.take("format", "driver")
    inner = drive.sub("file")
    if inner.has("driver") or inner.has("filename"):
        if not inner.has("driver"):
            inner.pairs.append(("driver", "file"))
        image = read_node(reading, inner, 0)
    elif not name:
        return None
    elif name.startswith("json:"):
        from .values import read_props

        image = read_node(reading, read_props("drive", name.removeprefix("json:"), "", drive.place, drive.words), 0)
    else:
        found = from_file_name(reading, name, drive)
        if found is None:
            raise UnmappedError(f"image {name[:80]}")
        image = Image(*found)
        if drive.take("fat") == "rw":
            image.options["rw"] = "on"
    if image_format is not None:
        if image_format not in FORMATS:
            raise UnmappedError(f"format {image_format}")
        image.format = FORMATS[image_format]
    elif image.kind != "dir" and image.format == "raw":
        image.format = _guess(reading, name or "", medium=medium)
    if image.kind == "dir":
        image.format = "fat"
    return image


def _guess(reading: Reading, name: str, *, medium: bool) -> str:
    """Say the format of an image whose command line leaves it to QEMU, which looks into the file; we do not."""
    for ending, image_format in ((".qcow2", "qcow2"), (".vmdk", "vmdk"), (".vdi", "vdi"), (".vhdx", "vhdx"),
                                 (".qed", "qed"), (".vhd", "vpc"), (".qcow", "qcow")):  # fmt: skip
        if name.lower().endswith(ending):
            reading.note(f"{name}: taken for {image_format} by its name, as no format is given")
            return image_format
    if not medium and not name.lower().endswith((".raw", ".iso")):
        reading.note(f"{name}: taken for raw, as no format is given: correct it where the image is another, "
                     "whose first write as raw destroys it")  # fmt: skip
    return "raw"


RATES = {"bps": "total_bytes_sec", "bps_rd": "read_bytes_sec", "bps_wr": "write_bytes_sec", "iops": "total_iops_sec",
         "iops_rd": "read_iops_sec", "iops_wr": "write_iops_sec"}
LONG = {"bps": "bps-total", "bps_rd": "bps-read", "bps_wr": "bps-write", "iops": "iops-total", "iops_rd": "iops-read",
        "iops_wr": "iops-write"}


def _read_limits(disk: Disk, drive: Props) -> None:
    tune, count = IoTune(), 0
    for option, name in RATES.items():
        long = f"throttling.{LONG[option]}"
        for suffix, ending, names in (
            ("", "", (option, long)), ("_max", "_max", (f"{option}_max", f"{long}-max")),
            ("_max_length", "_max_length", (f"{option}_max_length", f"{long}-max-length")),
        ):  # fmt: skip
            del suffix
            value = drive.number(*names)
            if value:
                setattr(tune, name + ending, value)
                count += 1
    size, group = drive.number("iops_size", "throttling.iops-size"), drive.take("group", "throttling.group")
    if size:
        tune.size_iops_sec, count = size, count + 1
    if group:
        tune.group_name, count = group, count + 1
    if count:
        disk.iotune = tune


def read_flash(reading: Reading, unit: int, image: Image) -> None:
    """Read a flash chip: the first is the firmware, the second holds its variables."""
    os = reading.domain.os
    path = image.source.file or image.source.dev
    if unit == 0:
        os.loader = os.loader or Loader()
        os.loader.type, os.loader.path, os.loader.readonly = "pflash", path, image.read_only or None
        os.loader.format = None if image.format == "raw" else image.format
    else:
        os.nvram = NvramFile(path=path, format=None if image.format == "raw" else image.format)
