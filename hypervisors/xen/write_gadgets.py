"""Devices of domain XML as settings of xl.cfg(5).  Pure functions."""

from __future__ import annotations

from ...config.domain.chardev import Channel, Chardev, ChardevSource
from ...config.domain.domain import Domain
from ...config.domain.graphics import Graphics
from ...config.domain.hostdev import Hostdev
from ...config.errors import ConfigUnsupported
from .cfg import Value
from .disks import spec_of
from .gadgets import SOUND
from .nics import vif_of
from .options import is_host, joined, word
from .screens import CARDS, VNC_BASE, VRAM_KIB
from .write_machine import Written

LACKING = ("leases", "filesystems", "smartcards", "tpms", "redirdevs", "hubs", "watchdogs", "rngs", "nvram", "shmems",
           "memories", "cryptos", "iommu", "vsock", "pstore")  # fmt: skip
"""Devices that xl has no setting for."""


def device_settings(domain: Domain, kind: str) -> Written:
    """Return the settings of all devices.

    Raises: ConfigUnsupported for what Xen does not have.
    """
    devices, hvm, out = domain.devices, kind == "hvm", Written()
    _refuse_lacking(domain)
    if devices.emulator:
        out.append(("device_model_override", devices.emulator))
    if domain.xen_commandline is not None and domain.xen_commandline.args:
        out.append(("device_model_args", [arg.value for arg in domain.xen_commandline.args]))
    out += _graphics(domain, hvm)
    if devices.interfaces:
        out.append(("vif", [vif_of(card, hvm=hvm) for card in devices.interfaces]))
    out += _limits(domain)
    if devices.disks:
        out.append(("disk", [spec_of(disk) for disk in devices.disks]))
    out += _host_devices(domain)
    if hvm:
        out += _ports(domain)
        out += _usb_inputs(domain)
        out += _sound(domain)
    if devices.channels:
        out.append(("channel", [_channel(each) for each in devices.channels if each.target.type == "xen"]))
    return out


def _refuse_lacking(domain: Domain) -> None:
    for field in domain.devices.FIELDS:
        if field.name in LACKING and domain.devices.given(field.name):
            raise ConfigUnsupported(f"Xen has no <{field.xml}> device", remedy="leave it out",
                                    path=f"/domain/devices/{field.xml}", value=field.xml)  # fmt: skip


def _limits(domain: Domain) -> Written:
    out: Written = []
    controllers = domain.devices.controllers
    for bus in controllers:
        if bus.type == "xenbus" and bus.max_grant_frames is not None:
            out.append(("max_grant_frames", bus.max_grant_frames))
        if bus.type == "xenbus" and bus.max_event_channels is not None:
            out.append(("max_event_channels", bus.max_event_channels))
    usb: list[Value] = []
    for bus in controllers:
        if bus.type == "usb" and bus.model in ("qusb1", "qusb2"):
            usb.append(joined([("type", "qusb"), ("version", bus.model[-1]), ("ports", bus.ports)]))
    return [*out, ("usbctrl", usb)] if usb else out


def _graphics(domain: Domain, hvm: bool) -> Written:
    screens = domain.devices.graphics
    for screen in screens:
        if screen.type not in ("vnc", "sdl", "spice"):
            raise ConfigUnsupported(
                f"Xen has no graphics of type {screen.type}", remedy="use vnc, spice or sdl",
                path="/domain/devices/graphics/@type", value=screen.type, allowed=["vnc", "spice", "sdl"],
            )  # fmt: skip
    if not hvm:
        strings: list[Value] = [joined([(name, value) for name, value in _screen(each) if isinstance(value, str | int)])
                                for each in screens if each.type != "spice"]  # fmt: skip
        return [("vfb", strings)] if strings else []
    out: Written = []
    kinds = {screen.type for screen in screens}
    if "sdl" not in kinds:
        out.append(("sdl", 0))
    if "vnc" not in kinds:
        out.append(("vnc", 0))
    for screen in screens:
        out += _spice(screen) if screen.type == "spice" else _screen(screen)
    return out + _card(domain)


