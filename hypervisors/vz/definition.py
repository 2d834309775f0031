"""Domain XML as options of `prlctl set`, and prlctl's description of a guest as domain XML. Pure functions.

Options: Virtuozzo 7 command line reference, `prlctl set` and `prlctl create`. Sizes are MiB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config.domain.disk import Disk
from ...config.domain.document import format as format_domain
from ...config.domain.document import parse
from ...config.domain.domain import Domain
from ...config.domain.graphics import Graphics, Listen
from ...config.domain.interface import Interface
from ...config.domain.os import BootDevice
from ...config.domain.video import Video
from ...config.errors import ConfigUnsupported
from .text import mebibytes

IFACES = {"ide": "ide", "scsi": "scsi", "sata": "sata", "virtio": "virtio"}
CARDS = {"virtio": "virtio", "e1000": "e1000", "rtl8139": "rtl"}
BOOT = {"hd": "hdd", "cdrom": "cdrom", "network": "net"}
_UNTOLD = ("hostdevs", "tpms", "rngs", "watchdogs", "smartcards", "redirdevs", "channels", "panics", "shmems",
           "memories", "hubs", "nvram", "iommu", "vsock", "leases", "parallels", "filesystems", "sounds")  # fmt: skip
_FORBIDDEN = re.compile(r'["\\\r\n\t]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What prlctl is told: options of one `set`, then one `set` for each device."""

    name: str
    options: list[str] = field(default_factory=list)
    devices: list[list[str]] = field(default_factory=list)


