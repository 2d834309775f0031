"""Buses by the names that a command line gives them, and the addresses of devices on them."""

from __future__ import annotations

import re

from ....config.domain.address import (
    BareAddress,
    CcidAddress,
    DriveAddress,
    IsaAddress,
    PciAddress,
    UsbAddress,
    VirtioSerialAddress,
)
from ....config.domain.device import AcpiIndex, Device, VirtioDriver
from .placement import DEVICES
from .reading import Reading
from .values import Props

CONTROLLERS = {
    "pci-bridge": "pci", "i82801b11-bridge": "pci", "pcie-pci-bridge": "pci", "pcie-root-port": "pci",
    "ioh3420": "pci", "x3130-upstream": "pci", "xio3130-downstream": "pci", "pxb": "pci", "pxb-pcie": "pci",
    "piix3-usb-uhci": "usb", "piix4-usb-uhci": "usb", "usb-ehci": "usb", "ich9-usb-ehci1": "usb",
    "ich9-usb-ehci2": "usb", "ich9-usb-uhci1": "usb", "ich9-usb-uhci2": "usb", "ich9-usb-uhci3": "usb",
    "pci-ohci": "usb", "nec-usb-xhci": "usb", "qemu-xhci": "usb", "virtio-scsi-pci": "scsi", "virtio-scsi": "scsi",
    "virtio-scsi-pci-transitional": "scsi",
    "virtio-scsi-pci-non-transitional": "scsi", "lsi53c895a": "scsi", "lsi": "scsi", "mptsas1068": "scsi",
    "megasas": "scsi", "megasas-gen2": "scsi", "pvscsi": "scsi", "am53c974": "scsi", "dc390": "scsi", "ahci": "sata",
    "ich9-ahci": "sata", "virtio-serial-pci": "virtio-serial", "virtio-serial": "virtio-serial",
    "virtio-serial-pci-transitional": "virtio-serial", "virtio-serial-pci-non-transitional": "virtio-serial",
    "usb-ccid": "ccid",
}  # fmt: skip
"""Devices that others sit on, and the type of controller that each is."""
COMPANIONS = ("ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3")
PORTS = ("pcie-root-port", "ioh3420", "xio3130-downstream", "x3130-upstream")
MMIO = "virtio-mmio"
ROOTS = ("pci.0", "pcie.0", "pci", "pcie")
TAIL = re.compile(r"(\d+)\Z")
HIGHEST = 255


class Places:
    """Numbers the controllers of a command line, so that buses can be found by name."""

    def __init__(self, devices: list[Props], *, express: bool) -> None:
        self.express = express
        self.numbers: dict[str, tuple[str, int]] = {}
        """Type and index of a controller by its id."""
        self.indexes: dict[int, int] = {}
        """Index of a controller by the place of its option."""
        self.ports: set[int] = set()
        """Buses with a single slot."""
        self._free: dict[str, int] = {"pci": 1, "sata": 1 if express else 0}
        self._taken: dict[str, set[int]] = {"pci": {0}, "sata": {0} if express else set()}
        for props in devices:
            kind = CONTROLLERS.get(props.peek("driver"))
            if kind is not None and props.peek("driver") not in COMPANIONS:
                self._reserve(kind, props)
        for props in devices:
            kind = CONTROLLERS.get(props.peek("driver"))
            if kind is not None and props.peek("driver") not in COMPANIONS:
                self._number(kind, props)
            if props.peek("driver") in PORTS:
                self.ports.add(self.index_of(props))

    def _reserve(self, kind: str, props: Props) -> None:
        """Keep the number that an id of libvirt's says: pci.3, scsi1, usb."""
        name = props.peek("id")
        number = {"usb": 0}.get(name)
        stem = "pci." if kind == "pci" else kind
        tail = name.removeprefix(stem)
        if number is None and name.startswith(stem) and tail.isdigit() and len(tail) < 4:
            number = int(tail)
        taken = self._taken.setdefault(kind, set())
        if number is not None and number not in taken and number <= HIGHEST:
            taken.add(number)
            self.indexes[props.place] = number
            self.numbers[name] = (kind, number)

    def _number(self, kind: str, props: Props) -> None:
        if props.place in self.indexes:
            return
        taken = self._taken.setdefault(kind, set())
        number = self._free.get(kind, 0)
        while number in taken:
            number += 1
        taken.add(number)
        self.indexes[props.place] = number
        if props.peek("id"):
            self.numbers[props.peek("id")] = (kind, number)

    def index_of(self, props: Props) -> int:
        """Return the index of a controller."""
        return self.indexes.get(props.place, 0)

    def find(self, bus: str | None, kind: str) -> int | None:
        """Return the index of the controller whose bus has this name; None where there is none."""
        if not bus:
            return None
        if kind == "pci" and bus in ROOTS:
            return 0
        for name in (bus, bus.rpartition(".")[0]):
            found = self.numbers.get(name)
            if found is not None and found[0] == kind:
                return found[1]
        return None


