"""Ports of USB buses and hubs."""

from __future__ import annotations

from collections.abc import Iterator

from .....config.domain.address import UsbAddress
from .....config.domain.chardev import Hub
from .....config.domain.controller import Controller
from .....config.domain.device import Device
from .....config.domain.domain import Domain
from ..refusal import refuse

HUB_PORTS = 8
"""Ports of QEMU's usb-hub."""
PORTS = {
    "piix3-uhci": 2, "piix4-uhci": 2, "vt82c686b-uhci": 2, "ehci": 6, "ich9-ehci1": 6, "pci-ohci": 3,
    "nec-xhci": 4, "qemu-xhci": 4,
}  # fmt: skip
"""Ports of each model of controller (QEMU's defaults)."""
CONFIGURABLE = ("nec-xhci", "qemu-xhci")


def usb_devices(domain: Domain) -> Iterator[Device]:
    """Yield the devices that sit on a USB bus, hubs left out, in the order of their ports."""
    devices = domain.devices
    yield from (d for d in devices.disks if d.target.bus == "usb")
    yield from (d for d in devices.inputs if d.bus == "usb")
    yield from (d for d in devices.hostdevs if d.mode == "subsystem" and d.type == "usb")
    yield from devices.redirdevs
    yield from (d for d in devices.controllers if d.type == "ccid")
    yield from (d for d in devices.sounds if d.model == "usb")
    yield from (d for d in devices.serials if d.target.type == "usb-serial")
    yield from (d for d in devices.interfaces if d.model.type == "usb-net")


class _Ports:
    """The ports of one bus or hub, and the hubs plugged into them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.used: set[int] = set()
        self.hubs: dict[int, _Ports] = {}

    def free(self) -> str | None:
        """Return the path of a free port, on this hub first."""
        for port in range(1, self.count + 1):
            if port not in self.used:
                return str(port)
        for port in sorted(self.hubs):
            below = self.hubs[port].free()
            if below is not None:
                return f"{port}.{below}"
        return None


class UsbPlanner:
    """Gives out USB ports, adding hubs where there are too few."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.buses: dict[int, _Ports] = {}

    def plan(self) -> None:
        """Assign all ports.

        Raises:
            ConfigUnsupported: no such bus or port, or one taken twice.
        """
        devices = list(usb_devices(self.domain))
        hubs = self.domain.devices.hubs
        if not devices and not hubs:
            return
        for item in self.domain.devices.controllers:
            self._add_controller(item)
        if not self.buses:
            raise refuse(self.domain, (devices or list(hubs))[0], "", "the guest has no USB bus for this device",
                         remedy="Add a USB controller, or take away the one of model 'none'")
        for device in (*devices, *hubs):
            if device.address is not None and not isinstance(device.address, UsbAddress):
                raise refuse(self.domain, device, "address/@type", "a USB device needs a USB address")
        self._add_hubs(devices)
        for hub in hubs:
            if self._is_placed(hub):
                self._plug_hub(hub)
        for device in devices:
            if self._is_placed(device):
                self._claim(device)
        for hub in hubs:
            if not self._is_placed(hub):
                self._assign(hub)
                self._plug_hub(hub, claimed=True)
        for device in devices:
            if not self._is_placed(device):
                self._assign(device)

    @staticmethod
    def _is_placed(device: Device) -> bool:
        return isinstance(device.address, UsbAddress) and device.address.port is not None

    def _add_controller(self, item: Controller) -> None:
        if item.type != "usb" or item.model not in PORTS:
            return
        count = PORTS[item.model]
        if item.model in CONFIGURABLE and item.ports:
            count = item.ports
        if item.index in self.buses:
            raise refuse(self.domain, item, "@index", f"there are two USB controllers {item.index}")
        self.buses[item.index or 0] = _Ports(count)

    def _add_hubs(self, devices: list[Device]) -> None:
        """Add hubs until there is a port for every device, only where addresses are left to us."""
        hubs = self.domain.devices.hubs
        ports = sum(bus.count for bus in self.buses.values()) + HUB_PORTS * len(hubs)
        missing = len(devices) + len(hubs) - ports
        for _ in range(-(-missing // (HUB_PORTS - 1)) if missing > 0 else 0):
            hubs.append(Hub(type="usb"))

    def _find(self, device: Device) -> tuple[_Ports, int]:
        address = device.address
        assert isinstance(address, UsbAddress) and address.port is not None
        ports = self.buses.get(address.bus or 0)
        if ports is None:
            raise refuse(self.domain, device, "address/@bus", f"there is no USB bus {address.bus}")
        path = [int(part) for part in address.port.split(".")]
        for step in path[:-1]:
            below = ports.hubs.get(step)
            if below is None:
                raise refuse(self.domain, device, "address/@port", f"no hub is plugged into port {step}")
            ports = below
        if not 1 <= path[-1] <= ports.count:
            raise refuse(self.domain, device, "address/@port", f"the ports there are 1 to {ports.count}")
        return ports, path[-1]

    def _claim(self, device: Device) -> None:
        ports, port = self._find(device)
        if port in ports.used:
            raise refuse(self.domain, device, "address/@port", "another device is plugged in there")
        ports.used.add(port)

    def _plug_hub(self, hub: Hub, *, claimed: bool = False) -> None:
        ports, port = self._find(hub)
        if not claimed:
            self._claim(hub)
        ports.hubs[port] = _Ports(HUB_PORTS)

    def _assign(self, device: Device) -> None:
        wanted = device.address.bus if isinstance(device.address, UsbAddress) else None
        for number in sorted(self.buses) if wanted is None else [wanted]:
            ports = self.buses.get(number)
            path = ports.free() if ports is not None else None
            if path is not None:
                device.address = UsbAddress(bus=number, port=path)
                self._claim(device)
                return
        raise refuse(self.domain, device, "address", "no USB port is free", remedy="Add a USB controller")
