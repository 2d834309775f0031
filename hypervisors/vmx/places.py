"""Where disks sit: buses, their controllers and units, and the names that follow from them.

Numbers from VMware's documentation: 4 SCSI controllers of 16 units (64 on a paravirtual one from hardware
version 14), unit 7 being the controller itself; 4 SATA controllers of 30 ports; 4 NVMe controllers of 64
namespaces; 2 IDE channels of 2; 2 floppies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...config.domain.address import DriveAddress
from ...config.domain.disk import Disk
from ...config.errors import ConfigUnsupported

SCSI_CONTROLLERS = 4
SATA_CONTROLLERS = 4
SCSI_SELF = 7
"""The unit that the SCSI controller itself has."""
SCSI_UNITS = 16
WIDE_SCSI_UNITS = 65
"""Units 0 to 64 without 7: 64 devices of a paravirtual controller."""
NUMBERED = ("scsi", "sata", "nvme")
"""Buses whose controllers have numbers in domain XML."""
BUSES = (*NUMBERED, "ide", "fdc")
_NVME = re.compile(r"nvme(\d{1,3})n(\d{1,3})")
_BUSES = {"sd": "scsi", "hd": "ide", "fd": "fdc"}
"""What the name of a disk says of its bus where the definition does not."""
SATA_PORTS = 30
NVME_CONTROLLERS, NVME_UNITS = 4, 64
FLOPPIES = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One place for a disk. Of IDE, `controller` is the channel."""

    bus: str
    controller: int
    unit: int

    @property
    def key(self) -> str:
        """Return the start of its entries: scsi0:1, ide1:0, floppy0."""
        return f"floppy{self.unit}" if self.bus == "fdc" else f"{self.bus}{self.controller}:{self.unit}"

    @property
    def target(self) -> str:
        """Return the name in domain XML that libvirt gives to this place."""
        unit = self.unit
        if self.bus == "scsi":
            return disk_name("sd", self.controller * 15 + unit - (unit > SCSI_SELF))
        if self.bus == "sata":
            return disk_name("sd", self.controller * SATA_PORTS + unit)
        if self.bus == "nvme":
            return f"nvme{self.controller}n{unit + 1}"
        return disk_name("hd", self.controller * 2 + unit) if self.bus == "ide" else disk_name("fd", unit)

    @property
    def address(self) -> DriveAddress:
        """Return the address in domain XML."""
        bus = self.controller if self.bus == "ide" else 0
        controller = self.controller if self.bus in NUMBERED else 0
        return DriveAddress(controller=controller, bus=bus, target=0, unit=self.unit)


def places_of(bus: str, controllers: list[int], wide: set[int]) -> list[Place]:
    """Return the places of a bus in order.

    Args:
        bus: scsi, sata, ide or fdc.
        controllers: numbers of the controllers that are there.
        wide: which of them have 64 units.
    """
    if bus == "fdc":
        return [Place("fdc", 0, unit) for unit in range(FLOPPIES)]
    found = []
    for controller in controllers:
        scsi = WIDE_SCSI_UNITS if controller in wide else SCSI_UNITS
        units = {"sata": SATA_PORTS, "ide": 2, "nvme": NVME_UNITS}.get(bus, scsi)
        found += [Place(bus, controller, unit) for unit in range(units) if bus != "scsi" or unit != SCSI_SELF]
    return found


def place_of(disk: Disk, path: str) -> Place:
    """Return the place of a disk: its address, else what its name says.

    Args:
        disk: the disk.
        path: where it stands in the definition, for errors.

    Raises:
        ConfigUnsupported: no such place in a VMware guest.
    """
    bus = disk.target.bus or _BUSES.get((disk.target.dev or "")[:2], "")
    if bus not in BUSES:
        raise ConfigUnsupported(
            f"a VMware guest has no disks on a bus {bus or 'without a name'}", path=f"{path}/target/@bus", value=bus,
            allowed=list(BUSES), remedy=f"use one of {', '.join(BUSES)}",
        )  # fmt: skip
    address = disk.address
    if isinstance(address, DriveAddress):
        number, channel, unit = address.controller or 0, address.bus or 0, address.unit or 0
        place = Place(bus, channel if bus == "ide" else number, unit)
    else:
        place = _by_name(bus, disk.target.dev or "", path)
    limits = {"scsi": (SCSI_CONTROLLERS, WIDE_SCSI_UNITS), "sata": (SATA_CONTROLLERS, SATA_PORTS),
              "nvme": (NVME_CONTROLLERS, NVME_UNITS), "ide": (2, 2), "fdc": (1, FLOPPIES)}[bus]  # fmt: skip
    if place.controller >= limits[0] or place.unit >= limits[1] or (bus == "scsi" and place.unit == SCSI_SELF):
        raise ConfigUnsupported(
            f"a VMware guest has no place {place.key} for {disk.target.dev}", path=f"{path}/address", value=place.key,
            remedy="choose another target or address",
        )  # fmt: skip
    return place


def _by_name(bus: str, name: str, path: str) -> Place:
    if bus == "nvme" and (found := _NVME.fullmatch(name)) is not None and int(found[2]):
        return Place(bus, int(found[1]), int(found[2]) - 1)
    prefix = {"scsi": "sd", "sata": "sd", "ide": "hd", "fdc": "fd", "nvme": "nvme0n1 or "}[bus]
    letters = name[2:].rstrip("0123456789")
    if not name.startswith(prefix) or not letters.isascii() or not letters.islower():
        raise ConfigUnsupported(
            f"{name!r} names no disk of a {bus} bus", path=f"{path}/target/@dev", value=name,
            remedy=f"use {prefix} and letters, as in {prefix}a",
        )  # fmt: skip
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a") + 1
    number -= 1
    if bus == "scsi":
        unit = number % 15
        return Place(bus, number // 15, unit + (unit >= SCSI_SELF))
    return Place(bus, *divmod(number, SATA_PORTS if bus == "sata" else 2 if bus == "ide" else 1 << 30))


def disk_name(prefix: str, number: int) -> str:
    """Return the name of the disk `number` (from 0): sda … sdz, sdaa …"""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return prefix + letters
