"""What all devices share: alias, address, boot order, virtio options."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, UINT32, matching
from ..xml.fields import attr
from .address import Address
from .words import POSITIVE

USER_ALIAS = "ua-"


class Alias(Element, change="re-create"):
    """The name of a device at the monitor.  Only those that a user gave (`ua-...`) outlive the guest."""

    name: str | None = attr("name", matching("[a-zA-Z0-9_.-]+", "letters, digits, dot, dash and underscore"))


class Boot(Element):
    """The place of a device in the order of booting."""

    order: int | None = attr("order", POSITIVE)
    loadparm: str | None = attr("loadparm", matching("[a-zA-Z0-9. ]{1,8}", "1 to 8 letters, digits or dots"))


class AcpiIndex(Element, change="re-create"):
    """The index by which the guest's firmware names the device."""

    index: int | None = attr("index", UINT32)


class Device(Element, change="re-create"):
    """A device of a guest."""

    boot: Boot | None = optional("boot", Boot, last=True)
    alias: Alias = child("alias", Alias, last=True)
    acpi: AcpiIndex | None = optional("acpi", AcpiIndex, last=True)
    address: Address | None = optional("address", Address, last=True)


class VirtioDriver(Element, change="re-create"):
    """Options that every virtio device has."""

    iommu: bool | None = attr("iommu", ON_OFF, last=True)
    ats: bool | None = attr("ats", ON_OFF, last=True)
    packed: bool | None = attr("packed", ON_OFF, last=True)
    page_per_vq: bool | None = attr("page_per_vq", ON_OFF, last=True)