def pci_place(reading: Reading, device: Device, props: Props) -> None:
    """Read bus and address of a PCI device; without an address it gets the one that QEMU gives it."""
    bus, place = props.peek("bus"), props.peek("addr")
    if bus == MMIO:
        props.drop("bus")
        device.address = BareAddress(type=MMIO)
        return
    index = reading.places.find(bus, "pci") if bus else 0
    if index is not None:
        if place:
            address = device.address = pci_address(props, index, place)
            props.drop("addr")
            address.multifunction = props.flag("multifunction") or None
        props.drop("bus")
        reading.placement.add(DEVICES, props.place, device, index)
    if props.peek("multifunction") in ("off", "false"):
        props.drop("multifunction")
    number = props.number("acpi-index")
    if number is not None:
        device.acpi = AcpiIndex(index=number)


def pci_address(props: Props, index: int, place: str) -> PciAddress:
    slot, _, function = place.partition(".")
    try:
        numbers = int(slot, 16), int(function or "0", 16)
    except ValueError as error:
        raise props.refuse("addr", f"{place!r} is no PCI address") from error
    if not (0 <= numbers[0] <= 31 and 0 <= numbers[1] <= 7):
        raise props.refuse("addr", f"{place!r} is no PCI address")
    return PciAddress(type="pci", domain=0, bus=index, slot=numbers[0], function=numbers[1])


def usb_place(reading: Reading, device: Device, props: Props) -> None:
    """Read bus and port of a USB device."""
    bus, port = props.take("bus"), props.take("port")
    index = reading.places.find(bus, "usb")
    if port is not None:
        device.address = UsbAddress(type="usb", bus=index or 0, port=port)
    elif index:
        device.address = UsbAddress(type="usb", bus=index)


def ide_place(reading: Reading, props: Props) -> tuple[str, DriveAddress | None]:
    """Return the bus of an IDE or SATA drive, and where it sits."""
    bus, unit = props.take("bus") or "", props.number("unit") or 0
    found = reading.places.find(bus, "sata")
    number = TAIL.search(bus)
    channel = int(number[1]) if number and len(number[1]) < 4 else 0
    if found is not None:
        return "sata", DriveAddress(type="drive", controller=found, bus=0, target=0, unit=channel)
    if reading.places.express:
        where = DriveAddress(type="drive", controller=0, bus=0, target=0, unit=channel) if bus else None
        return "sata", where
    return "ide", DriveAddress(type="drive", controller=0, bus=channel, target=0, unit=unit) if bus else None


def scsi_place(reading: Reading, props: Props) -> DriveAddress | None:
    """Return where a SCSI device sits."""
    controller = reading.places.find(props.take("bus"), "scsi")
    target, lun = props.number("scsi-id"), props.number("lun")
    channel = props.number("channel")
    if controller is None and target is None and lun is None:
        return None
    if lun is None and reading.scsi_narrow(controller or 0):
        target, lun = 0, target
    return DriveAddress(type="drive", controller=controller or 0, bus=channel or 0, target=target or 0, unit=lun or 0)


def serial_place(reading: Reading, device: Device, props: Props) -> None:
    """Read the port of a virtio-serial device."""
    bus, port = props.take("bus"), props.number("nr")
    index = reading.places.find(bus, "virtio-serial")
    if bus is not None or port is not None:
        number = TAIL.search(bus or "")
        device.address = VirtioSerialAddress(
            type="virtio-serial", controller=index or 0, bus=int(number[1][:3]) if number else 0, port=port
        )


def card_place(reading: Reading, device: Device, props: Props) -> None:
    """Read the reader of a smart card."""
    index = reading.places.find(props.take("bus"), "ccid")
    if index is not None:
        device.address = CcidAddress(type="ccid", controller=index, slot=0)


def isa_place(device: Device, props: Props) -> None:
    """Read port and interrupt of an ISA device."""
    iobase, irq = props.number("iobase"), props.number("irq")
    if iobase is not None or irq is not None:
        device.address = IsaAddress(type="isa", iobase=iobase, irq=irq)


def virtio_options(driver: VirtioDriver, props: Props) -> None:
    """Read the options that all virtio devices share."""
    driver.iommu = props.flag("iommu_platform")
    driver.ats = props.flag("ats")
    driver.packed = props.flag("packed")
    driver.page_per_vq = props.flag("page-per-vq")
