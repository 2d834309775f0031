"""What follows from a definition without asking an emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..xml.binding import PLAIN, Element
from .address import PciAddress, UsbAddress
from .chardev import Chardev, Console, ConsoleTarget, Serial
from .controller import Controller
from .domain import Domain
from .filling import Filling, RandomBytes
from .os import BootDevice
from .vcpu import IoThread

MAX_THREADS = 4096
"""More threads of disk work than any guest has; what is written beyond is left as it is."""


def complete(domain: Domain, *, random: RandomBytes = os.urandom) -> Domain:
    """Return a copy of `domain` with what its XML left out: UUID, MAC addresses, actions, ports, pairs.

    `random` gives so many random bytes; with filling.seeded() the result is always the same.
    What depends on the emulator (machine alias, controllers, addresses) is the driver's to fill in.
    """
    domain = domain.copy()
    filling = Filling(random, domain.type, domain.os.type.arch or "")
    if not domain.uuid:
        domain.uuid = filling.uuid()
    if domain.genid is not None and not domain.genid.value:
        domain.genid.value = filling.uuid()
    if domain.bootloader is not None and not domain.os.type.given("name"):
        domain.os.type.name = "xen"
    _fill_amounts(domain)
    _fill_iothreads(domain)
    _fill_boot(domain)
    domain.clock.offset = domain.clock.offset or "utc"
    domain.on_poweroff = domain.on_poweroff or "destroy"
    domain.on_reboot = domain.on_reboot or "restart"
    domain.on_crash = domain.on_crash or "destroy"
    _number_controllers(domain)
    _number_ports(domain)
    if domain.os.type.name == "hvm":
        pair_console_with_serial(domain)
        _number_ports(domain)  # of a serial port that came of a console
    for device in domain.devices.every():
        if device.acpi is not None and device.acpi.index is None:
            device.acpi = None  # says nothing
    for element in parts(domain):
        element.fill(filling)
    return domain


def parts(model: Element) -> Iterator[Element]:
    """Yield `model` and all elements in it that have been made."""
    yield model
    for value in [value for value in model.__dict__.values() if type(value) not in PLAIN]:
        if isinstance(value, Element):
            yield from parts(value)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Element):
                    yield from parts(item)


def _fill_amounts(domain: Domain) -> None:
    cells = domain.cpu.numa.cells if domain.cpu and domain.cpu.numa else []
    for number, cell in enumerate(cells):
        if cell.id is None and all(other.id != number for other in cells):
            cell.id = number
    modules = sum(module.target.size or 0 for module in domain.devices.memories)
    in_cells = sum(cell.memory or 0 for cell in cells)
    if in_cells:
        domain.memory.kib = in_cells + modules
    total = (domain.memory.kib or 0) + (modules if not cells else 0)
    current = domain.current_memory.kib
    if not current or current > max(total, (domain.memory.kib or 0) + modules):
        # libvirt takes a balloon larger than the machine for the whole machine
        domain.current_memory.kib = domain.memory.kib
    vcpu = domain.vcpu
    vcpu.maximum = vcpu.maximum or 1
    states = domain.vcpus.vcpus if domain.vcpus is not None else []
    if states and vcpu.current is None and (off := sum(state.enabled is False for state in states)):
        vcpu.current = max(vcpu.maximum - off, 1)
    if domain.cputune is not None and domain.cputune.vcpupins:
        pins = domain.cputune.vcpupins
        domain.cputune.vcpupins = [pin for pin in pins if pin.vcpu is None or pin.vcpu < vcpu.maximum]
    if vcpu.placement is None:
        nodes = domain.numatune.memory if domain.numatune else None
        vcpu.placement = "auto" if nodes and nodes.placement == "auto" and not vcpu.cpuset else "static"
    cpu = domain.cpu
    if cpu is not None and cpu.model.name:
        cpu.mode = cpu.mode or "custom"
        if cpu.mode == "custom":
            cpu.match = cpu.match or "exact"


def _fill_iothreads(domain: Domain) -> None:
    """Where some threads are listed, list all that there are; there are as many as are listed at least."""
    listed = domain.iothreadids
    if listed is None or not listed.iothreads:
        return
    threads = listed.iothreads
    taken = {thread.id for thread in threads}
    missing = (domain.iothreads or 0) - len(threads)
    if 0 < missing <= MAX_THREADS:
        free = (number for number in range(1, missing + len(taken) + 1) if number not in taken)
        threads.extend(IoThread(id=number) for number, _ in zip(free, range(missing), strict=False))
        threads.sort(key=lambda thread: thread.id or 0)
    domain.iothreads = max(domain.iothreads or 0, len(threads))


def _fill_boot(domain: Domain) -> None:
    """A machine that says nothing boots from its first hard disk."""
    places = [device.boot for device in domain.devices.every() if device.boot is not None]
    boots_by_device = any(place.order is not None for place in places)
    if domain.os.type.name == "hvm" and not domain.os.boots and not boots_by_device and not domain.bootloader:
        domain.os.boots = [BootDevice(dev="hd")]


def _number_controllers(domain: Domain) -> None:
    """Give each controller that has no index the lowest free one; a part of a USB 2 controller that of its group.

    As libvirt 9.0 does it: a part belongs to the group of the controller before it, where that is a part of a group
    which has no such part yet.
    """
    controllers = _in_order_of_indexes(domain)
    taken: dict[str, set[int]] = {}
    for controller in controllers:
        if controller.index is not None:
            taken.setdefault(controller.type, set()).add(controller.index)
    lowest: dict[str, int] = {}
    for number, controller in enumerate(controllers):
        if controller.index is None and number and controller.is_usb2 and controllers[number - 1].is_usb2:
            index = controllers[number - 1].index
            group = [other.model for other in controllers if other.is_usb2 and other.index == index]
            if controller.model not in group:
                controller.index = index
        if controller.index is None:
            used = taken.setdefault(controller.type, set())
            index = lowest.get(controller.type, 0)
            while index in used:
                index += 1
            used.add(index)
            controller.index = lowest[controller.type] = index


def _in_order_of_indexes(domain: Domain) -> list[Controller]:
    """Return the controllers as libvirt 9.0 keeps them: of one type by index, each without one behind the last."""
    kept: list[Controller] = []
    for controller in domain.devices.controllers:
        same = [place for place, other in enumerate(kept) if other.type == controller.type]
        place = same[-1] + 1 if same else len(kept)
        for before in reversed(same):
            index = kept[before].index
            if controller.index is not None and index is not None and index > controller.index:
                place = before
        kept.insert(place, controller)
    return kept


NO_CONSOLE = ("usb-serial", "pci-serial", "isa-debug")
"""Kinds of serial port that are no console by themselves."""


def pair_console_with_serial(domain: Domain) -> None:
    """The first console of a machine is its first serial port; whichever is missing follows the other.

    A console of another kind comes behind it, as libvirt 9.0 has it (seen in what it writes back).
    """
    devices = domain.devices
    first = devices.consoles[0] if devices.consoles else None
    if first is not None and first.target.type not in (None, "none", "serial"):
        if devices.serials and devices.serials[0].target.type not in NO_CONSOLE:
            devices.consoles.insert(0, _console_of(devices.serials[0]))
        return
    if first is not None and not devices.serials:
        serial = Serial(type=first.type, sources=first.sources, protocol=first.protocol, log=first.log)
        serial.tty, serial.address = first.tty, first.address
        devices.serials = [serial.copy()]
    if first is not None and isinstance(first.address, PciAddress | UsbAddress):
        first.address = None  # it is the port's, whose other name the console is; libvirt's dumpxml repeats it
    if not devices.serials or devices.serials[0].target.type in NO_CONSOLE:
        return
    paired = _console_of(devices.serials[0])
    if first is None:
        devices.consoles = [paired]
    else:
        if first.alias.name:
            paired.alias = first.alias
        if first.tty and not paired.tty:
            paired.tty = first.tty
        devices.consoles[0] = paired


def _console_of(serial: Chardev) -> Console:
    console = Console(target=ConsoleTarget(type="serial", port=0))
    for name in ("type", "tty", "sources", "protocol", "log", "address"):
        if name in serial.__dict__:
            console.__dict__[name] = serial.__dict__[name]
    if isinstance(console.address, PciAddress | UsbAddress):
        console.address = None  # a place of its own bus, which one device has
    return console.copy()


def _number_ports(domain: Domain) -> None:
    for devices in (domain.devices.serials, domain.devices.parallels, domain.devices.consoles):
        used = {device.target.port for device in devices if device.target.port is not None}
        for device in devices:
            if device.target.port is None:
                device.target.port = next(port for port in range(len(devices) + len(used)) if port not in used)
                used.add(device.target.port)
