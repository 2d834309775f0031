"""Command lines of bhyve and its loaders as a domain. Pure functions of text.

Options: bhyve(8) and bhyveload(8) of FreeBSD 13. What a domain has no place for (host bridge, LPC bridge, boot ROM)
is left out, as libvirt leaves it out.
"""

from __future__ import annotations

import os.path
import re
import shlex
from dataclasses import dataclass

from ...config.domain.address import PciAddress
from ...config.domain.chardev import ChardevSource, Serial
from ...config.domain.controller import Controller
from ...config.domain.cpu import Cpu, Topology
from ...config.domain.disk import Disk
from ...config.domain.domain import Domain
from ...config.domain.features import Apic, Msrs
from ...config.domain.filesystem import Filesystem
from ...config.domain.graphics import Graphics, Listen
from ...config.domain.input import Input
from ...config.domain.interface import Interface
from ...config.domain.memory import MemoryBacking
from ...config.domain.video import Resolution, Video
from ...config.errors import InvalidArgument

TAKES_VALUE = frozenset("cgGklmopsUr")
SWITCHES = frozenset("AaCDeHhIPSuWwxYbf")
LOADER_TAKES = frozenset("cdehlm")
DEFAULT_MEMORY_MIB = 256
"""What bhyve gives a guest whose command line says nothing (bhyve(8))."""
BRIDGE = "virbr0"
"""The command line knows the tap device only; libvirt assumes its default bridge."""
_MAC = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SCALES = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(slots=True)
class Taken:
    """How many disks of each kind were named so far."""

    sata: int = 0
    virtio: int = 0


def commands(text: str) -> list[list[str]]:
    """Return the words of each command; lines may end in a backslash."""
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise bad("the command line", line, str(error)) from error
        if words:
            found.append(words)
    return found


def read(text: str) -> Domain:
    """Return the domain of a script that loads and runs a guest.

    Raises:
        InvalidArgument: it is no such script, or says what nobody understands.
    """
    loader: list[str] | None = None
    bhyve: list[str] | None = None
    for words in commands(text):
        if os.path.basename(words[0]) == "bhyve":
            bhyve = bhyve or words
        else:
            loader = loader or words
    if bhyve is None:
        raise bad("the command line", text[:80], "there is no bhyve command in it")
    domain = Domain(type="bhyve")
    domain.clock.offset = "localtime"
    domain.on_poweroff = domain.on_reboot = domain.on_crash = "destroy"
    domain.os.type.name = "hvm"
    domain.vcpu.maximum, domain.vcpu.placement = 1, "static"
    domain.memory.kib = DEFAULT_MEMORY_MIB * 1024
    _read_bhyve(bhyve[1:], domain)
    if loader is not None:
        _read_loader(loader, domain)
    domain.current_memory.kib = domain.memory.kib
    return domain


Options = list[tuple[str, str]]


def options(words: list[str], takes: frozenset[str], switches: frozenset[str]) -> tuple[Options, list[str]]:
    """Return options with their values and what is left, as getopt(3) reads them."""
    found: Options = []
    at = 0
    while at < len(words) and words[at].startswith("-") and len(words[at]) > 1:
        word, at = words[at], at + 1
        if word == "--":
            break
        rest = word[1:]
        while rest:
            letter, rest = rest[0], rest[1:]
            if letter in takes:
                if not rest and at >= len(words):
                    raise bad(f"-{letter}", "", "it needs a value")
                value, rest, at = (rest, "", at) if rest else (words[at], "", at + 1)
                found.append((letter, value))
            elif letter in switches:
                found.append((letter, ""))
            else:
                raise bad(f"-{letter}", word, "no such option")
    return found, words[at:]


