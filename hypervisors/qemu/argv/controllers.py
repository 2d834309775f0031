"""Controllers: PCI bridges and ports, USB, SCSI, SATA, virtio-serial, smart card readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import UsbAddress
from ....config.domain.controller import Controller
from .plan.machine import PC, Q35

if TYPE_CHECKING:
    from .context import Build

ORDER = ("pci", "usb", "scsi", "ide", "sata", "fdc", "virtio-serial", "ccid")
"""Buses come before what sits on them."""
USB_DRIVERS = {
    "piix3-uhci": "piix3-usb-uhci", "piix4-uhci": "piix4-usb-uhci", "ehci": "usb-ehci",
    "ich9-ehci1": "ich9-usb-ehci1", "ich9-uhci1": "ich9-usb-uhci1", "ich9-uhci2": "ich9-usb-uhci2",
    "ich9-uhci3": "ich9-usb-uhci3", "pci-ohci": "pci-ohci", "nec-xhci": "nec-usb-xhci", "qemu-xhci": "qemu-xhci",
}  # fmt: skip
SCSI_DRIVERS = {
    "lsilogic": "lsi53c895a", "lsisas1068": "mptsas1068", "lsisas1078": "megasas", "vmpvscsi": "pvscsi",
    "am53c974": "am53c974", "dc390": "dc390",
}  # fmt: skip
VIRTIO_SCSI = ("virtio-scsi", "virtio-transitional", "virtio-non-transitional")


def add_controllers(build: Build) -> None:
    """Add all controllers that the machine does not have by itself."""
    controllers = build.domain.devices.controllers
    for kind in ORDER:
        for item in controllers:
            if item.type == kind:
                ADDERS[kind](build, item)
    for item in controllers:
        if item.type not in ORDER:
            raise build.refuse(item, "@type", f"QEMU's x86 machines have no {item.type} controller")


def _add_pci(build: Build, item: Controller) -> None:
    model = item.model or ""
    if model in ("pci-root", "pcie-root"):
        if item.index:
            raise build.refuse(item, "@index", f"a {model} is always controller 0")
        return
    target = item.target
    driver = item.pci_model.name if item.pci_model is not None else None
    properties: dict[str, Any] = {"driver": driver}
    if model == "pci-bridge":
        properties["chassis_nr"] = target.chassis_nr if target is not None else None
    elif model in ("pcie-root-port", "pcie-switch-downstream-port") and target is not None:
        properties["port"] = target.port
        properties["chassis"] = target.chassis
    elif model in ("pci-expander-bus", "pcie-expander-bus") and target is not None:
        cpu = build.domain.cpu
        cells = len(cpu.numa.cells) if cpu is not None and cpu.numa is not None else 0
        if target.node is not None and not 0 <= target.node < cells:
            raise build.refuse(item, "target/node", f"there is no NUMA cell {target.node}")
        properties["bus_nr"] = target.bus_nr
        properties["numa_node"] = target.node
    if target is not None and target.hotplug is not None:
        if model == "pcie-switch-downstream-port" or driver == "pcie-root-port":
            properties["hotplug"] = target.hotplug
        elif not target.hotplug:
            raise build.refuse(item, "target/@hotplug", "this controller has no such switch")
    properties["id"] = build.alias(item)
    properties |= build.pci(item)
    build.device(item, properties, below="model/@name")


def _add_usb(build: Build, item: Controller) -> None:
    model = item.model or ""
    if model == "none":
        return
    driver = USB_DRIVERS.get(model)
    if driver is None:
        raise build.refuse(item, "@model", f"QEMU has no USB controller of model {model}")
    properties: dict[str, Any] = {"driver": driver}
    if model in ("nec-xhci", "qemu-xhci") and item.ports is not None:
        if not 1 <= item.ports <= 15:
            raise build.refuse(item, "@ports", "an xHCI controller has 1 to 15 ports")
        properties |= {"p2": item.ports, "p3": item.ports}
    elif item.ports is not None:
        raise build.refuse(item, "@ports", "only xHCI controllers take a number of ports")
    if item.master is not None and item.master.startport is not None:
        properties["masterbus"] = f"{_master_alias(build, item)}.0"
        properties["firstport"] = item.master.startport
    else:
        properties["id"] = build.alias(item)
    properties |= build.pci(item)
    build.device(item, properties, below="@model")


def _master_alias(build: Build, item: Controller) -> str:
    """Return the alias of the USB 2 controller that a companion serves."""
    for other in build.domain.devices.controllers:
        if other.type == "usb" and other.index == item.index and other.master is None:
            return build.alias(other)
    raise build.refuse(item, "master", f"there is no USB 2 controller {item.index} that it could serve")


def _add_scsi(build: Build, item: Controller) -> None:
    model = item.model or ""
    properties: dict[str, Any]
    if model in VIRTIO_SCSI:
        properties = {"driver": build.virtio("virtio-scsi", model)}
        if item.driver.iothread is not None:
            build.need_iothread(item, item.driver.iothread, "driver/@iothread")
            properties["iothread"] = f"iothread{item.driver.iothread}"
        properties |= build.virtio_options(item.driver)
    elif model in SCSI_DRIVERS:
        properties = {"driver": SCSI_DRIVERS[model]}
        if item.driver.iothread is not None:
            raise build.refuse(item, "driver/@iothread", "only virtio-scsi uses I/O threads")
    else:
        raise build.refuse(item, "@model", f"QEMU's x86 machines have no SCSI controller of model {model}")
    properties["id"] = build.alias(item)
    if model in VIRTIO_SCSI:
        properties |= {
            "num_queues": item.driver.queues,
            "cmd_per_lun": item.driver.cmd_per_lun,
            "max_sectors": item.driver.max_sectors,
            "ioeventfd": item.driver.ioeventfd,
        }
    properties |= build.pci(item)
    build.device(item, properties, below="@model")


def _add_ide(build: Build, item: Controller) -> None:
    if build.chipset != PC:
        raise build.refuse(item, "@type", "this machine type has no IDE controller", remedy="Use SATA")
    if item.index:
        raise build.refuse(item, "@index", "the machine has only one IDE controller")


def _add_sata(build: Build, item: Controller) -> None:
    if build.chipset == Q35 and not item.index:
        return
    build.device(item, {"driver": "ich9-ahci", "id": build.alias(item), **build.pci(item)})


def _add_fdc(build: Build, item: Controller) -> None:
    """Add nothing: the floppy controller comes with the first drive (disks.py)."""
    if item.index:
        raise build.refuse(item, "@index", "the machine has only one floppy controller")


def _add_serial(build: Build, item: Controller) -> None:
    properties: dict[str, Any] = {"driver": build.virtio("virtio-serial", item.model)}
    properties |= build.virtio_options(item.driver)
    properties |= {"id": build.alias(item), "max_ports": item.ports, "vectors": item.vectors}
    properties |= build.pci(item)
    build.device(item, properties, below="@model")


def _add_reader(build: Build, item: Controller) -> None:
    properties: dict[str, Any] = {"driver": "usb-ccid", "id": build.alias(item)}
    properties |= usb_place(build, item)
    build.device(item, properties)


def usb_place(build: Build, device: Any) -> dict[str, Any]:
    """Return bus and port of a USB device."""
    address = device.address
    if not isinstance(address, UsbAddress) or address.port is None:
        raise build.refuse(device, "address", "the device needs a USB address")
    return {"bus": f"{build.controller_alias(device, 'usb', address.bus or 0)}.0", "port": address.port}


ADDERS = {
    "pci": _add_pci, "usb": _add_usb, "scsi": _add_scsi, "ide": _add_ide, "sata": _add_sata, "fdc": _add_fdc,
    "virtio-serial": _add_serial, "ccid": _add_reader,
}  # fmt: skip
