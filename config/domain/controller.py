"""Controllers: the buses that other devices sit on."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import INT32, KIB, ON_OFF, UINT32, based, words
from ..xml.extra import Problem
from ..xml.fields import attr, text
from .device import Device, VirtioDriver
from .words import UINT8

TYPES = ("ide", "fdc", "scsi", "sata", "virtio-serial", "ccid", "usb", "pci", "xenbus", "isa", "nvme")
MODELS = {
    "scsi": (
        "auto", "buslogic", "lsilogic", "lsisas1068", "vmpvscsi", "ibmvscsi", "virtio-scsi", "lsisas1078",
        "virtio-transitional", "virtio-non-transitional", "ncr53c90", "dc390", "am53c974",
    ),
    "usb": (
        "piix3-uhci", "piix4-uhci", "ehci", "ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3",
        "vt82c686b-uhci", "pci-ohci", "nec-xhci", "none", "qusb1", "qusb2", "qemu-xhci",
    ),
    "ide": ("piix3", "piix4", "ich6"),
    "pci": (
        "pci-root", "pcie-root", "pci-bridge", "dmi-to-pci-bridge", "pcie-to-pci-bridge", "pcie-root-port",
        "pcie-switch-upstream-port", "pcie-switch-downstream-port", "pci-expander-bus", "pcie-expander-bus",
    ),
    "virtio-serial": ("virtio", "virtio-transitional", "virtio-non-transitional"),
}  # fmt: skip


PCI_NAMES = {
    "pci-root": ("none", "spapr-pci-host-bridge"),
    "pcie-root": ("none",),
    "pci-bridge": ("pci-bridge",),
    "dmi-to-pci-bridge": ("i82801b11-bridge",),
    "pcie-to-pci-bridge": ("pcie-pci-bridge",),
    "pcie-root-port": ("ioh3420", "pcie-root-port"),
    "pcie-switch-upstream-port": ("x3130-upstream",),
    "pcie-switch-downstream-port": ("xio3130-downstream",),
    "pci-expander-bus": ("pxb",),
    "pcie-expander-bus": ("pxb-pcie",),
}
"""The emulated devices of each model of PCI controller."""


class PciModel(Element, change="re-create"):
    """The emulated device behind a PCI controller."""

    name: str | None = attr(
        "name",
        words(
            "none", "pci-bridge", "i82801b11-bridge", "pcie-pci-bridge", "ioh3420", "pcie-root-port",
            "x3130-upstream", "xio3130-downstream", "pxb", "pxb-pcie", "spapr-pci-host-bridge",
        ),
    )  # fmt: skip


class ControllerTarget(Element, change="re-create"):
    """Numbers by which the guest knows a PCI controller."""

    chassis_nr: int | None = attr("chassisNr", UINT8)
    chassis: int | None = attr("chassis", UINT8)
    port: int | None = attr("port", based(1, 0xFF))
    bus_nr: int | None = attr("busNr", UINT8)
    index: int | None = attr("index", INT32)
    hotplug: bool | None = attr("hotplug", ON_OFF)
    node: int | None = text("node", INT32)


class Master(Element, change="re-create"):
    """The first port of a companion controller of USB 2."""

    startport: int | None = attr("startport", UINT32)


class ControllerDriver(VirtioDriver, change="re-create"):
    """How the emulator treats the controller."""

    queues: int | None = attr("queues", UINT32)
    cmd_per_lun: int | None = attr("cmd_per_lun", UINT32)
    max_sectors: int | None = attr("max_sectors", UINT32)
    ioeventfd: bool | None = attr("ioeventfd", ON_OFF)
    iothread: int | None = attr("iothread", UINT32)


class Controller(Device, change="re-create"):
    """A controller; `model` is checked against its `type` by validation (the words differ by type)."""

    type: str = attr("type", words(*TYPES), default="ide")
    index: int | None = attr("index", UINT32)
    model: str | None = attr("model", words(*dict.fromkeys(word for models in MODELS.values() for word in models)))
    ports: int | None = attr("ports", UINT32)
    vectors: int | None = attr("vectors", UINT32)
    max_grant_frames: int | None = attr("maxGrantFrames", UINT32)
    max_event_channels: int | None = attr("maxEventChannels", UINT32)
    pci_model: PciModel | None = optional("model", PciModel)
    target: ControllerTarget | None = optional("target", ControllerTarget)
    master: Master | None = optional("master", Master)
    driver: ControllerDriver = child("driver", ControllerDriver)
    serial: str | None = text("serial")
    pcihole64: int | None = text("pcihole64", KIB)

    @property
    def is_usb2(self) -> bool:
        """Tell whether it is a part of a USB 2 controller (EHCI and its companions), which share one index."""
        return self.type == "usb" and self.model in ("ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3")

    def problems(self) -> Iterator[Problem]:
        """Check the model against the type."""
        allowed = MODELS.get(self.type)
        if self.model is not None and allowed is not None and self.model not in allowed:
            yield Problem("@model", self.model, f"no model of a {self.type} controller", allowed)
        if self.type == "scsi" and not (self.model or "virtio").startswith(("virtio", "auto")):
            for name in ("queues", "cmd_per_lun", "max_sectors", "ioeventfd"):
                value = getattr(self.driver, name)
                if value is not None:
                    yield Problem(f"driver/@{name}", value, "only virtio-scsi controllers have this")
        if self.pci_model is not None and self.pci_model.name not in PCI_NAMES.get(self.model or "", (None,)):
            yield Problem("model/@name", self.pci_model.name, f"no {self.model}", PCI_NAMES.get(self.model or ""))
        if self.type == "pci" and self.model is None:
            yield Problem("@model", None, "a PCI controller needs a model", allowed)
        if self.model == "pcie-root" and self.index:
            yield Problem("@index", self.index, "the root of the PCI bus is number 0", 0)
        if self.ports is not None and self.type == "usb" and not 1 <= self.ports <= 15:
            yield Problem("@ports", self.ports, "a USB controller has 1 to 15 ports", "1 to 15")
