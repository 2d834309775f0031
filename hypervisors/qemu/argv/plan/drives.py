"""Where disks sit: bus and place from the target's name, as libvirt derives them."""

from __future__ import annotations

from .....config.domain.address import DriveAddress
from .....config.domain.disk import Disk
from .....config.domain.domain import Domain
from ..refusal import refuse

PREFIXES = {"fd": "fdc", "hd": "ide", "sd": "scsi", "vd": "virtio", "xvd": "xen", "ubd": "uml"}
"""The bus that a target's name means where no bus is given (formatdomain, "target")."""
UNITS = 7
"""Units of a SCSI controller that disks are given by themselves."""
ADDRESSED = ("ide", "fdc", "scsi", "sata")


def name_index(dev: str) -> int | None:
    """Return the number of a target such as vdb (1) or sdaa (26); None where the name has no letters."""
    bare = dev.rstrip("0123456789")
    for prefix in ("xvd", "ubd", "fd", "hd", "sd", "vd"):
        if bare.startswith(prefix):
            letters = bare[len(prefix):]
            if not letters or not letters.isascii() or not letters.isalpha() or not letters.islower():
                return None
            number = 0
            for letter in letters:
                number = number * 26 + ord(letter) - ord("a") + 1
            return number - 1
    return None


def place_disks(domain: Domain) -> None:
    """Give each disk a bus, and IDE, SATA, SCSI and floppy ones a drive address.

    Raises:
        ConfigUnsupported: a target that cannot be read, or two disks at one place.
    """
    taken: dict[tuple[str, int, int, int, int], Disk] = {}
    targets: set[str] = set()
    for disk in domain.devices.disks:
        dev = disk.target.dev
        if not dev:
            raise refuse(domain, disk, "target/@dev", "the disk has no target name")
        if (dev[-1].isdigit() and not dev.startswith("nvme")) and name_index(dev) is not None:
            raise refuse(domain, disk, "target/@dev", f"{dev!r} is a partition; a guest gets whole disks")
        if dev in targets:
            raise refuse(domain, disk, "target/@dev", f"another disk has the target {dev!r}")
        targets.add(dev)
        if disk.target.bus is None:
            disk.target.bus = _bus_of(domain, disk, dev)
        if isinstance(disk.address, DriveAddress):
            _claim(domain, disk, taken)
    sort_disks(domain)
    for disk in domain.devices.disks:
        if disk.target.bus in ADDRESSED and disk.address is None:
            _derive(domain, disk, taken)


def sort_disks(domain: Domain) -> None:
    """Put the disks of one bus in the order of their targets' names, as libvirt lists them."""
    disks = domain.devices.disks
    ordered: list[Disk] = []
    for disk in disks:
        number = name_index(disk.target.dev or "") or 0
        place = None
        for position in range(len(ordered) - 1, -1, -1):
            if ordered[position].target.bus != disk.target.bus:
                continue
            if (name_index(ordered[position].target.dev or "") or 0) > number:
                place = position
            else:
                place = position + 1 if place is None else place
                break
        ordered.insert(len(ordered) if place is None else place, disk)
    if any(a is not b for a, b in zip(ordered, disks, strict=True)):
        disks[:] = ordered


def _bus_of(domain: Domain, disk: Disk, dev: str) -> str:
    if disk.device == "floppy":
        return "fdc"
    for prefix, bus in PREFIXES.items():
        if dev.startswith(prefix):
            return bus
    raise refuse(domain, disk, "target/@dev", f"{dev!r} does not say on which bus the disk is",
                 remedy="Add the attribute bus to <target>")


def _key(disk: Disk) -> tuple[str, int, int, int, int]:
    address = disk.address
    assert isinstance(address, DriveAddress)
    return (
        disk.target.bus or "", address.controller or 0, address.bus or 0, address.target or 0, address.unit or 0
    )


def _claim(domain: Domain, disk: Disk, taken: dict[tuple[str, int, int, int, int], Disk]) -> None:
    key = _key(disk)
    if key in taken:
        raise refuse(domain, disk, "address", f"disk {taken[key].target.dev!r} has the same address")
    taken[key] = disk


def _derive(domain: Domain, disk: Disk, taken: dict[tuple[str, int, int, int, int], Disk]) -> None:
    bus = disk.target.bus or ""
    index = name_index(disk.target.dev or "")
    if index is None:
        raise refuse(domain, disk, "target/@dev", f"{disk.target.dev!r} has no letters that number the disk")
    if bus == "ide":
        place = (index // 4, index % 4 // 2, index % 2)
    elif bus == "sata":
        place = (index // 6, 0, index % 6)
    elif bus == "fdc":
        place = (index // 2, 0, index % 2)
    else:
        _derive_scsi(domain, disk, index, taken)
        return
    disk.address = DriveAddress(controller=place[0], bus=place[1], target=0, unit=place[2])
    _claim(domain, disk, taken)


def _derive_scsi(
    domain: Domain, disk: Disk, index: int, taken: dict[tuple[str, int, int, int, int], Disk]
) -> None:
    """Find a place: seven units a controller, the controller itself being number 7 (narrow SCSI)."""
    hosted = {
        ("scsi", h.address.controller or 0, h.address.bus or 0, h.address.target or 0, h.address.unit or 0)
        for h in domain.devices.hostdevs
        if h.type == "scsi" and isinstance(h.address, DriveAddress)
    }
    controller, unit = divmod(index, UNITS)
    disk.address = DriveAddress(controller=controller, bus=0, target=0, unit=unit)
    if _key(disk) in hosted:
        raise refuse(domain, disk, "target/@dev", f"a device of the host is at the place of {disk.target.dev!r}",
                     remedy="Name another target, or give the disk an <address>")
    _claim(domain, disk, taken)


def place_scsi_hostdevs(domain: Domain) -> None:
    """Give the host's SCSI devices the first free unit of the controllers there are, or of the next one.

    Raises:
        ConfigUnsupported: no unit is free.
    """
    taken = {_key(disk)[1:] for disk in domain.devices.disks
             if disk.target.bus == "scsi" and isinstance(disk.address, DriveAddress)}
    items = [item for item in domain.devices.hostdevs if item.mode == "subsystem" and item.type == "scsi"]
    for item in items:
        place = item.address
        if isinstance(place, DriveAddress):
            taken.add((place.controller or 0, place.bus or 0, place.target or 0, place.unit or 0))
    numbers = sorted({c.index or 0 for c in domain.devices.controllers if c.type == "scsi"})
    numbers.append(max(numbers, default=-1) + 1)
    for item in items:
        if item.address is not None:
            continue
        free = ((n, 0, 0, unit) for n in numbers for unit in range(UNITS) if (n, 0, 0, unit) not in taken)
        key = next(free, None)
        if key is None:
            raise refuse(domain, item, "address", "no unit of a SCSI controller is free",
                         remedy="Give an address, or add a SCSI controller")
        taken.add(key)
        item.address = DriveAddress(controller=key[0], bus=0, target=0, unit=key[3])
