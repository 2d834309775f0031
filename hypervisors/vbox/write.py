"""Domain XML as options of `VBoxManage modifyvm`. Pure functions.

Spellings: the manual's chapter on VBoxManage, of 6.1 and of 7.0; where both know the older spelling, it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...config.domain.chardev import Serial
from ...config.domain.document import parse
from ...config.domain.domain import Domain
from ...config.domain.interface import Interface
from ...config.errors import ConfigUnsupported
from .media import Attachment, Controller, storage_of

MOST_NICS, MOST_PORTS, MOST_BOOTS = 8, 4, 4
BOOT = {"hd": "disk", "cdrom": "dvd", "fd": "floppy", "network": "net"}
NIC_MODELS = {"e1000": "82540EM", "pcnet": "Am79C973", "virtio": "virtio", "82540EM": "82540EM", "82543GC": "82543GC",
              "82545EM": "82545EM", "Am79C970A": "Am79C970A", "Am79C973": "Am79C973"}  # fmt: skip
UARTS = (("0x3F8", "4"), ("0x2F8", "3"), ("0x3E8", "4"), ("0x2E8", "3"))
SOUND = {"ac97": "ac97", "sb16": "sb16", "ich6": "hda", "ich7": "hda", "ich9": "hda"}
VIDEO = {"vbox": "vboxvga", "vmvga": "vmsvga", "none": "none", "default": "vboxvga"}
DEFAULT_MEMORY_MIB = 128
_UNTOLD = ("hostdevs", "tpms", "rngs", "watchdogs", "smartcards", "redirdevs", "channels", "panics", "shmems",
           "memories", "hubs", "nvram", "iommu", "vsock", "leases", "parallels")  # fmt: skip
"""Devices of domain XML that nothing here stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What VirtualBox is told of a machine."""

    name: str
    os_type: str
    options: list[str] = field(default_factory=list)
    controllers: list[Controller] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    folders: list[tuple[str, str, bool]] = field(default_factory=list)


def plan_of(xml: str | Domain, major: int) -> Plan:
    """Return the plan of a machine.

    Args:
        xml: domain XML, or the domain.
        major: VirtualBox's first version number: 7 spells sound in another way.

    Raises:
        XmlError: it is no domain XML.
        ConfigUnsupported: it asks for what VirtualBox cannot do.
    """
    domain = parse(xml) if isinstance(xml, str) else xml
    if domain.type != "vbox":
        raise ConfigUnsupported(
            f"a domain of type {domain.type} is not for VirtualBox", path="/domain/@type", value=domain.type,
            allowed=["vbox"], remedy="use <domain type='vbox'>",
        )  # fmt: skip
    for name in _UNTOLD:
        if domain.devices.given(name) and getattr(domain.devices, name):
            raise _refused(f"devices/{name.rstrip('s')}", "remove the device from the definition")
    options = [*_machine(domain), *_boot(domain), *_devices(domain, major)]
    for number in range(1, MOST_NICS + 1):
        options += _nic(domain, number)
    for number in range(1, MOST_PORTS + 1):
        options += _uart(domain, number)
    controllers, attachments = storage_of(domain)
    bits = "" if domain.os.type.arch in ("i686", "i386") else "_64"
    return Plan(name=_name(domain.name), os_type=f"Other{bits}", options=options, controllers=controllers,
                attachments=attachments, folders=_folders(domain))  # fmt: skip


def _name(name: str) -> str:
    if name.startswith("-") or set(name) & set("/\n\r\"\\") or name == "<inaccessible>":
        raise _refused("name", "use a name without slashes, quotes and line feeds that begins with no dash")
    return name


def _machine(domain: Domain) -> list[str]:
    features, count = domain.features, domain.vcpu.maximum or 1
    if domain.vcpu.current not in (None, count):
        raise _refused("vcpu/@current", "VirtualBox has no processors that are not there yet: remove it")
    if domain.clock.offset not in (None, "utc", "localtime"):
        raise _refused("clock/@offset", "use utc or localtime")
    memory = -(-(domain.memory.kib or DEFAULT_MEMORY_MIB * 1024) // 1024)
    local = domain.clock.offset == "localtime"
    switches = {"--acpi": features.acpi, "--ioapic": features.apic is not None or count > 1, "--pae": features.pae,
                "--rtcuseutc": not local}  # fmt: skip
    out = ["--memory", str(memory), "--cpus", str(count), "--description", domain.description or ""]
    for option, on in switches.items():
        out += [option, "on" if on else "off"]
    return out


def _boot(domain: Domain) -> list[str]:
    os = domain.os
    if os.kernel or os.initrd or os.cmdline:
        raise _refused("os/kernel", "VirtualBox boots no kernel directly: use a disk")
    efi = os.firmware == "efi" or (os.loader is not None and os.loader.type == "pflash")
    out = ["--firmware", "efi" if efi else "bios"]
    devices = [boot.dev for boot in os.boots] or ["hd"]
    words = [BOOT[dev] for dev in devices][:MOST_BOOTS]
    for number in range(1, MOST_BOOTS + 1):
        out += [f"--boot{number}", words[number - 1] if number <= len(words) else "none"]
    return out


def _devices(domain: Domain, major: int) -> list[str]:
    devices, out = domain.devices, list[str]()
    mouse = "usbtablet" if any(each.type == "tablet" for each in devices.inputs) else "ps2"
    keyboard = "usb" if any(each.type == "keyboard" and each.bus == "usb" for each in devices.inputs) else "ps2"
    usb = [each for each in devices.controllers if each.type == "usb" and each.model != "none"]
    high = any((each.model or "").startswith(("ehci", "ich9-ehci")) for each in usb)
    ohci = bool(usb) or mouse == "usbtablet" or keyboard == "usb"
    xhci = any("xhci" in (each.model or "") for each in usb)
    out += ["--mouse", mouse, "--keyboard", keyboard, "--usb", "on" if ohci else "off",
            "--usbehci", "on" if high else "off", "--usbxhci", "on" if xhci else "off"]  # fmt: skip
    out += _graphics(domain)
    if devices.sounds:
        chip = SOUND.get(devices.sounds[0].model)
        if chip is None:
            raise _refused("devices/sound/@model", f"use one of {', '.join(SOUND)}")
        driver = ["--audio-driver", "null", "--audio-enabled", "on"] if major >= 7 else ["--audio", "null"]
        return [*out, *driver, "--audio-controller" if major >= 7 else "--audiocontroller", chip]
    return [*out, *(["--audio-enabled", "off"] if major >= 7 else ["--audio", "none"])]


def _graphics(domain: Domain) -> list[str]:
    devices, out = domain.devices, ["--vrde", "off"]
    for graphics in devices.graphics:
        if graphics.type != "rdp":
            raise _refused("devices/graphics/@type", "guests run without a window: use rdp, or none")
        port = "default" if graphics.autoport or not graphics.port or graphics.port < 0 else str(graphics.port)
        out = ["--vrde", "on", "--vrdeport", port]
        address = graphics.listen or next((each.address for each in graphics.listens if each.address), None)
        if address:
            out += ["--vrdeaddress", address]
        if graphics.multi_user is not None:
            out += ["--vrdemulticon", "on" if graphics.multi_user else "off"]
    for video in devices.videos[:1]:
        card = VIDEO.get(video.model.type)
        if card is None:
            raise _refused("devices/video/model/@type", f"use one of {', '.join(VIDEO)}")
        drawing = video.model.acceleration
        out += ["--graphicscontroller", card, "--monitorcount", str(video.model.heads or 1),
                "--accelerate3d", "on" if drawing and drawing.accel3d else "off"]  # fmt: skip
        if video.model.vram:
            out += ["--vram", str(-(-video.model.vram // 1024))]
    return out


def _nic(domain: Domain, number: int) -> list[str]:
    nics = domain.devices.interfaces
    if len(nics) > MOST_NICS:
        raise _refused("devices/interface", f"VirtualBox has at most {MOST_NICS} network cards here")
    if number > len(nics):
        return [f"--nic{number}", "none"]
    nic = nics[number - 1]
    out = _plug(nic, number)
    model = nic.model.type
    if model is not None:
        if model not in NIC_MODELS:
            raise _refused("devices/interface/model/@type", f"use one of {', '.join(NIC_MODELS)}")
        out += [f"--nictype{number}", NIC_MODELS[model]]
    mac = (nic.mac.address or "").replace(":", "").upper()
    up = nic.link is None or nic.link.state != "down"
    return [*out, f"--macaddress{number}", mac or "auto", f"--cableconnected{number}", "on" if up else "off"]


def _plug(nic: Interface, number: int) -> list[str]:
    kind, source = nic.type, nic.source
    if kind == "user":
        return [f"--nic{number}", "nat"]
    if kind in ("bridge", "direct"):
        return [f"--nic{number}", "bridged", f"--bridgeadapter{number}", source.bridge or source.dev or ""]
    if kind == "network":
        return [f"--nic{number}", "hostonly", f"--hostonlyadapter{number}", source.network or ""]
    if kind == "internal":
        return [f"--nic{number}", "intnet", f"--intnet{number}", source.name or ""]
    if kind == "null":
        return [f"--nic{number}", "null"]
    raise _refused("devices/interface/@type", "use user, bridge, direct, network (host only), internal or null")


def _uart(domain: Domain, number: int) -> list[str]:
    serials = domain.devices.serials
    ports = {each.target.port if each.target.port is not None else at: each for at, each in enumerate(serials)}
    if any(port >= MOST_PORTS for port in ports):
        raise _refused("devices/serial/target/@port", f"use a port below {MOST_PORTS}")
    serial = ports.get(number - 1)
    if serial is None:
        return [f"--uart{number}", "off"]
    return [f"--uart{number}", *UARTS[number - 1], f"--uartmode{number}", *_uart_mode(serial)]


def _uart_mode(serial: Serial) -> list[str]:
    kind, source = serial.type, serial.source
    if kind in ("pipe", "unix") and source.path:
        return ["client" if source.mode == "connect" else "server", source.path]
    if kind == "file":
        return ["file", source.path or ""]
    if kind == "dev":
        return [source.path or ""]
    if kind == "tcp":
        if source.mode == "connect":
            return ["tcpclient", f"{source.host}:{source.service}"]
        return ["tcpserver", source.service or ""]
    if kind == "null":
        return ["disconnected"]
    raise _refused("devices/serial/@type", "use unix, file, tcp, dev or null: VirtualBox has no pseudo terminals")


def _folders(domain: Domain) -> list[tuple[str, str, bool]]:
    out = []
    for folder in domain.devices.filesystems:
        if folder.type != "mount" or not folder.source.dir or not folder.target.dir:
            raise _refused("devices/filesystem", "use type mount with source dir and target dir")
        out.append((folder.target.dir, folder.source.dir, folder.readonly))
    return out


def _refused(path: str, remedy: str) -> ConfigUnsupported:
    return ConfigUnsupported(f"VirtualBox cannot do what {path} says", path=f"/domain/{path}", remedy=remedy)
