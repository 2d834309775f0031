"""Serial and parallel ports, consoles and channels: what the guest sees of character devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import IsaAddress, VirtioSerialAddress
from ....config.domain.chardev import Channel, Chardev, Console, Parallel, Serial
from .chardevs import Backend
from .controllers import usb_place

if TYPE_CHECKING:
    from .context import Build


def add_serials(build: Build) -> None:
    """Add serial ports, parallel ports, channels and consoles."""
    devices = build.domain.devices
    for serial in devices.serials:
        add_serial(build, serial)
    first = next(iter(devices.consoles), None)
    if first is not None and first.target.type == "serial" and devices.serials:
        first.sources = [source.copy() for source in devices.serials[0].sources]
    for parallel in devices.parallels:
        _add_parallel(build, parallel)
    for channel in devices.channels:
        add_channel(build, channel)
    for console in devices.consoles:
        _add_console(build, console)


def _backend(build: Build, item: Chardev, *, spice: str = "") -> str:
    protocol = item.protocol.type if item.protocol is not None else None
    return Backend(build, item, build.alias(item)).add(
        item.type, item.sources, protocol=protocol, log=item.log, spice=spice
    )


def add_serial(build: Build, item: Serial) -> None:
    """Add a serial port."""
    kind = item.target.type or "isa-serial"
    alias = build.alias(item)
    if kind == "isa-serial":
        properties: dict[str, Any] = {"driver": "isa-serial", **_isa_place(build, item)}
        port = item.target.port
        if port is not None and port > 3 and "iobase" not in properties:
            raise build.refuse(item, "target/@port", "the ISA bus has serial ports 0 to 3", remedy="Use pci-serial")
        properties |= {"index": port}
    elif kind == "usb-serial":
        properties = {"driver": "usb-serial", **usb_place(build, item)}
    elif kind == "pci-serial":
        properties = {"driver": "pci-serial", **build.pci(item)}
    elif kind == "isa-debug":
        properties = {"driver": "isa-debugcon", **_isa_place(build, item)}
        properties.pop("irq", None)
    else:
        raise build.refuse(item, "target/@type", f"x86 machines have no serial port of type {kind}")
    name = _backend(build, item)
    build.device(item, {**properties, "chardev": name, "id": alias}, below="target/@type")


def _isa_place(build: Build, item: Chardev) -> dict[str, Any]:
    address = item.address
    if address is None:
        return {}
    if not isinstance(address, IsaAddress):
        raise build.refuse(item, "address/@type", "this port sits on the ISA bus")
    return {"iobase": address.iobase, "irq": address.irq}


def _add_parallel(build: Build, item: Parallel) -> None:
    if (item.target.port or 0) > 2:
        raise build.refuse(item, "target/@port", "the ISA bus has parallel ports 0 to 2")
    name = _backend(build, item)
    build.device(item, {"driver": "isa-parallel", **_isa_place(build, item), "chardev": name, "id": build.alias(item)})


def _virtio_port(build: Build, item: Chardev) -> dict[str, Any]:
    address = item.address
    if not isinstance(address, VirtioSerialAddress):
        raise build.refuse(item, "address/@type", "the device needs a port of a virtio-serial controller")
    name = build.controller_alias(item, "virtio-serial", address.controller or 0)
    return {"bus": f"{name}.{address.bus or 0}", "nr": address.port}


def add_channel(build: Build, item: Channel) -> None:
    """Add a channel."""
    kind = item.target.type
    if kind == "guestfwd":
        _add_forward(build, item)
        return
    if kind != "virtio":
        raise build.refuse(item, "target/@type", f"QEMU has no channels of type {kind}")
    if not item.target.name and item.type == "spicevmc":
        item.target.name = "com.redhat.spice.0"
    if item.type == "spicevmc" and item.target.name not in ("com.redhat.spice.0",):
        raise build.refuse(item, "target/@name", "a SPICE channel is called com.redhat.spice.0")
    name = _backend(build, item)
    properties = {"driver": "virtserialport", **_virtio_port(build, item), "chardev": name}
    build.device(item, {**properties, "id": build.alias(item), "name": item.target.name})


def _add_forward(build: Build, item: Channel) -> None:
    """Add a user network whose address leads to the channel, as libvirt does it."""
    target = item.target
    if not target.address or not target.port:
        raise build.refuse(item, "target", "a forwarded channel needs an address and a port")
    name = _backend(build, item)
    address = build.host(item, "target/@address", target.address)
    if ":" in address:
        raise build.refuse(item, "target/@address", "QEMU forwards addresses of IPv4 only")
    forward = f"tcp:{address}:{target.port}-chardev:{name}"
    build.netdev({"type": "user", "guestfwd": [{"str": forward}], "id": build.alias(item)})


def _add_console(build: Build, item: Console) -> None:
    kind = item.target.type
    if kind == "serial":
        return  # the first serial port is it (plan/ports.py)
    if kind != "virtio":
        raise build.refuse(item, "target/@type", f"x86 guests of QEMU have no console of type {kind}")
    name = _backend(build, item)
    build.device(item, {"driver": "virtconsole", **_virtio_port(build, item), "chardev": name, "id": build.alias(item)})