def _read_bhyve(words: list[str], domain: Domain) -> None:
    found, rest = options(words, TAKES_VALUE, SWITCHES)
    if len(rest) != 1:
        raise bad("the command line", " ".join(rest), "it must end with the guest's name")
    domain.name = rest[0]
    taken = Taken()
    for letter, value in found:
        if letter == "A":
            domain.features.acpi = True
        elif letter == "I":
            domain.features.apic = Apic()
        elif letter == "w":
            domain.features.msrs = Msrs(unknown="ignore")
        elif letter == "u":
            domain.clock.offset = "utc"
        elif letter == "S":
            domain.memory_backing = MemoryBacking(locked=True)
        elif letter == "c":
            _read_cpus(value, domain)
        elif letter == "m":
            domain.memory.kib = memory_kib(value)
        elif letter == "U":
            if not _UUID.fullmatch(value):
                raise bad("-U", value, "it is no UUID")
            domain.uuid = value.lower()
        elif letter == "l":
            _read_lpc(value, domain)
        elif letter == "s":
            _read_slot(value, domain, taken)


def memory_kib(text: str) -> int:
    """Return a size as bhyve reads it: a bare number below 1 MiB is one of MiB, else of bytes."""
    match = re.fullmatch(r"(\d+)([kKmMgGtT]?)[bB]?", text)
    if match is None:
        raise bad("-m", text, "it is no size")
    number = int(match[1]) << _SCALES[match[2].lower()]
    kib = number * 1024 if not match[2] and number < 1 << 20 else number // 1024
    if not kib:
        raise bad("-m", text, "it is no size")
    return kib


def _read_cpus(value: str, domain: Domain) -> None:
    said = dict.fromkeys(("cpus", "sockets", "cores", "threads"), 0)
    for word in value.split(","):
        name, given, number = word.partition("=") if "=" in word else ("cpus", "=", word)
        if name not in said or not given or not number.isdigit() or not int(number):
            raise bad("-c", value, "it is no number of processors")
        said[name] = int(number)
    sockets, cores, threads = (said[name] or 1 for name in ("sockets", "cores", "threads"))
    if any(said[name] for name in ("sockets", "cores", "threads")):
        domain.cpu = Cpu(topology=Topology(sockets=sockets, dies=1, cores=cores, threads=threads))
    domain.vcpu.maximum = said["cpus"] or sockets * cores * threads


def _read_lpc(value: str, domain: Domain) -> None:
    kind, _, device = value.partition(",")
    if not re.fullmatch(r"com\d", kind):
        return
    number = int(kind[3:])
    if number not in (1, 2) or not device.startswith("/dev/nmdm") or device[-1] not in "AB":
        raise bad("-l", value, "com1 and com2 are known, with /dev/nmdmNA or B")
    other = device[:-1] + ("B" if device.endswith("A") else "A")
    serial = Serial(type="nmdm", sources=[ChardevSource(master=device, slave=other)])
    serial.target.port = number - 1
    domain.devices.serials.append(serial)


def _read_slot(value: str, domain: Domain, taken: Taken) -> None:
    where, _, rest = value.partition(",")
    kind, _, conf = rest.partition(",")
    parts = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+)", where)
    if parts is None or not kind:
        raise bad("-s", value, "a slot is slot[:function],emulation[,configuration]")
    numbers = [int(part) for part in where.split(":")]
    bus, slot, function = (0, numbers[0], 0) if len(numbers) == 1 else (0, *numbers) if len(numbers) == 2 else numbers
    if slot > 31 or function > 7 or bus > 255:
        raise bad("-s", value, "slots are 0 to 31, functions 0 to 7")
    address = PciAddress(type="pci", domain=0, bus=bus, slot=slot, function=function)
    devices = domain.devices
    if kind in ("ahci-cd", "ahci-hd", "virtio-blk"):
        path = conf.partition(",")[0]
        plug = "virtio" if kind == "virtio-blk" else "sata"
        devices.disks.append(_disk(path, plug, kind == "ahci-cd", address, taken))
    elif kind == "ahci":
        for word in conf.split(","):
            what, _, path = word.partition(":")
            if what in ("hd", "cd"):
                devices.disks.append(_disk(path, "sata", what == "cd", None, taken))
    elif kind in ("virtio-net", "e1000"):
        devices.interfaces.append(_nic(kind, conf, address))
    elif kind == "fbuf":
        _read_fbuf(conf, domain)
    elif kind == "xhci" and conf.startswith("tablet"):
        devices.controllers.append(Controller(type="usb", index=0, model="nec-xhci", address=address))
        devices.inputs.append(Input(type="tablet", bus="usb"))
    elif kind == "virtio-9p":
        name, _, path = conf.partition("=")
        folder = Filesystem(type="mount", address=address)
        folder.target.dir, folder.source.dir = name, path.partition(",")[0]
        folder.readonly = ",ro" in path
        devices.filesystems.append(folder)