def plan_of(xml: str | Domain) -> Plan:
    """Return the plan of a guest.

    Raises:
        XmlError: it is no domain XML.
        ConfigUnsupported: it asks for what prlctl cannot do.
    """
    domain = parse(xml) if isinstance(xml, str) else xml
    if domain.type not in ("vz", "parallels") or domain.os.type.name != "hvm":
        raise _refused("@type", "use <domain type='vz'> with <os><type>hvm</type></os>")
    for name in _UNTOLD:
        if domain.devices.given(name) and getattr(domain.devices, name):
            raise _refused(f"devices/{name.rstrip('s')}", "remove the device from the definition")
    if domain.name.startswith("-"):
        raise _refused("name", "begin it with a letter")
    count = domain.vcpu.maximum or 1
    if domain.vcpu.current not in (None, count):
        raise _refused("vcpu/@current", "remove it")
    if domain.os.kernel:
        raise _refused("os/kernel", "boot from a disk")
    memory = -(-(domain.memory.kib or 0) // 1024)
    efi = domain.os.firmware == "efi" or (domain.os.loader is not None and domain.os.loader.type == "pflash")
    options = ["--memsize", str(memory), "--cpus", str(count), "--efi-boot", "on" if efi else "off", "--description",
               _plain("description", domain.description or "")]  # fmt: skip
    options += _graphics(domain)
    return Plan(name=_plain("name", domain.name), options=options, devices=[*_disks(domain), *_nics(domain)])


def _plain(path: str, text: str) -> str:
    """Refuse what prlctl would print unescaped."""
    if _FORBIDDEN.search(text):
        raise _refused(path, "leave out quotes, backslashes and line feeds: prlctl cannot list them")
    return text


def _disks(domain: Domain) -> list[list[str]]:
    out, taken = list[list[str]](), dict[str, int]()
    for disk in domain.devices.disks:
        iface = IFACES.get(disk.target.bus or "")
        path = disk.source.file or disk.source.dev
        if iface is None or disk.device not in ("disk", "cdrom") or disk.type not in ("file", "block"):
            raise _refused("devices/disk", f"use a disk or cdrom on {', '.join(IFACES)}")
        position = taken.get(iface, 0)
        taken[iface] = position + 1
        words = ["--device-add", "cdrom" if disk.device == "cdrom" else "hdd", "--iface", iface, "--position",
                 str(position)]  # fmt: skip
        if disk.device == "disk" and not path:
            raise _refused("devices/disk/source", "name the image")
        if path:
            words += ["--device" if disk.type == "block" else "--image", _plain("devices/disk/source", path)]
        out.append(words)
    return out


def _nics(domain: Domain) -> list[list[str]]:
    out = list[list[str]]()
    for nic in domain.devices.interfaces:
        words = ["--device-add", "net"]
        if nic.type == "network" and nic.source.network:
            words += ["--network", nic.source.network]
        elif nic.type == "bridge" and nic.source.bridge:
            words += ["--network", nic.source.bridge]
        elif nic.type == "user":
            words += ["--type", "routed"]
        else:
            raise _refused("devices/interface/@type", "use network, bridge or user (routed)")
        if nic.mac.address:
            words += ["--mac", nic.mac.address.replace(":", "").upper()]
        if nic.model.type is not None:
            if nic.model.type not in CARDS:
                raise _refused("devices/interface/model/@type", f"use one of {', '.join(CARDS)}")
            words += ["--adapter-type", CARDS[nic.model.type]]
        out.append(words)
    return out


def _graphics(domain: Domain) -> list[str]:
    out = ["--vnc-mode", "off"]
    for graphics in domain.devices.graphics:
        if graphics.type != "vnc" or graphics.passwd:
            raise _refused("devices/graphics", "use vnc; set its password in Virtuozzo: prlctl would show it")
        fixed = bool(graphics.port and graphics.port > 0 and not graphics.autoport)
        out = ["--vnc-mode", "manual", "--vnc-port", str(graphics.port)] if fixed else ["--vnc-mode", "auto"]
        out += ["--vnc-address", graphics.listen, "--vnc-nopasswd"] if graphics.listen else ["--vnc-nopasswd"]
    for video in domain.devices.videos[:1]:
        if video.model.vram:
            out += ["--videosize", str(-(-video.model.vram // 1024))]
    return out


def xml_of(said: Mapping[str, Any]) -> str:
    """Return the domain XML of a guest as `list -i -f -j` describes it."""
    domain = Domain(type="vz")
    domain.name, domain.uuid = str(said.get("Name", "")), str(said.get("ID", "")).strip("{}").lower() or None
    domain.description = str(said.get("Description") or "") or None
    hardware = said.get("Hardware", {})
    memory = mebibytes(hardware.get("memory", {}).get("size", 0))
    domain.memory.kib = domain.current_memory.kib = memory * 1024
    domain.vcpu.maximum, domain.vcpu.placement = int(mebibytes(hardware.get("cpu", {}).get("cpus", 1)) or 1), "static"
    domain.os.type.name = "exe" if said.get("Type") == "CT" else "hvm"
    domain.os.type.arch = "x86_64"
    if domain.os.type.name == "exe":
        domain.os.init = "/sbin/init"
    elif _on(said.get("EFI boot")):
        domain.os.firmware = "efi"
    words = [re.sub(r"\d+\Z", "", word) for word in str(said.get("Boot order", "")).split()]
    back = {word: dev for dev, word in BOOT.items()}
    domain.os.boots = [BootDevice(dev=back[word]) for word in dict.fromkeys(words) if word in back]
    for key, value in hardware.items():
        if isinstance(value, Mapping):
            _device(domain, key, value)
    _screen(domain, said.get("Remote display", {}), hardware.get("video", {}))
    return format_domain(domain, secure=True)


def _on(value: object) -> bool:
    """Values of one kind are "on", true, "yes" or a number."""
    return str(value).lower() in ("on", "true", "yes", "1", "enabled")


def _device(domain: Domain, key: str, value: Mapping[str, Any]) -> None:
    kind = re.sub(r"\d+\Z", "", key)
    if kind in ("hdd", "cdrom") and key != kind:
        bus, _, position = str(value.get("port", "scsi:0")).partition(":")
        disk = Disk(type="file", device="disk" if kind == "hdd" else "cdrom")
        number = int(position) if position.isdigit() else 0
        prefix = {"ide": "hd", "virtio": "vd"}.get(bus, "sd")
        names = {each.target.dev for each in domain.devices.disks}
        while f"{prefix}{chr(ord('a') + number)}" in names:
            number += 1
        disk.target.dev, disk.target.bus = f"{prefix}{chr(ord('a') + number)}", bus if bus in IFACES else "scsi"
        disk.source.file = str(value.get("image") or "") or None
        disk.readonly = kind == "cdrom"
        domain.devices.disks.append(disk)
    elif kind == "net" and key != kind:
        nic = Interface(type="network" if value.get("network") else "user")
        nic.source.network = value.get("network") or None
        digits = str(value.get("mac", ""))
        if len(digits) == 12:
            nic.mac.address = ":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower()
        nic.model.type = {"rtl": "rtl8139"}.get(str(value.get("card")), str(value.get("card") or "virtio"))
        domain.devices.interfaces.append(nic)


def _screen(domain: Domain, display: Mapping[str, Any], video: Mapping[str, Any]) -> None:
    if display.get("mode") in ("auto", "manual"):
        graphics = Graphics(type="vnc", autoport=display.get("mode") == "auto")
        if not graphics.autoport:
            graphics.port = mebibytes(display.get("port", 0))
        address = str(display.get("address") or "")
        graphics.listen = address or None
        graphics.listens = [Listen(type="address", address=address or None)]
        domain.devices.graphics.append(graphics)
    if mebibytes(video.get("size", 0)):
        card = Video()
        card.model.type, card.model.vram = "vga", mebibytes(video["size"]) * 1024
        domain.devices.videos.append(card)


def _refused(path: str, remedy: str) -> ConfigUnsupported:
    return ConfigUnsupported(f"Virtuozzo cannot do what {path} says", path=f"/domain/{path}", remedy=remedy)
