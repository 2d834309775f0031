"""Devices that come and go while a guest runs: xl's …-attach and …-detach commands."""

from __future__ import annotations

from typing import Any, Protocol

from ...config.domain import Domain, LiveInfo, format, parse
from ...config.domain.device import Device
from ...config.domain.devices import Devices
from ...config.domain.disk import Disk
from ...config.domain.hostdev import Hostdev
from ...config.domain.interface import Interface
from ...config.errors import ConfigUnsupported, InvalidArgument, NotFound
from ..contract import Target
from ..tooling.run import ToolResult
from .disks import spec_of
from .nics import vif_of
from .write_gadgets import pci_of, usb_of

_FRAME = (
    "<domain type='xen'><name>device</name><memory>1</memory><os><type>linux</type></os>"
    "<devices>{}</devices></domain>"
)


class Tools(Protocol):
    """What changing devices needs of the driver."""

    async def xl(self, *words: str, target: Target | None = None) -> ToolResult: ...
    async def domid(self, target: Target) -> str: ...


class DeviceChanges:
    """Mixed into the driver; loop's thread."""

    async def attach_device(self: Tools, target: Target, xml: str, device: str) -> str:
        """Hand a running guest another disk, network card, PCI or USB device."""
        domain, new = parse(xml), one_device(device)
        mine = _list_of(domain.devices, new)
        domid = await self.domid(target)
        words = _attaching(new, domid, hvm=domain.os.type.name == "hvm")
        (await self.xl(*words, target=target)).check()
        mine.append(new)
        return _shown(domain)

    async def detach_device(self: Tools, target: Target, xml: str, device: str) -> str:
        """Take a device away from a running guest."""
        domain, asked = parse(xml), one_device(device)
        mine = _list_of(domain.devices, asked)
        found = next((each for each in mine if _key(each) == _key(asked)), None)
        if found is None:
            raise NotFound(f"{target.name} has no such device", remedy="`mechane dumpxml` shows its devices",
                           path="params.device")  # fmt: skip
        domid = await self.domid(target)
        (await self.xl(*_detaching(found, domid), target=target)).check()
        mine.remove(found)
        return _shown(domain)

    async def update_device(self: Tools, target: Target, xml: str, device: str) -> str:
        """Change the disc in a CD-ROM drive; nothing else changes while a guest runs."""
        domain, new = parse(xml), one_device(device)
        if not isinstance(new, Disk) or new.device != "cdrom":
            raise ConfigUnsupported("Xen changes nothing of a device but the disc in a drive",
                                    remedy="detach and attach it", path="params.device")  # fmt: skip
        drive = next((disk for disk in domain.devices.disks if _key(disk) == _key(new)), None)
        if drive is None:
            raise NotFound(f"{target.name} has no drive {new.target.dev}", remedy="name one that it has",
                           path="params.device")  # fmt: skip
        domid, path = await self.domid(target), new.source.file or new.source.dev
        vdev = new.target.dev or ""
        words = ["cd-insert", domid, vdev, path] if path else ["cd-eject", domid, vdev]
        (await self.xl(*words, target=target)).check()
        drive.type, drive.source = new.type, new.source
        return _shown(domain)


def one_device(text: str) -> Device:
    """Return the device of one element.

    Raises:
        XmlError: it is no device's XML.
        InvalidArgument: there is none, or more than one.
    """
    found = list(parse(_FRAME.format(text)).devices.every())
    if len(found) != 1:
        raise InvalidArgument("give the XML of one device", remedy="one <disk>, <interface> or <hostdev>",
                              path="params.device")  # fmt: skip
    return found[0]


def _list_of(devices: Devices, like: Device) -> list[Any]:
    if isinstance(like, Disk):
        return devices.disks
    if isinstance(like, Interface):
        return devices.interfaces
    if isinstance(like, Hostdev):
        return devices.hostdevs
    raise ConfigUnsupported("Xen plugs no device of this kind while a guest runs",
                            remedy="disks, interfaces and hostdevs can be", path="params.device")  # fmt: skip


def _key(device: Device) -> object:
    if isinstance(device, Disk):
        return device.target.dev
    if isinstance(device, Interface):
        return device.mac.address
    assert isinstance(device, Hostdev)
    return pci_of(device) if device.type == "pci" else usb_of(device)


def _attaching(device: Device, domid: str, *, hvm: bool) -> list[str]:
    if isinstance(device, Disk):
        return ["block-attach", domid, spec_of(device)]
    if isinstance(device, Interface):
        return ["network-attach", domid, *vif_of(device, hvm=hvm).split(",")]
    assert isinstance(device, Hostdev)
    if device.type == "pci":
        return ["pci-attach", domid, pci_of(device)]
    return ["usbdev-attach", domid, *usb_of(device).split(",")]


def _detaching(device: Device, domid: str) -> list[str]:
    if isinstance(device, Disk):
        return ["block-detach", domid, device.target.dev or ""]
    if isinstance(device, Interface):
        return ["network-detach", domid, device.mac.address or ""]
    assert isinstance(device, Hostdev)
    if device.type == "pci":
        return ["pci-detach", domid, pci_of(device).partition(",")[0]]
    return ["usbdev-detach", domid, *usb_of(device).split(",")[1:]]


def _shown(domain: Domain) -> str:
    return format(domain, secure=True, live=LiveInfo(id=domain.id) if domain.id is not None else None)
