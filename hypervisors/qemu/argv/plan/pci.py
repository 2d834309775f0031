"""Give every PCI device an address, adding bridges and root ports where they are needed.

Two passes, as libvirt does it, so that the same definition gets the same addresses: the first counts
on growing buses which controllers are missing, the second gives out the addresses for good.
"""

from __future__ import annotations

from .....config.domain.address import PciAddress
from .....config.domain.controller import Controller, ControllerTarget, PciModel
from .....config.domain.device import Device
from .....config.domain.domain import Domain
from ..records import Emulator
from ..refusal import refuse
from .chipset import Chipset
from .controllers import insert_controller
from .machine import has_pcie_root
from .pci_buses import NEEDS, Buses, PlaceRefused, Slot
from .pci_plugs import CONVENTIONAL, EXPRESS, USB2, Plugs, has_place, wants_place

MODEL_NAMES = {
    "pci-bridge": "pci-bridge",
    "dmi-to-pci-bridge": "i82801b11-bridge",
    "pcie-to-pci-bridge": "pcie-pci-bridge",
    "pcie-root-port": "pcie-root-port",
    "pcie-switch-upstream-port": "x3130-upstream",
    "pcie-switch-downstream-port": "xio3130-downstream",
    "pci-expander-bus": "pxb",
    "pcie-expander-bus": "pxb-pcie",
}
"""The device of QEMU behind each controller model, unless the definition names one."""


def slot_of(device: Device) -> Slot:
    """Return the PCI address of a device that has one."""
    address = device.address
    assert isinstance(address, PciAddress)
    return Slot(address.bus or 0, address.slot or 0, address.function or 0)


def give(device: Device, place: Slot, *, multifunction: bool | None = None) -> None:
    """Write an address into a device."""
    device.address = PciAddress(domain=0, bus=place.bus, slot=place.slot, function=place.function)
    if multifunction:
        device.address.multifunction = True


