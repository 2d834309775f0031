"""Devices that are there twice: what one host or one bus has only once (libvirt's checks of definitions)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..xml.binding import Element
from ..xml.extra import EXTRA, Problem
from .address import DriveAddress
from .domain import Domain
from .hostdev import Hostdev

SINGLES = ("memballoon", "iommu", "vsock", "nvram", "pstore")
Found = Iterator[tuple[Element, Problem]]


def check_duplicates(domain: Domain) -> Found:
    """Yield devices of the host that are handed on twice, and places on SCSI buses that are taken twice."""
    yield from _singles(domain)
    yield from _hosts(domain)
    yield from _scsi(domain)
    yield from _indices(domain)


def _singles(domain: Domain) -> Found:
    """What a guest has once is kept as unknown when it is there again."""
    extra = domain.devices.__dict__.get(EXTRA)
    for node in extra.nodes if extra is not None else ():
        if node.key in SINGLES:
            yield domain.devices, Problem(f"{node.key}[2]", None, "a guest has one of them at most")


def _hosts(domain: Domain) -> Found:
    seen: set[tuple[Any, ...]] = set()
    for card in domain.devices.interfaces:
        place = card.source.host_address if card.type == "hostdev" else None
        if place is not None and place.slot is not None:
            key = ("pci", place.domain or 0, place.bus or 0, place.slot, place.function or 0)
            if key in seen:
                yield card, Problem("source", key[-1], "the device is handed to the guest twice")
            seen.add(key)
    for item in domain.devices.hostdevs:
        for name in _identity(item):
            if name in seen:
                yield item, Problem("source", name[-1], "the device is handed to the guest twice")
            seen.add(name)


def _identity(item: Hostdev) -> Iterator[tuple[Any, ...]]:
    """Yield what names a device of the host."""
    address = item.source.address
    if item.source.protocol == "iscsi":
        hosts = tuple((host.name, host.port) for host in item.source.hosts)
        yield ("iscsi", hosts, item.source.name)
    elif item.source.wwpn:
        yield ("wwpn", item.source.wwpn)
    elif address is None:
        return
    elif address.uuid:
        yield ("mdev", address.uuid)
    elif item.type == "scsi":
        adapter = item.source.adapter.name if item.source.adapter is not None else None
        yield ("scsi", adapter, address.bus or 0, address.target or 0, address.unit or 0)
    elif item.type == "usb" and address.bus is not None and address.device is not None:
        yield ("usb", address.bus, address.device)
    elif item.type == "pci" and address.slot is not None:
        yield ("pci", address.domain or 0, address.bus or 0, address.slot, address.function or 0)


def _scsi(domain: Domain) -> Found:
    """A disk and a device of the host cannot be one unit of a SCSI bus."""
    taken = {
        (place.controller or 0, place.bus or 0, place.target or 0, place.unit or 0)
        for disk in domain.devices.disks
        if disk.target.bus == "scsi" and isinstance(place := disk.address, DriveAddress)
    }
    for item in domain.devices.hostdevs:
        place = item.address
        if item.type != "scsi" or not isinstance(place, DriveAddress):
            continue
        key = (place.controller or 0, place.bus or 0, place.target or 0, place.unit or 0)
        if key in taken:
            yield item, Problem("address", ":".join(map(str, key)), "another SCSI device has the same address")
        taken.add(key)


def _indices(domain: Domain) -> Found:
    seen: set[int] = set()
    for device in domain.devices.every():
        index = device.acpi.index if device.acpi is not None else None
        if index is not None:
            if index in seen:
                yield device, Problem("acpi/@index", index, "another device has the same index")
            seen.add(index)
