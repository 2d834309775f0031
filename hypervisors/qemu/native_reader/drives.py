"""-drive, -hda, -cdrom, -fda, -pflash: drives that bring their own device."""

from __future__ import annotations

from ....config.domain.address import DriveAddress
from ....config.domain.disk import Disk
from ....config.domain.storage import Transient
from .disks import next_target, read_drive_image, read_flash, target_number
from .nodes import read_image
from .placement import DRIVES
from .reading import Reading, UnmappedError
from .values import Props

SHORT = {"hda": 0, "hdb": 1, "hdc": 2, "hdd": 3, "cdrom": 2, "fda": 0, "fdb": 1}
BUSES = {"ide": "ide", "scsi": "scsi", "virtio": "virtio", "floppy": "fdc"}
DEVICES = {"floppy": "floppy"}
WIDTHS = {"scsi": 7, "ide": 2}


def read_snapshot_mode(reading: Reading) -> None:
    """Read -snapshot: no disk keeps what the guest writes."""
    if reading.each("snapshot"):
        for disk in reading.domain.devices.disks:
            if not disk.readonly:
                disk.transient = disk.transient or Transient()


def collect_drives(reading: Reading) -> None:
    """Gather all drives, in their order, with the short options spelt out."""
    for option in reading.each("drive", "pflash", *SHORT):
        if option.name == "drive":
            props = reading.props(option, "file")
        else:
            pairs = [("file", option.value)]
            if option.name == "pflash":
                pairs.append(("if", "pflash"))
            else:
                pairs += [("if", "floppy" if option.name.startswith("fd") else "ide"),
                          ("index", str(SHORT[option.name]))]
            if option.name == "cdrom":
                pairs.append(("media", "cdrom"))
            props = Props(option.name, pairs, option.place, option.words)
        reading.drives.append(props)


def read_drives(reading: Reading) -> None:
    """Read the drives that no device has asked for."""
    counters: dict[str, int] = {}
    for props in list(reading.drives):
        kind = props.peek("if", "ide")
        if kind == "none":
            reading.keep(props.words, props.place, "no device uses it")
            continue
        index = _index(props, kind, counters)
        before = list(props.pairs)
        disks = list(reading.domain.devices.disks)
        try:
            if kind == "pflash":
                _read_flash(reading, props, index)
            elif kind in BUSES:
                _read_drive(reading, props, kind, index)
            else:
                raise UnmappedError(f"interface {kind}")
        except UnmappedError as error:
            props.pairs = before
            reading.domain.devices.disks = disks
            reading.keep(props.words, props.place, f"{error} has no place in domain XML")
    reading.drives = []


def _index(props: Props, kind: str, counters: dict[str, int]) -> int:
    """Return the number of a drive among those of its interface, as QEMU counts them."""
    index, bus, unit = props.number("index"), props.number("bus"), props.number("unit")
    if index is None and (bus is not None or unit is not None):
        index = (bus or 0) * WIDTHS.get(kind, 1) + (unit or 0)
    if index is None:
        index = counters.get(kind, 0)
    if not 0 <= index <= 4096:
        raise props.refuse("index", f"{index} is no place of a drive")
    counters[kind] = max(counters.get(kind, 0), index + 1)
    return index


def _read_flash(reading: Reading, props: Props, index: int) -> None:
    disk = Disk()
    read_drive_image(reading, disk, props)
    if index > 1 or disk.type not in ("file", "block"):
        raise UnmappedError("a flash chip beside the firmware's two")
    from .nodes import Image

    image = Image(disk.type, disk.source, disk.driver.type or "raw", read_only=disk.readonly)
    read_flash(reading, index, image)


def read_machine_flash(reading: Reading) -> None:
    """Read the flash chips that are properties of the machine."""
    for unit, name in enumerate(("pflash0", "pflash1")):
        node = reading.machine.peek(name)
        if node:
            try:
                read_flash(reading, unit, read_image(reading, node))
                reading.machine.drop(name)
            except UnmappedError as error:
                reading.note(f"-machine {name}={node}: {error}")


def _read_drive(reading: Reading, props: Props, kind: str, index: int) -> None:
    disk = Disk(device=DEVICES.get(kind, "disk"))
    bus = BUSES[kind]
    if kind == "ide" and reading.places.express:
        bus = "sata"
        disk.address = DriveAddress(type="drive", controller=0, bus=0, target=0, unit=index)
    elif kind == "ide":
        disk.address = DriveAddress(type="drive", controller=0, bus=index // 2, target=0, unit=index % 2)
    elif kind == "scsi":
        disk.address = DriveAddress(type="drive", controller=index // 7, bus=0, target=0, unit=index % 7)
    elif kind == "floppy":
        disk.address = DriveAddress(type="drive", controller=0, bus=0, target=0, unit=index)
    read_drive_image(reading, disk, props)
    if kind == "virtio" and disk.device == "cdrom":
        raise UnmappedError("a CD-ROM drive on virtio")
    if not (disk.source.given("file") or disk.source.__dict__) and disk.device == "disk":
        raise UnmappedError("a disk without an image")
    disk.target.bus = bus
    if bus == "virtio":
        reading.placement.add(DRIVES, props.place, disk)
    place = disk.address if isinstance(disk.address, DriveAddress) and bus in ("ide", "sata") else None
    disk.target.dev = next_target(reading, bus, target_number(bus, place))
    reading.domain.devices.disks.append(disk)
