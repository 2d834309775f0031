"""Controllers: PCI bridges and ports, USB, SCSI, SATA, virtio-serial, smart card readers."""

from __future__ import annotations

from ....config.domain.address import PciAddress
from ....config.domain.controller import Controller, ControllerTarget, Master, PciModel
from ..argv.controllers import SCSI_DRIVERS, USB_DRIVERS
from ..argv.plan.pci import MODEL_NAMES
from .places import CONTROLLERS, pci_place, usb_place, virtio_options
from .reading import Reading
from .values import Props

PCI_MODELS = {driver: model for model, driver in MODEL_NAMES.items()} | {"ioh3420": "pcie-root-port"}
USB_MODELS = {driver: model for model, driver in USB_DRIVERS.items()}
SCSI_MODELS = {driver: model for model, driver in SCSI_DRIVERS.items()} | {"lsi": "lsilogic"}
SUFFIXES = {"-non-transitional": "virtio-non-transitional", "-transitional": "virtio-transitional"}


def read_controller(reading: Reading, props: Props) -> None:
    """Read a device that others sit on."""
    driver = props.take("driver") or ""
    kind = CONTROLLERS[driver]
    item = Controller(type=kind, index=reading.places.index_of(props))
    READERS[kind](reading, item, driver, props)
    props_id = props.peek("id")
    reading.named(item, props)
    if kind == "ccid":
        usb_place(reading, item, props)
    else:
        pci_place(reading, item, props)
    if item.master is not None and not props_id:
        props.drop("id")
    reading.override(item, props)
    reading.domain.devices.controllers.append(item)


def _read_pci(reading: Reading, item: Controller, driver: str, props: Props) -> None:
    del reading
    item.model = PCI_MODELS[driver]
    item.pci_model = PciModel(name=driver)
    target = ControllerTarget(
        chassis_nr=props.number("chassis_nr"), chassis=props.number("chassis"), port=props.number("port"),
        bus_nr=props.number("bus_nr"), node=props.number("numa_node"), hotplug=props.flag("hotplug"),
    )  # fmt: skip
    if any(value is not None for value in target.__dict__.values()):
        item.target = target


def _read_usb(reading: Reading, item: Controller, driver: str, props: Props) -> None:
    item.model = USB_MODELS.get(driver)
    if item.model is None:
        item.model = "ich9-ehci1"  # ich9-usb-ehci2 is the same controller at another place
    second, third = props.number("p2"), props.number("p3")
    if second is not None or third is not None:
        item.ports = second or third
    master = props.take("masterbus")
    if master is not None:
        item.index = reading.places.find(master, "usb") or 0
        item.master = Master(startport=props.number("firstport") or 0)


def _read_scsi(reading: Reading, item: Controller, driver: str, props: Props) -> None:
    item.model = SCSI_MODELS.get(driver)
    if driver == "megasas-gen2":
        item.model = "lsisas1078"
    if driver.startswith("virtio"):
        suffix = driver.removeprefix("virtio-scsi-pci")
        item.model = SUFFIXES.get(suffix, "virtio-scsi")
        virtio_options(item.driver, props)
        item.driver.queues = props.number("num_queues")
        item.driver.cmd_per_lun = props.number("cmd_per_lun")
        item.driver.max_sectors = props.number("max_sectors")
        item.driver.ioeventfd = props.flag("ioeventfd")
        item.driver.iothread = reading.iothread(props)


def _read_sata(reading: Reading, item: Controller, driver: str, props: Props) -> None:
    del reading, item, driver, props


def _read_serial(reading: Reading, item: Controller, driver: str, props: Props) -> None:
    del reading
    item.model = SUFFIXES.get(driver.removeprefix("virtio-serial-pci"))
    virtio_options(item.driver, props)
    item.ports = props.number("max_ports")
    item.vectors = props.number("vectors")


READERS = {
    "pci": _read_pci, "usb": _read_usb, "scsi": _read_scsi, "sata": _read_sata, "virtio-serial": _read_serial,
    "ccid": _read_sata,
}  # fmt: skip


ICH9_SLOT = 0x1D
ICH9 = (("ich9-ehci1", 7, None), ("ich9-uhci1", 0, 0), ("ich9-uhci2", 1, 2), ("ich9-uhci3", 2, 4))
"""The USB controllers that q35 has with -usb: model, function, and first port (QEMU's hw/usb/hcd-ehci-pci.c)."""


def _add_machines_usb(reading: Reading) -> None:
    """Add the controllers that a machine has with -usb."""
    controllers = reading.domain.devices.controllers
    if not reading.places.express:
        controllers.append(Controller(type="usb", index=0, model="piix3-uhci"))
        return
    for model, function, port in ICH9:
        item = Controller(type="usb", index=0, model=model)
        item.master = Master(startport=port) if port is not None else None
        item.address = PciAddress(type="pci", domain=0, bus=0, slot=ICH9_SLOT, function=function)
        item.address.multifunction = True if not function else None
        controllers.append(item)


def say_what_is_absent(reading: Reading) -> None:
    """Say that there is no USB controller, so that nobody adds one."""
    devices = reading.domain.devices
    usb = reading.machine.flag("usb")
    if reading.each("usb") or usb:
        if not any(item.type == "usb" for item in devices.controllers):
            _add_machines_usb(reading)
        return
    if not any(item.type == "usb" for item in devices.controllers) and not _needs_usb(reading):
        devices.controllers.append(Controller(type="usb", index=0, model="none"))


def _needs_usb(reading: Reading) -> bool:
    devices = reading.domain.devices
    return (
        any(item.bus == "usb" for item in devices.inputs)
        or any(disk.target.bus == "usb" for disk in devices.disks)
        or any(item.type == "usb" for item in devices.hostdevs)
        or bool(devices.redirdevs or devices.hubs or devices.smartcards)
        or any(sound.model == "usb" for sound in devices.sounds)
    )
