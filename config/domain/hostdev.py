"""Devices of the host that are handed to the guest."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import ON_OFF, UINT16, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr, flag, text
from .address import HostAddress
from .device import Device
from .filling import Filling
from .network import Ip, Route
from .storage import DEFAULT_PORTS, Auth, Initiator
from .words import POSITIVE, USB_ID


class Rom(Element, change="re-create"):
    """The option ROM of a PCI device."""

    enabled: bool | None = attr("enabled", YES_NO)
    bar: bool | None = attr("bar", ON_OFF)
    file: str | None = attr("file")


class Teaming(Element, change="re-create"):
    """Two cards that the guest bonds: one that migrates, one that is fast."""

    type: str | None = attr("type", words("persistent", "transient"))
    persistent: str | None = attr("persistent")


class UsbId(Element, change="re-create"):
    """The number of a maker or product."""

    id: int | None = attr("id", USB_ID)


class ParentAddress(Element, change="re-create"):
    """The PCI device behind an adapter."""

    unique_id: int | None = attr("unique_id", POSITIVE)
    address: HostAddress | None = optional("address", HostAddress)


class Adapter(Element, change="re-create"):
    """A SCSI adapter of the host."""

    name: str | None = attr("name")
    type: str | None = attr("type", words("scsi_host", "fc_host"))
    parent: str | None = attr("parent")
    managed: bool | None = attr("managed", YES_NO)
    parent_wwnn: str | None = attr("parent_wwnn")
    parent_wwpn: str | None = attr("parent_wwpn")
    parent_fabric_wwn: str | None = attr("parent_fabric_wwn")
    wwnn: str | None = attr("wwnn")
    wwpn: str | None = attr("wwpn")
    parentaddr: ParentAddress | None = optional("parentaddr", ParentAddress)


class HostdevHost(Element, change="re-create"):
    """A server of iSCSI."""

    name: str | None = attr("name")
    port: int | None = attr("port", UINT16)
    transport: str | None = attr("transport", words("tcp", "unix", "rdma"))
    socket: str | None = attr("socket")


class HostdevSource(Element, change="re-create"):
    """Which device; what counts is said by the `type` beside it."""

    startup_policy: str | None = attr("startupPolicy", words("mandatory", "requisite", "optional"))
    guest_reset: str | None = attr("guestReset", words("off", "uninitialized", "on"))
    write_filtering: bool | None = attr("writeFiltering", YES_NO)
    missing: bool | None = attr("missing", YES_NO)
    protocol: str | None = attr("protocol", words("adapter", "iscsi", "vhost"))
    name: str | None = attr("name")
    wwpn: str | None = attr("wwpn")
    vendor: UsbId | None = optional("vendor", UsbId)
    product: UsbId | None = optional("product", UsbId)
    address: HostAddress | None = optional("address", HostAddress)
    adapter: Adapter | None = optional("adapter", Adapter)
    hosts: list[HostdevHost] = children("host", HostdevHost)
    auth: Auth | None = optional("auth", Auth)
    initiator: Initiator | None = optional("initiator", Initiator)
    block: str | None = text("block")
    char: str | None = text("char")
    interface: str | None = text("interface")


class HostdevDriver(Element, change="re-create"):
    """The host's driver while the guest has the device."""

    name: str | None = attr("name", words("kvm", "vfio", "xen"))


class Hostdev(Device, change="re-create"):
    """A device of the host in the guest."""

    mode: str = attr("mode", words("subsystem", "capabilities"), default="subsystem")
    type: str = attr(
        "type",
        words("usb", "pci", "scsi", "scsi_host", "mdev", "storage", "misc", "net"),
        default="",
        required=True,
    )
    managed: bool | None = attr("managed", YES_NO)
    sgio: str | None = attr("sgio", words("filtered", "unfiltered"))
    rawio: bool | None = attr("rawio", YES_NO)
    model: str | None = attr(
        "model",
        words("virtio", "virtio-transitional", "virtio-non-transitional", "vfio-pci", "vfio-ccw", "vfio-ap"),
    )
    display: bool | None = attr("display", ON_OFF)
    ramfb: bool | None = attr("ramfb", ON_OFF)
    driver: HostdevDriver | None = optional("driver", HostdevDriver)
    source: HostdevSource = child("source", HostdevSource)
    teaming: Teaming | None = optional("teaming", Teaming)
    ips: list[Ip] = children("ip", Ip)
    routes: list[Route] = children("route", Route)
    readonly: bool = flag("readonly")
    shareable: bool = flag("shareable")
    rom: Rom | None = optional("rom", Rom)

    def fill(self, filling: Filling) -> None:
        """A device is taken from the host's drivers only where the definition says so."""
        self.__dict__.setdefault("mode", "subsystem")
        if self.mode != "subsystem" or not filling.is_qemu:
            return
        self.managed = bool(self.managed)
        if self.type == "mdev" and self.model == "vfio-pci" and self.display is None:
            self.display = False
        source = self.source
        if source.protocol == "iscsi":
            if source.name and "/" not in source.name:
                source.name += "/0"
            for host in source.hosts:
                host.port = host.port or DEFAULT_PORTS["iscsi"]

    def problems(self) -> Iterator[Problem]:
        """Check that the source names a device."""
        source, address = self.source, self.source.address
        if self.mode == "capabilities":
            name = {"storage": "block", "misc": "char", "net": "interface"}.get(self.type)
            if name and not getattr(source, name):
                yield Problem(f"source/{name}", None, f"a device of type {self.type} needs it")
        elif self.type == "pci" and (address is None or address.bus is None or address.slot is None):
            yield Problem("source/address", None, "a PCI device needs its address on the host")
        elif self.type == "usb":
            by_place = address is not None and (address.bus is not None)
            if not by_place and (source.vendor is None or source.product is None):
                yield Problem("source", None, "a USB device needs vendor and product, or its address on the host")
        elif self.type == "mdev":
            if self.model is None:
                yield Problem("@model", None, "a mediated device needs a model", ("vfio-pci", "vfio-ccw", "vfio-ap"))
            if address is None or not address.uuid:
                yield Problem("source/address/@uuid", None, "a mediated device needs its UUID")
        elif self.type == "scsi_host" and not (source.wwpn or "").startswith("naa."):
            yield Problem("source/@wwpn", source.wwpn, "a vhost adapter is named by naa. and its number")