def _disk(path: str, bus: str, cdrom: bool, address: PciAddress | None, taken: Taken) -> Disk:
    disk = Disk(type="block" if path.startswith("/dev/") else "file", device="cdrom" if cdrom else "disk")
    if disk.type == "block":
        disk.source.dev = path
    else:
        disk.source.file = path
    number = taken.virtio if bus == "virtio" else taken.sata
    if bus == "virtio":
        taken.virtio += 1
    else:
        taken.sata += 1
    disk.target.bus, disk.target.dev = bus, ("vd" if bus == "virtio" else "sd") + _letters(number)
    if address is not None:
        disk.address = address
    return disk


def _letters(number: int) -> str:
    letters, number = "", number + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _nic(kind: str, conf: str, address: PciAddress) -> Interface:
    tap, *words = conf.split(",")
    nic = Interface(type="bridge", address=address)
    nic.source.bridge, nic.target.dev = BRIDGE, tap or None
    nic.model.type = "e1000" if kind == "e1000" else "virtio"
    for word in words:
        if word.startswith("mac="):
            mac = word[4:]
            nic.mac.address = mac.lower() if _MAC.fullmatch(mac) else "00:00:00:00:00:00"
    return nic


def _read_fbuf(conf: str, domain: Domain) -> None:
    graphics, video = Graphics(type="vnc"), Video()
    video.model.type, video.model.heads = "gop", 1
    size = {"w": 0, "h": 0}
    for word in conf.split(","):
        name, _, value = word.partition("=")
        if name in ("tcp", "rfb"):
            host, _, port = value.rpartition(":")
            if not port.isdigit():
                raise bad("-s", conf, "tcp= needs a port")
            graphics.port, graphics.autoport = int(port), False
            address = host.strip("[]")
            graphics.listen = address or None
            graphics.listens = [Listen(type="address", address=address or None)]
        elif name == "vga" and value in ("io", "on", "off"):
            video.driver.vgaconf = value
        elif name == "password":
            graphics.passwd = value
        elif name in size and value.isdigit():
            size[name] = int(value)
    if size["w"] and size["h"]:
        video.model.resolution = Resolution(x=size["w"], y=size["h"])
    domain.devices.graphics.append(graphics)
    domain.devices.videos.append(video)


def _read_loader(words: list[str], domain: Domain) -> None:
    if os.path.basename(words[0]) != "bhyveload":
        domain.bootloader = words[0]
        domain.bootloader_args = shlex.join(words[1:]) or None
        return
    found, rest = options(words[1:], LOADER_TAKES, frozenset("CS"))
    for letter, value in found:
        if letter == "m" and memory_kib(value) != domain.memory.kib:
            raise bad("-m", value, "bhyveload and bhyve must be given the same size")
    if rest and rest != [domain.name]:
        raise bad("the command line", " ".join(rest), "bhyveload and bhyve name different guests")
    if any(letter not in "md" for letter, _ in found):
        domain.bootloader = words[0]
        domain.bootloader_args = shlex.join(words[1:])


def bad(what: str, value: str, why: str) -> InvalidArgument:
    """Return the error for a command line that cannot be read."""
    return InvalidArgument(f"bhyve: {what} {value!r}: {why}", path=what, value=value, remedy="mend the command line")
