"""PCI buses of a guest: which controller takes what, where a slot is free, which bus to add.

The rules are those of libvirt 9.0 (documented in its formatdomain and "PCI addresses in domain XML"
pages), because guests keep their device names only when the addresses stay what libvirt gave them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class Plug:
    """What a device needs, and what a bus offers: bits of a number (an enum would cost 10 ms at import)."""

    PCI = 1
    PCIE = 2
    PCI_BRIDGE = 4
    PCI_EXPANDER = 8
    PCIE_EXPANDER = 16
    ROOT_PORT = 32
    DMI_BRIDGE = 64
    PCIE_PCI_BRIDGE = 128
    UPSTREAM = 256
    DOWNSTREAM = 512
    AUTO = 1024
    """The place was not asked for (device); places may be given away unasked (bus)."""
    SHARED = 2048
    """Several such devices may share a slot, a function each."""
    INTEGRATED = 4096
    """Sits on bus 0 although it is an endpoint."""

    ENDPOINT = PCI | PCIE
    KINDS = 1023


@dataclass(frozen=True, slots=True)
class Offer:
    """What a controller's bus takes, and its slots."""

    plugs: int
    first: int = 0
    last: int = 31


_CONVENTIONAL = Plug.AUTO | Plug.PCI | Plug.PCI_BRIDGE
_PORT = Plug.AUTO | Plug.PCIE | Plug.UPSTREAM | Plug.PCIE_PCI_BRIDGE

OFFERS: dict[str, Offer] = {
    "pci-root": Offer(_CONVENTIONAL | Plug.PCI_EXPANDER, 1),
    "pci-bridge": Offer(_CONVENTIONAL, 1),
    "pci-expander-bus": Offer(_CONVENTIONAL),
    "pcie-root": Offer(Plug.PCIE | Plug.ROOT_PORT | Plug.DMI_BRIDGE | Plug.PCIE_EXPANDER, 1),
    "dmi-to-pci-bridge": Offer(Plug.PCI | Plug.PCI_BRIDGE),
    "pcie-to-pci-bridge": Offer(_CONVENTIONAL, 1),
    "pcie-root-port": Offer(_PORT, 0, 0),
    "pcie-switch-downstream-port": Offer(_PORT, 0, 0),
    "pcie-switch-upstream-port": Offer(Plug.DOWNSTREAM),
    "pcie-expander-bus": Offer(Plug.ROOT_PORT | Plug.DMI_BRIDGE),
}
"""By controller model (formatdomain, "Controllers")."""

NEEDS: dict[str, int] = {
    "pci-bridge": Plug.PCI_BRIDGE,
    "pci-expander-bus": Plug.PCI_EXPANDER,
    "pcie-expander-bus": Plug.PCIE_EXPANDER,
    "dmi-to-pci-bridge": Plug.DMI_BRIDGE,
    "pcie-to-pci-bridge": Plug.PCIE_PCI_BRIDGE,
    "pcie-root-port": Plug.ROOT_PORT | Plug.SHARED,
    "pcie-switch-upstream-port": Plug.UPSTREAM,
    "pcie-switch-downstream-port": Plug.DOWNSTREAM,
}
"""Where a controller itself wants to be plugged in."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A place on a bus."""

    bus: int
    slot: int
    function: int = 0

    def __str__(self) -> str:
        return f"0000:{self.bus:02x}:{self.slot:02x}.{self.function}"


class PlaceRefused(Exception):
    """A PCI address that cannot be had; the text says why, `place` which."""

    def __init__(self, why: str, place: Slot | None = None) -> None:
        super().__init__(why)
        self.place = place


@dataclass(slots=True)
class Bus:
    """One bus: its controller's model and the functions in use, a bit mask for each slot."""

    model: str
    plugs: int
    first: int
    last: int
    used: dict[int, int] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)

    def fits(self, plug: int, number: int, *, asked: bool) -> str:
        """Return why a device cannot sit here, or ''."""
        offers = self.plugs
        if plug & Plug.INTEGRATED:
            if number:
                return "the device is an integrated one: it sits on bus 0"
            offers |= Plug.AUTO
        if asked:
            if offers & Plug.ENDPOINT:
                offers |= Plug.ENDPOINT
            if plug & Plug.PCI_BRIDGE:
                plug |= Plug.PCI
        elif plug & Plug.AUTO and not offers & Plug.AUTO:
            return "its controller takes devices only at addresses that are asked for"
        if not plug & offers & Plug.KINDS:
            return f"a {self.model} does not take this kind of device"
        return ""

    def free_function(self, slot: int, plug: int, function: int | None) -> int | None:
        """Return the function to use in `slot`, or None."""
        used = self.used.get(slot, 0)
        if not used:
            return function or 0
        if plug & Plug.SHARED and slot in self.shared:
            if function is not None:
                return None if used & (1 << function) else function
            return next((number for number in range(8) if not used & (1 << number)), None)
        return None


