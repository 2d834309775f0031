"""Disks of domain XML as VirtualBox's storage controllers and attachments, both ways. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...config.domain.disk import Disk
from ...config.domain.domain import Domain
from ...config.errors import ConfigUnsupported

CONTROLLERS = {"ide": ("IDE", "ide", "PIIX4"), "sata": ("SATA", "sata", "IntelAHCI"),
               "scsi": ("SCSI", "scsi", "LSILogic"), "fdc": ("Floppy", "floppy", "I82078")}  # fmt: skip
"""Bus of a disk -> name, --add and --controller of the storage controller that it gets."""
SCSI_MODELS = {"lsilogic": "LSILogic", "buslogic": "BusLogic", "lsisas1068": "LSILogicSAS"}
PORTS = {"ide": 2, "sata": 30, "scsi": 16, "fdc": 1}
"""How many ports a controller has at most (VirtualBox manual, storagectl); a port of IDE has two devices."""
BUS_OF_TYPE = {"piix3": "ide", "piix4": "ide", "ich6": "ide", "intelahci": "sata", "lsilogic": "scsi",
               "buslogic": "scsi", "lsilogicsas": "scsi", "i82078": "fdc"}  # fmt: skip
"""storagecontrollertype of showvminfo in small letters -> bus."""
_PREFIX = {"ide": "hd", "sata": "sd", "scsi": "sd", "fdc": "fd"}
_KINDS = {"disk": "hdd", "cdrom": "dvddrive", "floppy": "fdd"}
_DVD = re.compile(r"\.(iso|viso|cdr|dmg)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A storage controller that a definition needs."""

    name: str
    add: str
    chip: str
    ports: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A drive in a slot of a controller; `medium` is a path or `emptydrive`."""

    controller: str
    port: int
    device: int
    kind: str
    medium: str
    readonly: bool = False


def storage_of(domain: Domain) -> tuple[list[Controller], list[Attachment]]:
    """Return the controllers and attachments of a domain's disks.

    Raises:
        ConfigUnsupported: a disk that VirtualBox cannot have.
    """
    attachments = [_attachment(at, disk) for at, disk in enumerate(domain.devices.disks, 1)]
    controllers = []
    for bus, (name, add, chip) in CONTROLLERS.items():
        mine = [each for each in attachments if each.controller == name]
        models = [each.model for each in domain.devices.controllers if each.type == "scsi" and each.model]
        if bus == "scsi" and models:
            if models[0] not in SCSI_MODELS:
                raise _refused("controller/@model", str(models[0]), sorted(SCSI_MODELS))
            chip = SCSI_MODELS[models[0]]
        if mine:
            ports = max(each.port for each in mine) + 1 if bus == "sata" else 0
            controllers.append(Controller(name=name, add=add, chip=chip, ports=ports))
    return controllers, attachments


def _attachment(at: int, disk: Disk) -> Attachment:
    path = f"disk[{at}]"
    guessed = "fdc" if disk.device == "floppy" else "ide" if (disk.target.dev or "").startswith("hd") else ""
    bus = disk.target.bus or guessed
    if bus not in CONTROLLERS:
        raise _refused(f"{path}/target/@bus", bus, sorted(CONTROLLERS))
    if disk.device not in _KINDS:
        raise _refused(f"{path}/@device", disk.device, sorted(_KINDS))
    if disk.type not in ("file", "block"):
        raise _refused(f"{path}/@type", disk.type, ["file"])
    medium = disk.source.file or disk.source.dev or ""
    if not medium and disk.device == "disk":
        raise _refused(f"{path}/source/@file", "", ["the path of an image"])
    index = index_of(disk.target.dev or "")
    port, device = (index // 2, index % 2) if bus == "ide" else (0, index) if bus == "fdc" else (index, 0)
    if port >= PORTS[bus] or (bus == "fdc" and device > 1):
        raise _refused(f"{path}/target/@dev", disk.target.dev or "", [f"one of the first of {bus}"])
    return Attachment(controller=CONTROLLERS[bus][0], port=port, device=device, kind=_KINDS[disk.device],
                      medium=medium or "emptydrive", readonly=disk.readonly and disk.device == "disk")  # fmt: skip


def index_of(dev: str) -> int:
    """Return the number in the letters of a disk's name: hda 0, sdb 1, sdaa 26."""
    letters = re.sub(r"\d", "", dev)[2:]
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a") + 1
    return max(number - 1, 0)


def name_of(prefix: str, index: int) -> str:
    """Return the name of a disk: the reverse of `index_of`."""
    letters, number = "", index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return prefix + letters


def read_disks(said: Mapping[str, str], domain: Domain) -> None:
    """Add the drives of a machine to a domain."""
    taken: set[str] = set()
    for name, chip in controllers_in(said):
        bus = BUS_OF_TYPE.get(chip.lower())
        if bus is None:
            continue  # NVMe, USB, virtio-scsi: domain XML of ours has no such bus for them
        slot = re.compile(re.escape(name) + r"-(\d+)-(\d+)\Z")
        slots = sorted((int(m[1]), int(m[2]), value) for key, value in said.items() if (m := slot.match(key)))
        for port, device, medium in slots:
            if medium != "none":
                kind = _kind(bus, medium, said.get(f"{name}-IsEjected-{port}-{device}") is not None)
                domain.devices.disks.append(_disk(bus, port, device, medium, kind, taken))


def controllers_in(said: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield name and chip of each storage controller of a machine."""
    number = 0
    while f"storagecontrollername{number}" in said:
        yield said[f"storagecontrollername{number}"], said.get(f"storagecontrollertype{number}", "")
        number += 1


def _kind(bus: str, medium: str, ejectable: bool) -> str:
    """Tell what a drive is: VirtualBox names only the medium, and IsEjected for drives of removable ones."""
    if bus == "fdc":
        return "floppy"
    return "cdrom" if ejectable or medium == "emptydrive" or _DVD.search(medium) else "disk"


def _disk(bus: str, port: int, device: int, medium: str, kind: str, taken: set[str]) -> Disk:
    disk = Disk(type="file", device=kind)
    index = port * 2 + device if bus == "ide" else port + device
    while name_of(_PREFIX[bus], index) in taken:
        index += 1  # SATA and SCSI disks have the same names
    disk.target.dev, disk.target.bus = name_of(_PREFIX[bus], index), bus
    taken.add(disk.target.dev)
    if medium != "emptydrive":
        disk.source.file = medium
    disk.readonly = kind == "cdrom"
    return disk


def _refused(path: str, value: str, allowed: list[str]) -> ConfigUnsupported:
    return ConfigUnsupported(
        f"VirtualBox has no {path} = {value!r}", path=f"/domain/devices/{path}", value=value, allowed=allowed,
        remedy=f"use one of {', '.join(allowed)}",
    )  # fmt: skip
