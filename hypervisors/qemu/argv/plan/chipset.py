"""Devices that sit in the chipset: PIIX3 on pc, ICH9 on q35, and the first video card.

Places: QEMU's hw/i386/pc_piix.c and pc_q35.c as seen in `info qtree` of 7.2, and where libvirt puts what
it may choose.
"""

from __future__ import annotations

from .....config.domain.address import PciAddress
from .....config.domain.controller import Controller
from .....config.domain.device import Device
from .....config.domain.domain import Domain
from ..refusal import refuse
from .machine import PC, Q35, chipset_of
from .pci_buses import Buses, PlaceRefused, Plug, Slot
from .pci_plugs import CONVENTIONAL, Plugs, has_place, wants_place

IDE_PLACE = Slot(0, 1, 1)
UHCI_PLACE = Slot(0, 1, 2)
SATA_PLACE = Slot(0, 0x1F, 2)
INTEGRATED = Plug.PCIE
"""How chipset devices count on q35: endpoints at an address that is given, not sought."""


def _write(device: Device, place: Slot, *, multifunction: bool | None = None) -> None:
    device.address = PciAddress(domain=0, bus=place.bus, slot=place.slot, function=place.function)
    if multifunction:
        device.address.multifunction = True


class Chipset:
    """Places the integrated devices of one definition."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.kind = chipset_of(domain)

    def fixed_place(self, device: Device) -> Slot | None:
        """Return where the chipset has this device, None where it does not have it."""
        if not isinstance(device, Controller) or device.index:
            return None
        if self.kind == PC:
            if device.type == "ide":
                return IDE_PLACE
            if device.type == "usb" and device.model in (None, "piix3-uhci"):
                return UHCI_PLACE
        if self.kind == Q35 and device.type == "sata":
            return SATA_PLACE
        return None

    def owns(self, device: Device) -> bool:
        """Tell whether the device's place is the chipset's."""
        return self.fixed_place(device) is not None

    def place(self, buses: Buses, plugs: Plugs) -> None:
        """Reserve what the chipset takes, and write the addresses that it dictates."""
        for item in self.domain.devices.controllers:
            place = self.fixed_place(item)
            if place is not None:
                self._fix(item, place)
                buses.take(place, CONVENTIONAL)
        if self.kind == PC:
            buses.take(Slot(0, 1, 0), CONVENTIONAL)
            buses.take(Slot(0, 1, 3), CONVENTIONAL)
            self._place_video(buses, plugs, 2)
        elif self.kind == Q35:
            self._place_usb2(buses)
            buses.take(Slot(0, 0x1F, 0), INTEGRATED)
            buses.take(Slot(0, 0x1F, 3), INTEGRATED)
            self._place_video(buses, plugs, 1)
            self._place_sound(buses)

    def _fix(self, device: Controller, place: Slot) -> None:
        if not has_place(device):
            _write(device, place)
            return
        address = device.address
        assert isinstance(address, PciAddress)
        if Slot(address.bus or 0, address.slot or 0, address.function or 0) != place:
            raise refuse(self.domain, device, "address", f"this controller of the chipset is always at {place}")

    def _place_usb2(self, buses: Buses) -> None:
        for item in self.domain.devices.controllers:
            if not wants_place(item):
                continue
            if item.type == "usb" and item.model == "ich9-uhci1":
                slot = next((slot for slot in (0x1D, 0x1A) if not buses.in_use(0, slot)), None)
                if slot is not None:
                    buses.take(Slot(0, slot), INTEGRATED)
                    _write(item, Slot(0, slot), multifunction=True)
            elif item.type == "pci" and item.model == "dmi-to-pci-bridge" and not buses.in_use(0, 0x1E):
                buses.take(Slot(0, 0x1E), INTEGRATED)
                _write(item, Slot(0, 0x1E))

    def _place_video(self, buses: Buses, plugs: Plugs, slot: int) -> None:
        video = next(iter(self.domain.devices.videos), None)
        if video is None or plugs.video(video.model.type) is None or not wants_place(video):
            return
        if not buses.in_use(0, slot):
            buses.take(Slot(0, slot), INTEGRATED if self.kind == Q35 else CONVENTIONAL)
            _write(video, Slot(0, slot))
            return
        try:
            place = buses.take_next(CONVENTIONAL)
        except PlaceRefused as error:
            raise refuse(self.domain, video, "address", str(error)) from error
        if not buses.growing:
            _write(video, place)

    def _place_sound(self, buses: Buses) -> None:
        if buses.in_use(0, 0x1B):
            return
        for sound in self.domain.devices.sounds:
            if sound.model == "ich9" and wants_place(sound):
                buses.take(Slot(0, 0x1B), INTEGRATED)
                _write(sound, Slot(0, 0x1B))
                return
