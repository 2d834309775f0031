"""Devices of an xl.cfg as domain XML, disks and network cards apart (disks.py, nics.py).

Settings and their meaning: xl.cfg(5) and xl-pci-configuration(5) of Xen 4.17.  Pure functions.
"""

from __future__ import annotations

import re
from typing import TypeVar

from ...config.domain.address import HostAddress, HostPciFunction
from ...config.domain.balloon import Memballoon
from ...config.domain.chardev import (
    Channel,
    ChannelTarget,
    Chardev,
    ChardevSource,
    Console,
    ConsoleTarget,
    Parallel,
    ParallelTarget,
    Protocol,
    Serial,
    SerialTarget,
)
from ...config.domain.controller import Controller
from ...config.domain.devices import Devices
from ...config.domain.hostdev import Hostdev, HostdevDriver, HostdevSource
from ...config.domain.input import Input
from ...config.domain.sound import Sound
from ...config.errors import InvalidArgument
from .cfg import Settings
from .disks import disk_of
from .nics import interface_of
from .options import pairs, whole
from .screens import read_graphics

SOUND = {"hda": "ich6", "ich6": "ich6", "ac97": "ac97", "es1370": "es1370", "sb16": "sb16", "pcspk": "pcspk"}
"""soundhw of xl (QEMU's old names) -> model of domain XML."""
_BDF = re.compile(r"(?:([0-9a-fA-F]{1,4}):)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})\.([0-7*])(?:@[0-9a-fA-F]+)?")
DEFAULT_USB_PORTS = 8
T = TypeVar("T", bound=Chardev)
USB_TYPES = ("mouse", "tablet", "keyboard")


def read_devices(settings: Settings, devices: Devices, kind: str) -> None:
    """Fill in all devices."""
    hvm = kind == "hvm"
    devices.emulator = settings.text("device_model_override") or settings.text("device_model") or None
    devices.disks = [disk_of(text, hvm=hvm) for text in settings.strings("disk")]
    devices.interfaces = [interface_of(text) for text in settings.strings("vif")]
    devices.controllers = _controllers(settings, devices)
    _ports(settings, devices, hvm)
    devices.channels = [_channel(text) for text in settings.strings("channel")]
    devices.inputs = _inputs(settings, hvm)
    read_graphics(settings, devices, hvm)
    if hvm:
        devices.sounds = _sounds(settings)
    devices.hostdevs = [_pci(settings, text) for text in settings.strings("pci")]
    devices.hostdevs += [_usb(text) for text in settings.strings("usbdev")]
    devices.memballoon = Memballoon(model="xen")


def _controllers(settings: Settings, devices: Devices) -> list[Controller]:
    xenbus = Controller(type="xenbus", index=0)
    xenbus.max_grant_frames = settings.number("max_grant_frames")
    channels = settings.number("max_event_channels")
    xenbus.max_event_channels = settings.number("event_channels") if channels is None else channels
    found = [xenbus]
    for bus in ("ide", "scsi"):
        used = {disk.address.controller or 0 for disk in devices.disks  # type: ignore[attr-defined]  # drives only
                if disk.target.bus == bus and disk.address is not None}  # fmt: skip
        found += [Controller(type=bus, index=index) for index in range(max(used, default=-1) + 1)]
    for index, text in enumerate(settings.strings("usbctrl")):
        said = pairs(text, "usbctrl")
        ports = whole(said.get("ports") or str(DEFAULT_USB_PORTS), "usbctrl: ports")
        model = "qusb1" if said.get("version") == "1" else "qusb2"
        found.append(Controller(type="usb", index=index, model=model, ports=ports))
    return found


def _ports(settings: Settings, devices: Devices, hvm: bool) -> None:
    if not hvm:
        devices.consoles = [Console(type="pty", target=ConsoleTarget(type="xen", port=0))]
        return
    parallel, serials = settings.text("parallel"), settings.strings("serial")
    if parallel not in ("", "none"):
        devices.parallels = [_chardev(Parallel(target=ParallelTarget(port=0)), parallel)]
    devices.serials = [_chardev(Serial(target=SerialTarget(port=port)), text)
                       for port, text in enumerate(serials) if text != "none"]  # fmt: skip
    if devices.serials:
        first = devices.serials[0]
        console = Console(type=first.type, target=ConsoleTarget(type="serial", port=0))
        console.sources = [source.copy() for source in first.sources]
        console.protocol = first.protocol.copy() if first.protocol is not None else None
        devices.consoles = [console]


