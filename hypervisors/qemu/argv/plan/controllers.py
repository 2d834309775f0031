"""Controllers that a definition needs but does not name."""

from __future__ import annotations

from .....config.domain.address import CcidAddress, DriveAddress, VirtioSerialAddress
from .....config.domain.controller import MODELS, Controller, Master
from .....config.domain.domain import Domain
from ..records import Emulator
from ..refusal import refuse
from .machine import PC, Q35, chipset_of

COMPANIONS = (("ich9-uhci1", 0), ("ich9-uhci2", 2), ("ich9-uhci3", 4))
"""Companions of ich9-ehci1 and the first port that each serves."""
HIGHEST_INDEX = 255
"""PCI has 256 buses; no other kind has more of use."""
PORTS_PER_SERIAL_CONTROLLER = 31
"""Ports of a virtio-serial device, without port 0, which is kept for consoles (QEMU's max_ports)."""


def insert_controller(domain: Domain, made: Controller) -> None:
    """Add a controller behind those that the definition names: they get their places first."""
    domain.devices.controllers.append(made)


def check_controllers(domain: Domain) -> None:
    """Check models and numbers of controllers.

    Raises:
        ConfigUnsupported: a model of another type, or a number out of range.
    """
    for item in domain.devices.controllers:
        if item.model is not None and item.model not in MODELS.get(item.type, ()):
            raise refuse(domain, item, "@model", f"a controller of type {item.type} has no model {item.model}")
        if (item.index or 0) > HIGHEST_INDEX:
            raise refuse(domain, item, "@index", f"controllers are numbered up to {HIGHEST_INDEX}")
    _check_root(domain)
    buses = [item for item in domain.devices.controllers if item.type == "usb"]
    disabled = next((item for item in buses if item.model == "none"), None)
    if disabled is not None and len(buses) > 1:
        raise refuse(domain, disabled, "@model", "the guest has no USB, and USB controllers as well",
                     remedy="Remove the controller of model 'none', or the others")


def _check_root(domain: Domain) -> None:
    wanted = {PC: "pci-root", Q35: "pcie-root"}.get(chipset_of(domain))
    for item in domain.devices.controllers:
        if item.type == "pci" and not item.index and wanted is not None and item.model != wanted:
            raise refuse(domain, item, "@model", f"PCI controller 0 of this machine type is {wanted}, not {item.model}")


def sort_controllers(domain: Domain) -> None:
    """Sort the controllers of each type by index, each type keeping its places."""
    controllers = domain.devices.controllers
    places: dict[str, list[int]] = {}
    for place, item in enumerate(controllers):
        places.setdefault(item.type, []).append(place)
    for own in places.values():
        items = sorted((controllers[place] for place in own), key=lambda item: item.index or 0)
        for place, item in zip(own, items, strict=True):
            controllers[place] = item


def has_controller(domain: Domain, kind: str, index: int) -> bool:
    """Tell whether the definition has that controller."""
    return any(item.type == kind and (item.index or 0) == index for item in domain.devices.controllers)


def add_usb(domain: Domain, model: str) -> None:
    """Add the first USB controller, with companions where the model has them."""
    insert_controller(domain, Controller(type="usb", index=0, model=model))
    if model == "ich9-ehci1":
        for companion, port in COMPANIONS:
            made = Controller(type="usb", index=0, model=companion)
            made.master = Master(startport=port)
            insert_controller(domain, made)


def add_default_controllers(domain: Domain, emulator: Emulator) -> None:
    """Add the controllers that the machine type has anyway: PCI root, USB, and SATA on q35."""
    kind = chipset_of(domain)
    if kind not in (PC, Q35):
        return
    if not has_controller(domain, "usb", 0):
        model = _default_usb(kind, emulator)
        if model is not None:
            add_usb(domain, model)
    if kind == Q35 and not has_controller(domain, "sata", 0):
        insert_controller(domain, Controller(type="sata", index=0))
    if not has_controller(domain, "pci", 0):
        insert_controller(domain, Controller(type="pci", index=0, model="pcie-root" if kind == Q35 else "pci-root"))


def _default_usb(kind: str, emulator: Emulator) -> str | None:
    if kind == PC:
        return "piix3-uhci"
    for model, driver in (("qemu-xhci", "qemu-xhci"), ("nec-xhci", "nec-usb-xhci"), ("ich9-ehci1", "ich9-usb-ehci1")):
        if emulator.has_type(driver):
            return model
    return None


def add_needed_controllers(domain: Domain) -> None:
    """Add the controllers whose addresses the devices name: disks, channels, consoles, smart cards."""
    for kind, bus in (("scsi", "scsi"), ("fdc", "fdc"), ("ide", "ide"), ("sata", "sata")):
        highest = max(
            (
                disk.address.controller or 0
                for disk in domain.devices.disks
                if disk.target.bus == bus and isinstance(disk.address, DriveAddress)
            ),
            default=-1,
        )
        _add_up_to(domain, kind, highest)
    _add_serial_controllers(domain)
    cards = domain.devices.smartcards
    highest = max((c.address.controller or 0 for c in cards if isinstance(c.address, CcidAddress)), default=-1)
    _add_up_to(domain, "ccid", max(highest, 0) if cards else -1)
    hosted = [h for h in domain.devices.hostdevs if h.mode == "subsystem" and h.type == "scsi"]
    highest = max((h.address.controller or 0 for h in hosted if isinstance(h.address, DriveAddress)), default=-1)
    model = next((c.model for c in domain.devices.controllers if c.type == "scsi"), None)
    _add_up_to(domain, "scsi", highest, model)


def _add_up_to(domain: Domain, kind: str, highest: int, model: str | None = None) -> None:
    if highest > HIGHEST_INDEX:
        raise refuse(domain, domain.devices, "controller", f"a device names {kind} controller {highest}")
    for index in range(highest + 1):
        if not has_controller(domain, kind, index):
            insert_controller(domain, Controller(type=kind, index=index, model=model))


def _add_serial_controllers(domain: Domain) -> None:
    ports = [c for c in domain.devices.channels if c.target.type == "virtio"]
    ports += [c for c in domain.devices.consoles if c.target.type == "virtio"]  # type: ignore[misc]  # both Chardevs
    if not ports:
        return
    for port in ports:
        # only those that are named: a guest may well have controller 1 and no controller 0
        number = port.address.controller or 0 if isinstance(port.address, VirtioSerialAddress) else 0
        if number > HIGHEST_INDEX:
            raise refuse(domain, port, "address/@controller", f"controllers are numbered up to {HIGHEST_INDEX}")
        if not has_controller(domain, "virtio-serial", number):
            insert_controller(domain, Controller(type="virtio-serial", index=number))


def fill_models(domain: Domain, emulator: Emulator) -> None:
    """Give a model to USB and SCSI controllers that have none."""
    for item in domain.devices.controllers:
        if item.type == "usb" and item.model is None:
            item.model = "piix3-uhci"
        elif item.type == "usb" and item.model in dict(COMPANIONS) and item.master is None:
            if any(o.model == "ich9-ehci1" and o.index == item.index for o in domain.devices.controllers):
                item.master = Master(startport=dict(COMPANIONS)[item.model])
        elif item.type == "scsi" and item.model in (None, "auto"):
            item.model = "lsilogic" if emulator.has_type("lsi53c895a") else "virtio-scsi"
