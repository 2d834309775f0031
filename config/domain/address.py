"""Where a device sits on the guest's buses: `<address type='...'>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..xml.binding import Element
from ..xml.children import optional
from ..xml.convert import ON_OFF, UINT, UINT32, UUID, YES_NO, based, matching, words
from ..xml.fields import attr
from ..xml.node import XmlNode
from .filling import Filling
from .words import HEX8, HEX16, HEX32

_Class = type[Element]
_PCI = ("domain", "bus", "slot", "function")


def _fill_zeros(address: Element, names: tuple[str, ...]) -> None:
    """Set the numbers of `address` that its document leaves out to 0."""
    for name in names:
        if address.__dict__.get(name) is None:
            address.__dict__[name] = 0


class Zpci(Element, change="re-create"):
    """Identify a PCI function on s390."""

    uid: int | None = attr("uid", HEX16)
    fid: int | None = attr("fid", HEX32)


class Address(Element, change="re-create", select="type"):
    """The address of a device; `type` says which class holds the rest."""

    type: str = attr("type", default="", required=True)


class PciAddress(Address, change="re-create", variant="pci"):
    """A PCI or PCI Express function.  All None: to be worked out."""

    domain: int | None = attr("domain", HEX16)
    bus: int | None = attr("bus", HEX8)
    slot: int | None = attr("slot", based(2, 0x1F))
    function: int | None = attr("function", based(1, 7))
    multifunction: bool | None = attr("multifunction", ON_OFF)
    zpci: Zpci | None = optional("zpci", Zpci)

    def fill(self, filling: Filling) -> None:
        """Write an address that was given in part as a whole one; all zeros are still to be worked out."""
        if self.bus or self.slot:
            _fill_zeros(self, _PCI)


class DriveAddress(Address, change="re-create", variant="drive"):
    """A place on a controller of disks."""

    controller: int | None = attr("controller", UINT32)
    bus: int | None = attr("bus", UINT32)
    target: int | None = attr("target", UINT32)
    unit: int | None = attr("unit", UINT32)

    def fill(self, filling: Filling) -> None:
        """Write the whole address."""
        _fill_zeros(self, ("controller", "bus", "target", "unit"))


class VirtioSerialAddress(Address, change="re-create", variant="virtio-serial"):
    """A port of a virtio-serial controller."""

    controller: int | None = attr("controller", UINT32)
    bus: int | None = attr("bus", UINT32)
    port: int | None = attr("port", UINT32)


class CcidAddress(Address, change="re-create", variant="ccid"):
    """A slot of a smart card reader."""

    controller: int | None = attr("controller", UINT32)
    slot: int | None = attr("slot", UINT32)


USB_PORT = matching(r"\d{1,3}(\.\d{1,3}){0,7}", "a USB port such as 1 or 1.2")


class UsbAddress(Address, change="re-create", variant="usb"):
    """A port of a USB bus; `port` counts down through hubs, as in 1.2."""

    bus: int | None = attr("bus", UINT32)
    port: str | None = attr("port", USB_PORT)


class SpaprVioAddress(Address, change="re-create", variant="spapr-vio"):
    """A register on the virtual bus of pseries."""

    reg: int | None = attr("reg", based(8, 2**64 - 1))


class CcwAddress(Address, change="re-create", variant="ccw"):
    """A channel of s390."""

    cssid: int | None = attr("cssid", based(1, 0xFE))
    ssid: int | None = attr("ssid", based(1, 3))
    devno: int | None = attr("devno", HEX16)


class IsaAddress(Address, change="re-create", variant="isa"):
    """Port and interrupt of an ISA device."""

    iobase: int | None = attr("iobase", based(1, 0xFFFFFFFF))
    irq: int | None = attr("irq", based(1, 0xFFFFFFFF))


class DimmAddress(Address, change="re-create", variant="dimm"):
    """Slot and start of a memory module."""

    slot: int | None = attr("slot", UINT32)
    base: int | None = attr("base", based(1, 2**64 - 1))


class BareAddress(Address, change="re-create", variant=("virtio-mmio", "virtio-s390", "unassigned")):
    """A kind of address that has nothing but its name."""


class HostPciAddress(Element, change="re-create"):
    """A PCI function of the host."""

    type: str | None = attr("type", words("pci"))
    domain: int | None = attr("domain", HEX16)
    bus: int | None = attr("bus", HEX8)
    slot: int | None = attr("slot", based(2, 0x1F))
    function: int | None = attr("function", based(1, 7))
    multifunction: bool | None = attr("multifunction", ON_OFF)

    def fill(self, filling: Filling) -> None:
        """Write the whole address."""
        _fill_zeros(self, _PCI)


class HostAddress(Element, change="re-create"):
    """A device of the host, by whichever address its kind has: SCSI, USB or mediated."""

    type: str | None = attr("type", words("pci", "usb"))
    bus: int | None = attr("bus", based(1, 2**32 - 1, prefix=""))
    device: int | None = attr("device", based(1, 2**32 - 1, prefix=""))
    port: str | None = attr("port", USB_PORT)
    target: int | None = attr("target", UINT32)
    unit: int | None = attr("unit", UINT)
    uuid: str | None = attr("uuid", UUID)
    managed: bool | None = attr("managed", YES_NO)
    domain: int | None = attr("domain", HEX16)
    slot: int | None = attr("slot", based(2, 0x1F))
    function: int | None = attr("function", based(1, 7))
    multifunction: bool | None = attr("multifunction", ON_OFF)

    @classmethod
    def _read(cls, node: XmlNode) -> HostAddress:
        """Take what has a slot for a PCI function: its bus is written in hexadecimal, others' in decimal."""
        return super(HostAddress, HostPciFunction if "slot" in node.attrs else cls)._read(node)

    @classmethod
    def _class_of(cls, names: Mapping[str, Any]) -> _Class:
        return HostPciFunction if "slot" in names else cls


class HostPciFunction(HostAddress, change="re-create"):
    """A PCI function of the host."""

    bus: int | None = attr("bus", HEX8)

    def fill(self, filling: Filling) -> None:
        """Write the whole address."""
        _fill_zeros(self, _PCI)
