"""Aliases: the names by which devices are known at the monitor, libvirt's for each kind."""

from __future__ import annotations

from collections.abc import Iterable

from .....config.domain.address import DriveAddress
from .....config.domain.controller import Controller
from .....config.domain.device import Device
from .....config.domain.disk import Disk
from .....config.domain.domain import Domain
from .drives import ADDRESSED, name_index
from .machine import Q35, chipset_of

PREFIXES = (
    ("filesystems", "fs"), ("interfaces", "net"), ("sounds", "sound"),
    ("redirdevs", "redir"), ("videos", "video"), ("serials", "serial"), ("parallels", "parallel"),
    ("consoles", "console"), ("channels", "channel"), ("hubs", "hub"), ("inputs", "input"),
    ("smartcards", "smartcard"), ("tpms", "tpm"), ("watchdogs", "watchdog"), ("rngs", "rng"),
    ("panics", "panic"), ("shmems", "shmem"), ("cryptos", "crypto"),
)  # fmt: skip
MEMORY_PREFIXES = {
    "dimm": "dimm", "nvdimm": "nvdimm", "virtio-pmem": "virtiopmem", "virtio-mem": "virtiomem", "sgx-epc": "epc",
}  # fmt: skip


def set_alias(device: Device, name: str) -> None:
    """Name a device, unless its user named it."""
    if not device.alias.name:
        device.alias.name = name


def alias_of(device: Device) -> str:
    """Return the alias of a device that has been named."""
    name = device.alias.name
    assert name is not None
    return name


def assign_aliases(domain: Domain) -> None:
    """Give each device without one an alias; those that a user gave (ua-…) stay."""
    devices = domain.devices
    handed = [item for item in devices.interfaces if item.type == "hostdev"]
    _number([*handed, *devices.hostdevs], "hostdev")
    for attribute, prefix in PREFIXES:
        _number(devices.__dict__.get(attribute, ()), prefix)
    for disk in devices.disks:
        set_alias(disk, disk_alias(domain, disk))
    for controller in devices.controllers:
        set_alias(controller, controller_alias(domain, controller))
    for model, prefix in MEMORY_PREFIXES.items():
        _number([item for item in devices.memories if item.model == model], prefix)
    if devices.memballoon is not None and devices.memballoon.model != "none":
        set_alias(devices.memballoon, "balloon0")
    for device, name in ((devices.vsock, "vsock0"), (devices.iommu, "iommu0"), (devices.nvram, "nvram"),
                         (devices.pstore, "pstore0")):
        if device is not None:
            set_alias(device, name)
    for console in devices.consoles[:1]:
        if console.target.type == "serial" and devices.serials:
            console.alias.name = devices.serials[0].alias.name


def _number(devices: Iterable[Device], prefix: str) -> None:
    items = list(devices)
    taken = {item.alias.name for item in items}
    number = 0
    for item in items:
        if item.alias.name:
            continue
        while f"{prefix}{number}" in taken:
            number += 1
        item.alias.name = f"{prefix}{number}"
        number += 1


def disk_alias(domain: Domain, disk: Disk) -> str:
    """Return libvirt's name for a disk: by address where it has one, else by the number of its target."""
    bus = disk.target.bus or ""
    address = disk.address
    if bus in ADDRESSED and isinstance(address, DriveAddress):
        numbers = [address.controller or 0, address.bus or 0, address.unit or 0]
        if bus == "scsi":
            model = scsi_model(domain, address.controller or 0)
            if model != "lsilogic":
                numbers.insert(2, address.target or 0)
        return bus + "-".join(str(number) for number in numbers)
    return f"{bus}-disk{name_index(disk.target.dev or '') or 0}"


def scsi_model(domain: Domain, index: int) -> str:
    """Return the model of a SCSI controller."""
    for item in domain.devices.controllers:
        if item.type == "scsi" and (item.index or 0) == index:
            return item.model or ""
    return ""


def controller_alias(domain: Domain, item: Controller) -> str:
    """Return libvirt's name for a controller; some are the chipset's and have QEMU's own name."""
    index = item.index or 0
    if item.type == "pci":
        if item.model == "pcie-root":
            return "pcie.0" if index == 0 else f"pcie.{index}"
        return f"pci.{index}"
    if index == 0:
        if item.type == "ide" or (item.type == "sata" and chipset_of(domain) == Q35):
            return "ide"
        if item.type == "usb":
            return "usb"
    return f"{item.type}{index}"
