"""Devices of the host: PCI, USB, SCSI, mediated devices."""

from __future__ import annotations

import re

from ....config.domain.address import HostAddress, HostPciFunction
from ....config.domain.hostdev import Hostdev, HostdevHost, HostdevSource, Rom, Teaming, UsbId
from .nodes import read_image
from .places import pci_place, scsi_place, usb_place
from .reading import Reading, UnmappedError
from .sources import PCI
from .values import Props

USB_NODE = re.compile(r"/dev/bus/usb/0*(\d{1,3})/0*(\d{1,3})\Z")
SYSFS_PCI = re.compile(r"/sys/bus/pci/devices/([0-9a-fA-F:.]+)/?\Z")
MDEV = re.compile(r"/sys/bus/mdev/devices/([0-9a-fA-F-]{36})/?\Z")


def read_vfio(reading: Reading, props: Props) -> None:
    """Read a PCI or mediated device of the host."""
    driver = props.take("driver")
    sysfs = props.peek("sysfsdev")
    mediated = MDEV.match(sysfs)
    place = PCI.match(props.peek("host") or (SYSFS_PCI.match(sysfs) or [None, ""])[1] or "")
    item = Hostdev(mode="subsystem")
    if mediated is not None:
        item.type, item.model = "mdev", "vfio-pci"
        item.source = HostdevSource(address=HostAddress(uuid=mediated[1].lower()))
        item.display = props.flag("display")
        item.ramfb = props.flag("ramfb") or (True if driver == "vfio-pci-nohotplug" else None)
    elif place is not None:
        domain, bus, slot, function = (int(part or "0", 16) for part in place.groups())
        item.type, item.managed = "pci", True
        item.source = HostdevSource(address=HostPciFunction(domain=domain, bus=bus, slot=slot, function=function))
        pair = props.take("failover_pair_id")
        item.teaming = Teaming(type="transient", persistent=pair) if pair else None
    else:
        props.pairs.append(("driver", driver or ""))
        raise UnmappedError("a device of the host without its address")
    props.drop("sysfsdev", "host")
    if props.has("romfile") or props.has("rombar"):
        file, bar = props.take("romfile"), props.number("rombar")
        item.rom = Rom(enabled=False) if file == "" else Rom(file=file, bar=None if bar is None else bool(bar))
    pci_place(reading, item, props)
    _add(reading, item, props)


def _add(reading: Reading, item: Hostdev, props: Props) -> None:
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.hostdevs.append(item)


def read_usb_host(reading: Reading, props: Props) -> None:
    """Read a USB device of the host."""
    node = USB_NODE.match(props.peek("hostdevice"))
    bus, address = props.number("hostbus"), props.number("hostaddr")
    vendor, product = props.number("vendorid"), props.number("productid")
    item = Hostdev(mode="subsystem", type="usb", managed=None)
    if node is not None:
        props.drop("hostdevice")
        bus, address = int(node[1]), int(node[2])
    if bus is not None and address is not None:
        item.source = HostdevSource(address=HostAddress(bus=bus, device=address))
    elif vendor is not None and product is not None:
        item.source = HostdevSource(vendor=UsbId(id=vendor), product=UsbId(id=product))
    else:
        for name, value in (("hostbus", bus), ("hostaddr", address), ("vendorid", vendor), ("productid", product)):
            if value is not None:
                props.pairs.append((name, str(value)))
        raise UnmappedError("a USB device of the host without its address")
    props.drop("driver")
    reset, all_resets = props.flag("guest-reset"), props.flag("guest-resets-all")
    if reset is not None:
        item.source.guest_reset = "off" if not reset else "on" if all_resets else "uninitialized"
    usb_place(reading, item, props)
    _add(reading, item, props)


def read_scsi_generic(reading: Reading, props: Props) -> None:
    """Read a SCSI unit that is handed on from an iSCSI server."""
    image = read_image(reading, props.peek("drive"))
    if image.kind != "network" or image.source.protocol != "iscsi":
        raise UnmappedError("a SCSI device of the host, which is known by its address and not by its node")
    props.drop("driver", "drive")
    item = Hostdev(mode="subsystem", type="scsi", managed=True)
    source = image.source
    item.source = HostdevSource(protocol="iscsi", name=source.name, auth=source.auth)
    item.source.hosts = [HostdevHost(name=host.name, port=host.port) for host in source.hosts]
    item.source.initiator = source.initiator
    item.readonly = image.read_only
    item.address = scsi_place(reading, props)
    _add(reading, item, props)
