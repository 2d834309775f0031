"""What `showvminfo --machinereadable` says of a machine as domain XML. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from ...config.domain.chardev import ChardevSource, Serial
from ...config.domain.controller import Controller
from ...config.domain.document import format as format_domain
from ...config.domain.domain import Domain
from ...config.domain.features import Apic
from ...config.domain.filesystem import Filesystem
from ...config.domain.graphics import Graphics, Listen
from ...config.domain.input import Input
from ...config.domain.interface import Interface, Link
from ...config.domain.os import BootDevice
from ...config.domain.sound import Sound
from ...config.domain.video import Acceleration, Video
from ...config.errors import InvalidArgument
from .media import read_disks
from .write import BOOT, MOST_BOOTS, MOST_NICS, MOST_PORTS

_BOOT = {word: dev for dev, word in BOOT.items()}
_VIDEO = {"vboxvga": "vbox", "vboxsvga": "vbox", "vmsvga": "vmvga", "none": "none"}
_SOUND = {"ac97": "ac97", "sb16": "sb16", "hda": "ich6"}


def xml_of(said: Mapping[str, str]) -> str:
    """Return the domain XML of a machine.

    Raises:
        InvalidArgument: a value is none that VirtualBox is known to print.
    """
    domain = Domain(type="vbox")
    domain.name = said.get("name", "")
    domain.uuid = said.get("UUID", "").lower() or None
    domain.description = said.get("description") or None
    domain.memory.kib = domain.current_memory.kib = _number(said, "memory", 0) * 1024
    domain.vcpu.maximum, domain.vcpu.placement = _number(said, "cpus", 1), "static"
    _read_os(said, domain)
    features = domain.features
    features.acpi = said.get("acpi") == "on"
    features.apic = Apic() if said.get("ioapic") == "on" else None
    features.pae = said.get("pae") == "on"
    domain.clock.offset = "utc" if said.get("rtcuseutc") == "on" else "localtime"
    domain.on_poweroff, domain.on_reboot, domain.on_crash = "destroy", "restart", "destroy"
    read_disks(said, domain)
    for number in range(1, MOST_NICS + 1):
        _read_nic(said, number, domain)
    for number in range(1, MOST_PORTS + 1):
        _read_uart(said, number, domain)
    _read_others(said, domain)
    return format_domain(domain, secure=True)


def _number(said: Mapping[str, str], key: str, default: int) -> int:
    text = said.get(key, str(default))
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"VirtualBox says {key}={text!r}, no number", path=key, remedy="a number") from None


def _read_os(said: Mapping[str, str], domain: Domain) -> None:
    os = domain.os
    os.type.name = "hvm"
    wide = "64" in said.get("ostype", "") or said.get("longmode") == "on"
    os.type.arch = "x86_64" if wide else "i686"
    if said.get("firmware", "BIOS").upper().startswith("EFI"):
        os.firmware = "efi"
    words = [said.get(f"boot{number}", "none") for number in range(1, MOST_BOOTS + 1)]
    os.boots = [BootDevice(dev=_BOOT[word]) for word in words if word in _BOOT]


def _read_nic(said: Mapping[str, str], number: int, domain: Domain) -> None:
    kind = said.get(f"nic{number}", "none")
    if kind == "none":
        return
    nic = Interface(type={"nat": "user", "bridged": "bridge", "hostonly": "network", "intnet": "internal",
                          "natnetwork": "user", "null": "null"}.get(kind, "null"))  # fmt: skip
    nic.source.bridge = said.get(f"bridgeadapter{number}") if kind == "bridged" else None
    nic.source.network = said.get(f"hostonlyadapter{number}") if kind == "hostonly" else None
    nic.source.name = said.get(f"intnet{number}") if kind == "intnet" else None
    digits = said.get(f"macaddress{number}", "")
    if len(digits) == 12:
        nic.mac.address = ":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower()
    nic.model.type = said.get(f"nictype{number}") or None
    if said.get(f"cableconnected{number}") == "off":
        nic.link = Link(state="down")
    domain.devices.interfaces.append(nic)


def _read_uart(said: Mapping[str, str], number: int, domain: Domain) -> None:
    if said.get(f"uart{number}", "off") == "off":
        return
    mode, _, where = said.get(f"uartmode{number}", "disconnected").partition(",")
    serial = Serial(type="null")
    source = ChardevSource()
    if mode in ("server", "client"):
        serial.type, source.mode, source.path = "unix", "bind" if mode == "server" else "connect", where
    elif mode == "file":
        serial.type, source.path = "file", where
    elif mode == "tcpserver":
        serial.type, source.mode, source.host, source.service = "tcp", "bind", "0.0.0.0", where
    elif mode == "tcpclient":
        serial.type, source.mode = "tcp", "connect"
        source.host, _, source.service = where.rpartition(":")
    elif mode.startswith("/"):
        serial.type, source.path = "dev", mode
    if serial.type != "null":
        serial.sources = [source]
    serial.target.port = number - 1
    domain.devices.serials.append(serial)


def _read_others(said: Mapping[str, str], domain: Domain) -> None:
    devices = domain.devices
    if said.get("usb") == "on" or said.get("ohci") == "on":
        devices.controllers.append(Controller(type="usb", index=0, model="pci-ohci"))
    if said.get("ehci") == "on":
        devices.controllers.append(Controller(type="usb", index=len(devices.controllers), model="ehci"))
    if said.get("xhci") == "on":
        devices.controllers.append(Controller(type="usb", index=len(devices.controllers), model="nec-xhci"))
    tablet = said.get("hidpointing") in ("usbtablet", "usbmultitouch")
    devices.inputs.append(Input(type="tablet" if tablet else "mouse", bus="usb" if tablet else "ps2"))
    devices.inputs.append(Input(type="keyboard", bus="usb" if said.get("hidkeyboard") == "usbkbd" else "ps2"))
    if said.get("vrde") == "on":
        devices.graphics.append(_rdp(said))
    card = Video()
    card.model.type = _VIDEO.get(said.get("graphicscontroller", ""), "vbox")
    card.model.vram, card.model.heads = _number(said, "vram", 8) * 1024, _number(said, "monitorcount", 1)
    if said.get("accelerate3d") == "on":
        card.model.acceleration = Acceleration(accel3d=True)
    devices.videos.append(card)
    sound = said.get("audio_controller") or ("ac97" if said.get("audio", "none") != "none" else "")
    if sound in _SOUND and said.get("audio", "none") != "none":
        devices.sounds.append(Sound(model=_SOUND[sound]))
    number = 1
    while f"SharedFolderNameMachineMapping{number}" in said:
        folder = Filesystem(type="mount")
        folder.source.dir = said.get(f"SharedFolderPathMachineMapping{number}")
        folder.target.dir = said[f"SharedFolderNameMachineMapping{number}"]
        devices.filesystems.append(folder)
        number += 1


def _rdp(said: Mapping[str, str]) -> Graphics:
    graphics = Graphics(type="rdp")
    ports = said.get("vrdeports", "").partition(",")[0].partition("-")[0]
    graphics.autoport = not ports.isdigit() or ports == "0"
    if not graphics.autoport:
        graphics.port = int(ports)
    address = said.get("vrdeaddress")
    if address:
        graphics.listen = address
        graphics.listens = [Listen(type="address", address=address)]
    return graphics