class Buses:
    """The buses of one guest. `growing` adds a bus where none has room."""

    def __init__(self, models: list[str], *, growing: bool, pcie_pci_bridge: bool = True) -> None:
        self.growing = growing
        self.pcie_pci_bridge = pcie_pci_bridge
        self.all: list[Bus] = []
        for model in models:
            self._append(model)

    def _append(self, model: str) -> None:
        offer = OFFERS[model]
        self.all.append(Bus(model, offer.plugs, offer.first, offer.last))

    def in_use(self, bus: int, slot: int) -> bool:
        """Tell whether anything sits in the slot."""
        return bool(self.all[bus].used.get(slot))

    def is_full(self) -> bool:
        """Tell whether every slot of every bus is taken."""
        return all(bus.used.get(slot) for bus in self.all for slot in range(bus.first, bus.last + 1))

    def take(self, place: Slot, plug: int, *, asked: bool = True) -> None:
        """Reserve an address.

        Raises:
            PlaceRefused: no such bus or slot, of the wrong kind, or taken.
        """
        number = place.bus
        while self.growing and number >= len(self.all):
            number = self._grow(plug, number)
        if number >= len(self.all):
            raise PlaceRefused(f"there is no PCI bus {place.bus}")
        bus = self.all[number]
        reason = bus.fits(plug, number, asked=asked)
        if not reason and not bus.first <= place.slot <= bus.last:
            reason = f"the slots of a {bus.model} are {bus.first} to {bus.last}"
        if not reason and bus.used.get(place.slot, 0) & (1 << place.function):
            reason = "another device has this address"
        if reason:
            raise PlaceRefused(f"PCI address {place}: {reason}", place)
        if plug & Plug.SHARED and not bus.used.get(place.slot):
            bus.shared.add(place.slot)
        bus.used[place.slot] = bus.used.get(place.slot, 0) | (1 << place.function)

    def take_next(self, plug: int, function: int | None = None) -> Slot:
        """Reserve the first free place for a device.

        Raises:
            PlaceRefused: no bus has room (and none may be added).
        """
        place = self._find(plug, function)
        if place is None:
            if not self.growing:
                raise PlaceRefused("no PCI slot of the right kind is free")
            number = self._grow(plug, len(self.all))
            place = Slot(number, self.all[number].first, function or 0)
        self.take(place, plug, asked=False)
        return place

    def _find(self, plug: int, function: int | None) -> Slot | None:
        for number, bus in enumerate(self.all):
            if bus.fits(plug, number, asked=False):
                continue
            for slot in range(bus.first, bus.last + 1):
                free = bus.free_function(slot, plug, function)
                if free is not None:
                    return Slot(number, slot, free)
        return None

    def _grow(self, plug: int, wanted: int) -> int:
        """Add buses so that `wanted` exists; return the number that serves the device."""
        if plug & Plug.PCI:
            if any(bus.plugs & Plug.PCI_BRIDGE for bus in self.all):
                self._append("pci-bridge")
            elif self.pcie_pci_bridge:
                self._append("pcie-root-port")
                # kept for the bridge, so that no other device settles there
                self.all[-1].plugs = Plug.PCIE_PCI_BRIDGE
                self._append("pcie-to-pci-bridge")
            else:
                self._append("dmi-to-pci-bridge")
                self._append("pci-bridge")
            return max(len(self.all) - 1, wanted)
        if plug & (Plug.PCIE | Plug.UPSTREAM | Plug.PCIE_PCI_BRIDGE):
            self._append("pcie-root-port")
            return max(len(self.all) - 1, wanted)
        raise PlaceRefused("the controller has no bus to plug into, and none can be added by itself")
