"""Serial and parallel ports, consoles, channels, USB redirection and smart cards."""

from __future__ import annotations

from ....config.domain.chardev import (
    Channel,
    ChannelTarget,
    Console,
    ConsoleTarget,
    Parallel,
    ParallelTarget,
    Redirdev,
    Redirfilter,
    Serial,
    SerialModel,
    SerialTarget,
    Smartcard,
    UsbDev,
)
from .chardevs import Backend, from_short, read_backend
from .places import card_place, isa_place, pci_place, serial_place, usb_place
from .reading import Reading, UnmappedError
from .values import Props

SERIALS = {
    "isa-serial": ("isa-serial", "isa-serial"), "usb-serial": ("usb-serial", "usb-serial"),
    "pci-serial": ("pci-serial", "pci-serial"), "isa-debugcon": ("isa-debug", "isa-debugcon"),
}  # fmt: skip


def read_serial(reading: Reading, props: Props) -> None:
    """Read a serial port that is a device."""
    backend = read_backend(reading, props.peek("chardev"))
    kind, model = SERIALS[props.take("driver") or ""]
    props.drop("chardev")
    item = Serial(target=SerialTarget(type=kind, model=SerialModel(name=model)))
    if kind == "isa-serial":
        item.target.port = props.number("index")
    backend.fill(item)
    if kind in ("isa-serial", "isa-debug"):
        isa_place(item, props)
    elif kind == "usb-serial":
        usb_place(reading, item, props)
    else:
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.serials.append(item)


def read_parallel(reading: Reading, props: Props) -> None:
    """Read a parallel port that is a device."""
    backend = read_backend(reading, props.peek("chardev"))
    props.drop("chardev", "driver")
    item = Parallel(target=ParallelTarget(port=props.number("index")))
    backend.fill(item)
    isa_place(item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.parallels.append(item)


def read_virtio_port(reading: Reading, props: Props) -> None:
    """Read a channel or console on a virtio-serial controller."""
    backend = read_backend(reading, props.peek("chardev"))
    props.drop("chardev")
    item: Channel | Console
    if props.take("driver") == "virtconsole":
        item = Console(target=ConsoleTarget(type="virtio"))
        reading.domain.devices.consoles.append(item)
    else:
        item = Channel(target=ChannelTarget(type="virtio", name=props.take("name")))
        reading.domain.devices.channels.append(item)
    backend.fill(item)
    serial_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)


def read_redirection(reading: Reading, props: Props) -> None:
    """Read a port for USB devices that a viewer hands in."""
    backend = read_backend(reading, props.peek("chardev"))
    props.drop("chardev", "driver")
    item = Redirdev(bus="usb")
    backend.fill(item)
    rules = props.take("filter")
    devices = reading.domain.devices
    if rules and devices.redirfilter is None:
        devices.redirfilter = Redirfilter(usbdevs=[_rule(rule) for rule in rules.split("|")])
    usb_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    devices.redirdevs.append(item)


def _rule(text: str) -> UsbDev:
    words = [*text.split(":"), "", "", "", "", ""][:5]
    version = words[3]
    if version.startswith("0x") and len(version) >= 5:
        version = f"{int(version[2:-2] or '0')}.{version[-2:]}" if version[2:].isdigit() else version
    names = [None if word in ("-1", "") else word for word in (*words[:3], version)]
    return UsbDev(usb_class=names[0], vendor=names[1], product=names[2], version=names[3], allow=words[4] == "1")


def read_card(reading: Reading, props: Props) -> None:
    """Read a smart card."""
    item = Smartcard()
    if props.peek("driver") == "ccid-card-passthru":
        backend = read_backend(reading, props.peek("chardev"))
        props.drop("chardev")
        item.mode = "passthrough"
        backend.fill(item)
    elif props.peek("backend") == "certificates":
        item.mode = "host-certificates"
        item.certificates = [props.take(f"cert{number}") or "" for number in (1, 2, 3)]
        item.database = props.take("db")
    else:
        item.mode = "host"
    props.drop("driver", "backend")
    card_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.smartcards.append(item)


def read_short_ports(reading: Reading) -> None:
    """Read -serial, -parallel and -debugcon."""
    devices = reading.domain.devices
    for option in reading.each("serial", "parallel", "debugcon"):
        try:
            backend: Backend | None = from_short(reading, option.name, option.value, option.place, option.words)
        except UnmappedError as error:
            reading.keep(option.words, option.place, f"{error} has no place in domain XML")
            continue
        if option.name in ("serial", "parallel"):
            reading.ports_given.add(option.name)
        if backend is None:
            continue
        if option.name == "parallel":
            parallel = Parallel()
            backend.fill(parallel)
            devices.parallels.append(parallel)
            continue
        debug = option.name == "debugcon"
        kind, model = SERIALS["isa-debugcon" if debug else "isa-serial"]
        serial = Serial(target=SerialTarget(type=kind, model=SerialModel(name=model)))
        backend.fill(serial)
        devices.serials.append(serial)
