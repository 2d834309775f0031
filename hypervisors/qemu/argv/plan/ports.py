"""Which device a serial port is, ports of virtio-serial controllers, slots of smart card readers."""

from __future__ import annotations

from .....config.domain.address import CcidAddress, VirtioSerialAddress
from .....config.domain.controller import Controller
from .....config.domain.domain import Domain
from .....config.xml.binding import Element
from ..refusal import refuse
from .controllers import PORTS_PER_SERIAL_CONTROLLER, has_controller, insert_controller


def choose_ports(domain: Domain) -> None:
    """Say which device each serial port is, and give each smart card a slot of a reader."""
    for serial in domain.devices.serials:
        if serial.target.type is None:
            model = serial.target.model.name if serial.target.model is not None else None
            serial.target.type = "isa-debug" if model == "isa-debugcon" else model or "isa-serial"
    for console in domain.devices.consoles:
        if console.target.type is None:
            console.target.type = "serial"
    _number_readers(domain)


def _number_readers(domain: Domain) -> None:
    """Give each smart card a slot of a reader."""
    cards = domain.devices.smartcards
    taken = {c.address.slot for c in cards if isinstance(c.address, CcidAddress)}
    for card in cards:
        if card.address is None:
            slot = next(number for number in range(len(cards) + 1) if number not in taken)
            taken.add(slot)
            card.address = CcidAddress(controller=0, slot=slot)


class SerialPlanner:
    """Gives out ports of virtio-serial controllers: port 0 to a console only, then from 1 upwards."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.taken: dict[int, set[int]] = {}

    def plan(self) -> None:
        """Assign all ports, adding controllers where they are full.

        Raises:
            ConfigUnsupported: two devices ask for one port.
        """
        devices = self.domain.devices
        consoles = [item for item in devices.consoles if item.target.type == "virtio"]
        channels = [item for item in devices.channels if item.target.type == "virtio"]
        wanted: list[tuple[Element, bool]] = [(item, True) for item in consoles]
        wanted += [(item, False) for item in channels]
        for item, _ in wanted:
            self._claim(item)
        for item, may_be_zero in wanted:
            self._assign(item, may_be_zero)

    def _claim(self, item: Element) -> None:
        address = getattr(item, "address", None)
        if isinstance(address, VirtioSerialAddress) and address.port is not None:
            ports = self.taken.setdefault(address.controller or 0, set())
            key = address.port
            if key in ports:
                raise refuse(self.domain, item, "address/@port", f"port {key} is taken by another device")
            ports.add(key)

    def _assign(self, item: Element, may_be_zero: bool) -> None:
        address = getattr(item, "address", None)
        if address is not None and not isinstance(address, VirtioSerialAddress):
            return
        if isinstance(address, VirtioSerialAddress) and address.port is not None:
            return
        fixed = address.controller if address is not None else None
        controllers = [fixed] if fixed is not None else sorted(
            c.index or 0 for c in self.domain.devices.controllers if c.type == "virtio-serial"
        )
        for number in controllers:
            port = self._free(number, 0 if may_be_zero else 1)
            if port is not None:
                self._write(item, number, port)
                return
        if fixed is not None:
            raise refuse(self.domain, item, "address/@controller", "all ports of that controller are taken")
        number = next(n for n in range(1024) if not has_controller(self.domain, "virtio-serial", n))
        insert_controller(self.domain, Controller(type="virtio-serial", index=number))
        self._write(item, number, 0 if may_be_zero else 1)

    def _free(self, number: int, first: int) -> int | None:
        controllers = self.domain.devices.controllers
        ports = next((c.ports for c in controllers if c.type == "virtio-serial" and c.index == number), None)
        count = ports or PORTS_PER_SERIAL_CONTROLLER
        taken = self.taken.get(number, set())
        return next((port for port in range(first, count) if port not in taken), None)

    def _write(self, item: Element, number: int, port: int) -> None:
        self.taken.setdefault(number, set()).add(port)
        item.__dict__["address"] = VirtioSerialAddress(controller=number, bus=0, port=port)