class PciPlanner:
    """Plans the PCI topology of one definition."""

    def __init__(self, domain: Domain, emulator: Emulator) -> None:
        self.domain = domain
        self.emulator = emulator
        self.express = has_pcie_root(domain)
        self.plugs = Plugs(express=self.express)
        self.chipset = Chipset(domain)

    def plan(self) -> None:
        """Assign all addresses.

        Raises:
            ConfigUnsupported: an address that was asked for cannot be had.
        """
        highest = max((c.index or 0 for c in self._pci_controllers()), default=-1)
        if highest < 0:
            return
        for item in self._pci_controllers():
            if item.model in ("pci-root", "pcie-root") and item.address is not None:
                raise refuse(self.domain, item, "address", "the root of PCI is plugged into nothing")
        if any(wants_place(device) for device, _ in self.plugs.in_order(self.domain)):
            self._first_pass(highest)
        buses = self._buses(growing=False)
        self._place_chipset(buses)
        self._place_all(buses, dry=False)
        self._mark_multifunction()
        self._number_controllers()

    def plan_free(self) -> None:
        """Assign addresses on the buses that are there: a running guest gets no further ones.

        Raises:
            ConfigUnsupported: no slot of the right kind is free.
        """
        if self._pci_controllers():
            buses = self._buses(growing=False)
            self._place_chipset(buses)
            self._place_all(buses, dry=False)

    def _pci_controllers(self) -> list[Controller]:
        return [item for item in self.domain.devices.controllers if item.type == "pci"]

    def _buses(self, *, growing: bool) -> Buses:
        models: dict[int, str] = {}
        for item in self._pci_controllers():
            model = item.model or ("pcie-root" if self.express else "pci-root")
            if item.index in models:
                raise refuse(self.domain, item, "@index", f"there are two PCI controllers {item.index}")
            models[item.index or 0] = model
        filler = "pcie-root-port" if self.express else "pci-bridge"
        highest = max(models, default=0)
        buses = Buses(
            [models.get(index, filler) for index in range(highest + 1)],
            growing=growing,
            pcie_pci_bridge=self.emulator.has_type("pcie-pci-bridge"),
        )
        for device, plug in self._all_plugs():
            if has_place(device) and not self.chipset.owns(device):
                self._take(buses, device, plug)
        return buses

    def _all_plugs(self) -> list[tuple[Device, int]]:
        found = list(self.plugs.in_order(self.domain))
        found.extend(
            (item, CONVENTIONAL)
            for item in self.domain.devices.controllers
            if item.type == "ide" and not item.index
        )
        return found

    def _take(self, buses: Buses, device: Device, plug: int) -> None:
        address = device.address
        if isinstance(address, PciAddress) and address.domain:
            raise refuse(self.domain, device, "address/@domain", "only PCI domain 0 is there")
        try:
            buses.take(slot_of(device), plug)
        except PlaceRefused as error:
            raise refuse(self.domain, device, "address", str(error)) from error

    def _place_chipset(self, buses: Buses) -> None:
        try:
            self.chipset.place(buses, self.plugs)
        except PlaceRefused as error:
            # a device that was put where the chipset has its own
            for device, _ in self.plugs.in_order(self.domain):
                if has_place(device) and slot_of(device) == error.place and not self.chipset.owns(device):
                    raise refuse(self.domain, device, "address", "the chipset has a device of its own there") from error
            raise refuse(self.domain, self.domain.devices, "controller", str(error)) from error

    def _first_pass(self, highest: int) -> None:
        buses = self._buses(growing=True)
        self._place_chipset(buses)
        if not self.express and not buses.is_full():
            buses.take_next(CONVENTIONAL)  # one slot stays free for a device that comes later
        self._place_all(buses, dry=True)
        if self.express and highest <= 0 and len(buses.all) > highest + 1:
            buses.take_next(EXPRESS)  # and here one root port
        known = {item.index for item in self._pci_controllers()}
        for index in range(1, len(buses.all)):
            if index in known:
                continue
            made = Controller(type="pci", index=index, model=buses.all[index].model)
            insert_controller(self.domain, made)
            self._find(buses, made, NEEDS[buses.all[index].model])
            known = {item.index for item in self._pci_controllers()}

    def _find(self, buses: Buses, device: Device, plug: int, function: int | None = None) -> Slot:
        try:
            return buses.take_next(plug, function)
        except PlaceRefused as error:
            raise refuse(self.domain, device, "address", str(error)) from error

    def _place_all(self, buses: Buses, *, dry: bool) -> None:
        slots: dict[int, Slot] = {
            item.index or 0: slot_of(item)
            for item in self.domain.devices.controllers
            if item.type == "usb" and item.model in USB2 and has_place(item)
        }
        for device, plug in self.plugs.in_order(self.domain):
            if not wants_place(device):
                continue
            if isinstance(device, Controller) and device.type == "usb" and device.model in USB2:
                place = self._place_companion(buses, device, plug, slots)
            else:
                place = self._find(buses, device, plug)
            if not dry:
                give(device, place)

    def _place_companion(self, buses: Buses, device: Controller, plug: int, slots: dict[int, Slot]) -> Slot:
        """Put the controllers of one USB 2 bus into one slot."""
        function = USB2[device.model or ""]
        first = slots.get(device.index or 0)
        if first is None:
            place = self._find(buses, device, plug, function)
            slots[device.index or 0] = place
            return place
        place = Slot(first.bus, first.slot, function)
        try:
            buses.take(place, plug)
        except PlaceRefused as error:
            raise refuse(self.domain, device, "address", str(error)) from error
        return place

    def _mark_multifunction(self) -> None:
        firsts: dict[tuple[int, int], PciAddress] = {}
        crowded = []
        for device, _ in self._all_plugs():
            address = device.address
            if isinstance(address, PciAddress):
                key = (address.bus or 0, address.slot or 0)
                if address.function:
                    crowded.append(key)
                else:
                    firsts[key] = address
        for key in crowded:
            first = firsts.get(key)
            if first is not None and first.multifunction is None:
                first.multifunction = True

    def _number_controllers(self) -> None:
        for item in self._pci_controllers():
            model = item.model or ""
            if model in MODEL_NAMES and item.pci_model is None:
                item.pci_model = PciModel(name=MODEL_NAMES[model])
            place = slot_of(item) if has_place(item) else Slot(0, 0)
            if model in ("pci-bridge", "pcie-root-port", "pcie-switch-downstream-port") and item.target is None:
                item.target = ControllerTarget()
            target = item.target
            if model == "pci-bridge" and target is not None and target.chassis_nr is None:
                target.chassis_nr = item.index
            if model == "pci-bridge" and (item.index or 0) <= place.bus:
                raise refuse(self.domain, item, "@index", "must be larger than the bus that it is plugged into")
            if model in ("pcie-root-port", "pcie-switch-downstream-port") and target is not None:
                if target.chassis is None:
                    target.chassis = item.index
                if target.port is None:
                    whole = model == "pcie-root-port"
                    target.port = (place.slot << 3) + place.function if whole else place.slot
            if model in ("pci-expander-bus", "pcie-expander-bus"):
                self._number_expander(item)

    def _number_expander(self, item: Controller) -> None:
        if item.target is None:
            item.target = ControllerTarget()
        if item.target.bus_nr is not None:
            return
        lowest = min(
            (c.target.bus_nr for c in self._pci_controllers() if c.target and c.target.bus_nr is not None),
            default=256,
        )
        if lowest <= 2:
            raise refuse(self.domain, item, "target/@busNr", "no bus number below the others is free; give one")
        item.target.bus_nr = lowest - 2
