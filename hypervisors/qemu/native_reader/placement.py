"""PCI places of devices whose command line gives none: those that QEMU gives them.

QEMU makes devices in a fixed order and puts each into the first slot that is free when it is made: the machine's own
graphics and network cards (-vga, -nic) first, then -device in its order, then drives of interface virtio (measured with
`info qtree` of QEMU 7.2). A guest that moves keeps the places that its operating system knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....config.domain.address import PciAddress
from ....config.domain.device import Device
from ....config.domain.interface import Interface

if TYPE_CHECKING:
    from .values import Props

GRAPHICS, NETWORK, DEVICES, DRIVES = range(4)
"""When QEMU makes a device."""
CHIPSET = {False: {0, 1}, True: {0, 31}}
"""Slots of bus 0 that the chipset takes, by whether it is PCI Express."""
SLOTS = 32
FIRST_MAC = "52:54:00:12:34:"
HANDED_ON = ("-pci", "-pci-transitional", "-pci-non-transitional", "-vga", "-vga-gl")
"""Endings of drivers that sit on PCI, among those that are handed on as they are."""


@dataclass(slots=True)
class Made:
    """A device in the order in which QEMU makes it; `device` is None for one that is handed on as it is."""

    rank: int
    place: int
    device: Device | None
    bus: int = 0
    props: Props | None = None


def _give_macs(cards: list[Interface]) -> None:
    """Give cards the hardware addresses that QEMU gives those without one: 52:54:00:12:34:56 and on (net/net.c)."""
    taken: set[str] = set()
    for card in cards:
        if card.mac.address is None:
            card.mac.address = next(
                address for number in range(0x56, 0x100)
                if (address := f"{FIRST_MAC}{number:02x}") not in taken or number == 0xFF
            )  # fmt: skip
        taken.add(card.mac.address)


class Placement:
    """Collects the devices on PCI, and places them."""

    def __init__(self) -> None:
        self._made: list[Made] = []

    def add(self, rank: int, place: int, device: Device, bus: int = 0) -> None:
        """Remember a device, placed or not; it sits on this bus."""
        self._made.append(Made(rank, place, device, bus))

    def add_kept(self, props: Props) -> None:
        """Remember a device that is handed on, where it is one on PCI without a place."""
        driver = props.peek("driver")
        if (driver.endswith(HANDED_ON) or driver == "edu") and not props.has("addr") and not props.has("bus"):
            self._made.append(Made(DEVICES, props.place, None, 0, props))

    def forget(self, place: int) -> None:
        """Forget what was remembered of an option that is handed on after all."""
        self._made = [made for made in self._made if made.place != place or made.rank != DEVICES]

    def settle(self, ports: set[int], *, express: bool) -> dict[int, int]:
        """Give each device its place, and cards their hardware addresses.

        Args:
            ports: buses with a single slot: PCI Express ports. Others keep slot 0 free, as libvirt wants it.
            express: whether bus 0 is PCI Express.

        Returns: slots of the devices that are handed on, by the places of their options.
        """
        taken: dict[int, set[int]] = {0: set(CHIPSET[express])}
        kept: dict[int, int] = {}
        made_in_order = sorted(self._made, key=lambda made: (made.rank, made.place))
        _give_macs([made.device for made in made_in_order if isinstance(made.device, Interface)])
        for made in made_in_order:
            address = made.device.address if made.device is not None else None
            if isinstance(address, PciAddress):
                if not address.function:
                    taken.setdefault(address.bus or 0, set()).add(address.slot or 0)
                continue
            used = taken.setdefault(made.bus, set() if made.bus in ports else {0})
            slot = next((number for number in range(SLOTS) if number not in used), None)
            if slot is None:
                continue  # the bus is full, and QEMU would not have started
            used.add(slot)
            if made.device is not None:
                made.device.address = PciAddress(type="pci", domain=0, bus=made.bus, slot=slot, function=0)
            else:
                kept[made.place] = slot
        return kept