def _chardev(device: T, text: str) -> T:
    """Read a character device as QEMU's -serial takes it."""
    word, _, rest = text.partition(":")
    if text.startswith("/dev/"):
        device.type, device.sources = "dev", [ChardevSource(path=text)]
    elif word in ("null", "vc", "pty", "stdio"):
        device.type = word
    elif word in ("file", "pipe"):
        device.type, device.sources = word, [ChardevSource(path=rest)]
    elif word in ("tcp", "telnet"):
        device.type, device.sources = "tcp", [_endpoint(rest)]
        device.protocol = Protocol(type="telnet" if word == "telnet" else "raw")
    elif word == "udp":
        device.type, device.sources = "udp", _udp(rest)
    elif word == "unix":
        path, *options = rest.split(",")
        device.type = "unix"
        device.sources = [ChardevSource(mode="bind" if _listens(options) else "connect", path=path)]
    else:
        raise InvalidArgument(f"xl.cfg: {text!r} is no character device", remedy="pty, file:PATH, tcp:HOST:PORT, …",
                              value=text)  # fmt: skip
    return device


def _listens(options: list[str]) -> bool:
    return any(option in ("server", "listen", "server=on") for option in options)


def _endpoint(text: str) -> ChardevSource:
    place, *options = text.split(",")
    host, _, port = place.rpartition(":")
    return ChardevSource(mode="bind" if _listens(options) else "connect", host=host or None, service=port)


def _udp(text: str) -> list[ChardevSource]:
    """Read `host:port@local:port`: where it sends to, and where it listens."""
    there, at, here = text.partition("@")
    sources = []
    if at:
        host, _, port = here.rpartition(":")
        sources.append(ChardevSource(mode="bind", host=host or None, service=port))
    host, _, port = there.rpartition(":")
    return [*sources, ChardevSource(mode="connect", host=host or None, service=port)]


def _channel(text: str) -> Channel:
    said = pairs(text, "channel")
    channel = Channel(type="pty", target=ChannelTarget(type="xen", name=said.get("name") or None))
    if said.get("connection") == "socket":
        channel.type = "unix"
        channel.sources = [ChardevSource(mode="bind", path=said.get("path") or None)]
    return channel


def _inputs(settings: Settings, hvm: bool) -> list[Input]:
    found = []
    if hvm and (settings.flag("usb") or settings.get("usbdevice")):
        names = [name.rpartition(":")[2] for name in settings.strings("usbdevice")]
        found = [Input(type=name, bus="usb") for name in names if name in USB_TYPES]
    bus = "ps2" if hvm else "xen"
    return [*found, Input(type="mouse", bus=bus), Input(type="keyboard", bus=bus)]


def _sounds(settings: Settings) -> list[Sound]:
    names = [name.strip() for name in settings.text("soundhw").split(",") if name.strip()]
    if names in (["all"], ["1"]):
        names = ["sb16", "es1370", "ac97", "hda"]
    return [Sound(model=SOUND[name]) for name in names if name in SOUND]


def _pci(settings: Settings, text: str) -> Hostdev:
    place, _, options = text.partition(",")
    said = pairs(options, "pci")
    match = _BDF.fullmatch(said.get("bdf", place).removeprefix("bdf=").strip())
    if match is None:
        raise InvalidArgument(f"xl.cfg: {text!r} is no PCI device", remedy="write it as 0000:01:1a.1", value=text)
    address = HostPciFunction(
        domain=int(match[1] or "0", 16), bus=int(match[2], 16), slot=int(match[3], 16),
        function=0 if match[4] == "*" else int(match[4]),
    )  # fmt: skip
    source = HostdevSource(address=address)
    permissive = said.get("permissive", "1" if settings.flag("pci_permissive") else "0")
    if permissive == "1":
        source.write_filtering = False
    managed = said.get("seize", "1" if settings.flag("pci_seize") else "0") == "1"
    return Hostdev(mode="subsystem", type="pci", managed=managed, driver=HostdevDriver(name="xen"), source=source)


def _usb(text: str) -> Hostdev:
    said = pairs(text, "usbdev")
    bus, device = (whole(said.get(name, ""), f"usbdev: {name}") for name in ("hostbus", "hostaddr"))
    address = HostAddress(bus=bus, device=device)
    return Hostdev(mode="subsystem", type="usb", managed=False, source=HostdevSource(address=address))