def _screen(screen: Graphics) -> Written:
    if screen.type == "sdl":
        named = (("display", screen.display), ("xauthority", screen.xauth))
        return [("sdl", 1), *((name, value) for name, value in named if value)]
    out: Written = [("vnc", 1)]
    fixed = not screen.autoport and screen.port is not None and screen.port >= VNC_BASE
    out.append(("vncunused", int(not fixed)))
    if fixed:
        out.append(("vncdisplay", (screen.port or 0) - VNC_BASE))
    address = _address(screen)
    out += [(name, value) for name, value in
            (("vnclisten", address), ("vncpasswd", screen.passwd),
             ("keymap", word(screen.keymap, "a keymap") if screen.keymap else None)) if value]  # fmt: skip
    return out


def _address(screen: Graphics) -> str | None:
    first = screen.listens[0] if screen.listens else None
    address = (first.address if first is not None and first.type == "address" else None) or screen.listen
    if address and not is_host(address):  # xl hands it on to QEMU unquoted
        raise ConfigUnsupported(f"{address[:100]!r} is no address to listen on", remedy="use one of the host's",
                                path="/domain/devices/graphics/@listen", value=address[:100])  # fmt: skip
    return address


def _spice(screen: Graphics) -> Written:
    out: Written = [("spice", 1)]
    if address := _address(screen):
        out.append(("spicehost", address))
    if screen.port is not None and screen.port > 0:
        out.append(("spiceport", screen.port))
    if screen.tls_port is not None and screen.tls_port > 0:
        out.append(("spicetls_port", screen.tls_port))
    out.append(("spicedisable_ticketing", int(not screen.passwd)))
    if screen.passwd:
        if "," in screen.passwd:  # xl hands it on to QEMU unquoted
            raise ConfigUnsupported("xl takes no SPICE password with a comma", remedy="use another",
                                    path="/domain/devices/graphics/@passwd")  # fmt: skip
        out.append(("spicepasswd", screen.passwd))
    if screen.keymap:
        out.append(("keymap", word(screen.keymap, "a keymap")))
    shares = screen.clipboard is not None and screen.clipboard.copypaste is True
    mode = screen.mouse.mode if screen.mouse is not None else None
    if mode is not None:
        out.append(("spiceagent_mouse", int(mode == "client")))
    if shares or mode == "client":
        out.append(("spicevdagent", 1))
    if shares:
        out.append(("spice_clipboard_sharing", 1))
    return out


def _card(domain: Domain) -> Written:
    cards = {xml: xl for xl, xml in CARDS.items()}
    videos = domain.devices.videos
    if not videos:
        return []
    model = videos[0].model
    if model.type == "none":
        return [("vga", "none")]
    if model.type not in cards:
        raise ConfigUnsupported(
            f"Xen has no video of type {model.type}", remedy="use cirrus, vga or qxl",
            path="/domain/devices/video/model/@type", value=model.type, allowed=list(cards),
        )  # fmt: skip
    out: Written = [] if model.type == "cirrus" else [("vga", cards[model.type])]
    if model.vram is not None and model.vram != VRAM_KIB[model.type]:
        out.append(("videoram", -(-model.vram // 1024)))
    return out


def _host_devices(domain: Domain) -> Written:
    pci: list[Value] = []
    usb: list[Value] = []
    for device in domain.devices.hostdevs:
        address = device.source.address
        if device.type == "pci" and address is not None:
            pci.append(pci_of(device))
        elif device.type == "usb" and address is not None and address.bus is not None:
            usb.append(usb_of(device))
        else:
            raise ConfigUnsupported(
                f"Xen cannot hand on a {device.type} device by what is said of it",
                remedy="use a PCI device, or a USB device by its bus and number", path="/domain/devices/hostdev",
                value=device.type,
            )  # fmt: skip
    return [(name, value) for name, value in (("pci", pci), ("usbdev", usb)) if value]


def usb_of(device: Hostdev) -> str:
    """Return the usbdev string of a USB device that is named by its place on the host."""
    at = device.source.address
    return f"type=hostdev,hostbus={at.bus if at else ''},hostaddr={at.device if at else ''}"


def pci_of(device: Hostdev) -> str:
    """Return the pci string of a PCI device."""
    at = device.source.address
    if at is None:
        return ""
    place = f"{at.domain or 0:04x}:{at.bus or 0:02x}:{at.slot or 0:02x}.{at.function or 0:x}"
    permissive = device.source.write_filtering is False
    return place + (",permissive=1" if permissive else "") + (",seize=1" if device.managed else "")


def _ports(domain: Domain) -> Written:
    devices = domain.devices
    parallel = _chardev(devices.parallels[0]) if devices.parallels else "none"
    out: Written = [("parallel", parallel)]
    by_port = {serial.target.port if serial.target.port is not None else at: serial
               for at, serial in enumerate(devices.serials)}  # fmt: skip
    if not by_port:
        return [*out, ("serial", "none")]
    words: list[Value] = [_chardev(by_port[port]) if port in by_port else "none" for port in range(max(by_port) + 1)]
    return [*out, ("serial", words[0] if len(words) == 1 else words)]


def _chardev(device: Chardev) -> str:
    """Return a character device as QEMU's -serial takes it.

    Raises: ConfigUnsupported for a type that xl does not have.
    """
    kind, source = device.type or "pty", device.source
    if kind in ("null", "vc", "pty", "stdio"):
        return kind
    if kind == "dev":
        if not (source.path or "").startswith("/"):  # QEMU takes `tcp:…` and the like for other backends
            raise ConfigUnsupported(f"{source.path!r} is no device", remedy="name it by its whole path",
                                    path="/domain/devices/serial/source/@path", value=source.path)  # fmt: skip
        return word(source.path or "", "a device")
    if kind in ("file", "pipe"):
        return f"{kind}:{word(source.path or '', 'a path')}"
    waits = ",server,nowait" if source.mode == "bind" else ""
    if kind == "tcp":
        protocol = "telnet" if device.protocol is not None and device.protocol.type == "telnet" else "tcp"
        return f"{protocol}:{_end(source)}{waits}"
    if kind == "unix":
        return f"unix:{word(source.path or '', 'a path')}{waits}"
    if kind == "udp":
        ends = {each.mode: _end(each) for each in device.sources}
        here = f"@{ends['bind']}" if "bind" in ends else ""
        return f"udp:{ends.get('connect', ':')}{here}"
    raise ConfigUnsupported(
        f"Xen has no serial or parallel port of type {kind}", remedy="use pty, file, tcp, udp, unix or dev",
        path="/domain/devices/serial/@type", value=kind,
    )  # fmt: skip


def _end(source: ChardevSource) -> str:
    return f"{word(source.host or '', 'a host', beside=':@')}:{word(source.service or '', 'a port', beside=':@')}"


def _usb_inputs(domain: Domain) -> Written:
    names: list[Value] = [each.type for each in domain.devices.inputs if each.bus == "usb"]
    if not names:
        return []
    return [("usb", 1), ("usbdevice", names[0] if len(names) == 1 else names)]


def _sound(domain: Domain) -> Written:
    names = {xml: xl for xl, xml in SOUND.items() if xl != "ich6"}
    cards = [names[sound.model] for sound in domain.devices.sounds if sound.model in names]
    if len(cards) != len(domain.devices.sounds):
        raise ConfigUnsupported(
            "Xen does not have one of the sound cards", remedy=f"use {', '.join(names)}",
            path="/domain/devices/sound/@model", allowed=list(names),
        )  # fmt: skip
    return [("soundhw", ",".join(cards))] if cards else []


def _channel(channel: Channel) -> str:
    if channel.type == "unix":
        return joined([("connection", "socket"), ("path", channel.source.path), ("name", channel.target.name)])
    return joined([("connection", "pty"), ("name", channel.target.name)])
