"""A prepared domain as the arguments of bhyve(8) and of the loader that goes before it. Pure functions."""

from __future__ import annotations

import os.path
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ...config.domain.address import DriveAddress
from ...config.domain.controller import Controller
from ...config.domain.disk import Disk
from ...config.domain.domain import Domain
from ...config.domain.filesystem import Filesystem
from ...config.domain.graphics import Graphics
from ...config.domain.interface import Interface
from ...config.domain.sound import Sound
from ...config.domain.video import Video
from .plan import DRIVES, refused, slot_of

DEVICE_MAP = "<device.map>"
"""Stands for the file that a conversion does not write."""
FIRST_VNC_PORT = 5900
NICS = {"virtio": "virtio-net", "e1000": "e1000"}
MOST_PORTS = 2
_UNTOLD = ("hostdevs", "tpms", "rngs", "watchdogs", "smartcards", "redirdevs", "channels", "panics", "shmems",
           "memories", "hubs", "nvram", "iommu", "vsock", "leases", "parallels")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderCommand:
    """What loads a guest's kernel before bhyve runs it; `device_map` is the text of grub-bhyve's file."""

    argv: list[str]
    device_map: str = ""


def arguments(
    domain: Domain, *, tap: Callable[[int, Interface], str], vnc_port: int = FIRST_VNC_PORT, drives: int = DRIVES
) -> list[str]:
    """Return the arguments of bhyve, its own name aside.

    Args:
        domain: as `prepared` returns it.
        tap: gives the tap device of a network card.
        vnc_port: port of the screen, where the definition leaves it open.
        drives: drives of a SATA controller; 1 takes the older spelling.

    Raises:
        ConfigUnsupported: bhyve cannot do what it asks for.
    """
    for name in _UNTOLD:
        if domain.devices.given(name) and getattr(domain.devices, name):
            raise refused(f"devices/{name.rstrip('s')}", "", "remove the device from the definition")
    out = ["-c", _cpus(domain), "-m", str(_memory_mib(domain)), *_switches(domain), "-s", "0:0,hostbridge"]
    loader = domain.os.loader
    if domain.bootloader is None and loader is not None:
        if loader.type != "pflash" or loader.readonly is not True or not loader.path:
            raise refused("os/loader", loader.path or "", "use read-only firmware of type pflash")
        out += ["-l", f"bootrom,{_plain(loader.path)}"]
    devices = domain.devices
    for kind in ("usb", "isa"):
        if sum(each.type == kind for each in devices.controllers) > 1:
            raise refused("devices/controller", kind, f"one {kind} controller is all there can be")
    for controller in devices.controllers:
        out += _controller(domain, controller, drives)
    for at, nic in enumerate(devices.interfaces):
        out += _nic(nic, tap(at, nic))
    for disk in devices.disks:
        out += _virtio(disk)
    out += _screen(domain, vnc_port)
    for sound in devices.sounds:
        out += _sound(domain, sound)
    for folder in devices.filesystems:
        out += _folder(folder)
    out += _ports(domain)
    if domain.bhyve_commandline is not None:
        out += [arg.value for arg in domain.bhyve_commandline.args]
    return [*out, _name(domain)]


def _name(domain: Domain) -> str:
    if domain.name.startswith("-"):
        raise refused("name", domain.name, "bhyve takes a word that begins with a dash for a switch: rename the domain")
    return domain.name


def _cpus(domain: Domain) -> str:
    count = domain.vcpu.maximum or 1
    topology = domain.cpu.topology if domain.cpu is not None else None
    if topology is None or not topology.sockets:
        return str(count)
    sockets, cores, threads = topology.sockets, topology.cores or 1, topology.threads or 1
    if (topology.dies or 1) != 1 or sockets * cores * threads != count:
        raise refused("cpu/topology", "", "sockets times cores times threads must be the number of vcpus, dies 1")
    return f"cpus={count},sockets={sockets},cores={cores},threads={threads}"


def _memory_mib(domain: Domain) -> int:
    return -(-(domain.memory.kib or 0) // 1024)


def _switches(domain: Domain) -> list[str]:
    out, features, offset = list[str](), domain.features, domain.clock.offset
    if offset not in ("utc", "localtime"):
        raise refused("clock/@offset", offset or "", "use utc or localtime")
    if domain.memory_backing is not None and domain.memory_backing.locked:
        out.append("-S")
    if features.acpi:
        out.append("-A")
    if features.apic is not None:
        out.append("-I")
    if features.msrs is not None and features.msrs.unknown == "ignore":
        out.append("-w")
    if offset == "utc":
        out.append("-u")
    return [*out, "-H", "-P"]  # leave the processor when the guest halts or spins: it would burn it all otherwise


def _controller(domain: Domain, controller: Controller, drives: int) -> list[str]:
    kind = controller.type
    if kind == "pci":
        if controller.model != "pci-root":
            raise refused("devices/controller/@model", controller.model or "", "there is pci-root only")
        return []
    if kind == "isa":
        return ["-s", f"{slot_of(controller)},lpc"]
    if kind == "usb":
        return _usb(domain, controller)
    if kind == "sata":
        return _sata(domain, controller, drives)
    raise refused("devices/controller/@type", kind, "use pci, isa, sata or usb")


def _usb(domain: Domain, controller: Controller) -> list[str]:
    if controller.model not in (None, "nec-xhci"):
        raise refused("devices/controller/@model", controller.model or "", "use nec-xhci")
    tablets = [each for each in domain.devices.inputs if each.bus == "usb" and each.type == "tablet"]
    if len(tablets) != 1:
        raise refused("devices/input", "", "a USB controller has one tablet, no more and no less")
    return ["-s", f"{slot_of(controller)},xhci,tablet"]


def _sata(domain: Domain, controller: Controller, drives: int) -> list[str]:
    parts = []
    for disk in domain.devices.disks:
        address = disk.address
        if disk.target.bus == "sata" and isinstance(address, DriveAddress) and address.controller == controller.index:
            if disk.device not in ("disk", "cdrom"):
                raise refused("devices/disk/@device", disk.device, "use disk or cdrom")
            parts.append(f"{'cd' if disk.device == 'cdrom' else 'hd'}:{source_of(disk)}")
    if drives == 1 and len(parts) == 1:
        kind, _, path = parts[0].partition(":")
        return ["-s", f"{slot_of(controller)},ahci-{kind},{path}"]
    return ["-s", ",".join([slot_of(controller), "ahci", *parts])]


def source_of(disk: Disk) -> str:
    """Return the file or device of a disk.

    Raises:
        ConfigUnsupported: it has none: bhyve has no empty drives.
    """
    path = disk.source.file or disk.source.dev
    if disk.type not in ("file", "block") or not path:
        raise refused("devices/disk/source", disk.type, "name a file or a block device: drives cannot be empty")
    if disk.driver.type not in (None, "raw"):
        raise refused("devices/disk/driver/@type", disk.driver.type, "bhyve reads raw images only")
    return _plain(path)


def _plain(path: str) -> str:
    if "," in path:
        raise refused("devices", path, "bhyve's arguments cannot hold a comma: rename the file")
    if path.startswith("-"):
        raise refused("devices", path, "a word that begins with a dash would be a switch: write the whole path")
    return path


def _nic(nic: Interface, tap: str) -> list[str]:
    model = NICS.get(nic.model.type or "")
    if model is None:
        raise refused("devices/interface/model/@type", nic.model.type or "", "use virtio or e1000")
    if nic.type not in ("bridge", "network", "ethernet"):
        raise refused("devices/interface/@type", nic.type, "use bridge")
    return ["-s", f"{slot_of(nic)},{model},{_plain(tap)},mac={nic.mac.address}"]


def _virtio(disk: Disk) -> list[str]:
    bus = disk.target.bus or ""
    if bus == "sata":
        return []
    if bus != "virtio" or disk.device != "disk":
        raise refused("devices/disk/target/@bus", bus, "use sata, or virtio for disks")
    return ["-s", f"{slot_of(disk)},virtio-blk,{source_of(disk)}"]


def _screen(domain: Domain, vnc_port: int) -> list[str]:
    graphics, videos = domain.devices.graphics, domain.devices.videos
    if not graphics or not videos:
        return []
    if len(graphics) > 1 or len(videos) > 1:
        raise refused("devices/graphics", "", "one screen is all there can be")
    if domain.bootloader is not None or domain.os.loader is None:
        raise refused("devices/graphics", "", "a screen needs UEFI firmware: give os/loader")
    if graphics[0].type != "vnc" or videos[0].model.type != "gop":
        raise refused("devices/graphics/@type", graphics[0].type, "use vnc with a video of model gop")
    return ["-s", f"{slot_of(videos[0])},fbuf,{_fbuf(graphics[0], videos[0], vnc_port)}"]


def _fbuf(graphics: Graphics, video: Video, vnc_port: int) -> str:
    address = next((each.address for each in graphics.listens if each.address), None) or graphics.listen or ""
    port = graphics.port if graphics.port and graphics.port > 0 and not graphics.autoport else vnc_port
    _plain(address)
    words = [f"tcp={f'[{address}]' if ':' in address else address}:{port}"]
    if graphics.passwd:
        if "," in graphics.passwd:
            raise refused("devices/graphics/@passwd", "", "bhyve takes no password with a comma")
        words.append(f"password={graphics.passwd}")
    if video.model.resolution is not None:
        words += [f"w={video.model.resolution.x}", f"h={video.model.resolution.y}"]
    if video.given("driver") and video.driver.vgaconf:
        words.append(f"vga={video.driver.vgaconf}")
    return ",".join(words)


def _sound(domain: Domain, sound: Sound) -> list[str]:
    if sound.model != "ich7":
        raise refused("devices/sound/@model", sound.model, "use ich7")
    audios = domain.devices.audios
    wanted = sound.audio.id if sound.audio is not None else None
    audio = next((each for each in audios if each.id == wanted), audios[0] if len(audios) == 1 and not wanted else None)
    words = [f"{slot_of(sound)},hda"]
    if audio is not None:
        if audio.type != "oss":
            raise refused("devices/audio/@type", audio.type, "use oss")
        if audio.output.dev:
            words.append(f"play={_plain(audio.output.dev)}")
        if audio.input.dev:
            words.append(f"rec={_plain(audio.input.dev)}")
    return ["-s", ",".join(words)]


def _folder(folder: Filesystem) -> list[str]:
    driver = folder.driver.type if folder.given("driver") else None
    if folder.type != "mount" or driver not in (None, "default") or folder.accessmode not in (None, "passthrough"):
        raise refused("devices/filesystem", folder.type, "use type mount, without driver and access mode")
    if not folder.target.dir or not folder.source.dir or "=" in folder.target.dir:
        raise refused("devices/filesystem/target/@dir", folder.target.dir or "", "name source and target")
    ro = ",ro" if folder.readonly else ""
    return ["-s", f"{slot_of(folder)},virtio-9p,{_plain(folder.target.dir)}={_plain(folder.source.dir)}{ro}"]


def _ports(domain: Domain) -> list[str]:
    out = list[str]()
    for at, serial in enumerate(domain.devices.serials):
        port = serial.target.port if serial.target.port is not None else at
        device = serial.source.master if serial.type == "nmdm" else serial.source.path if serial.type == "dev" else None
        if device is None:
            raise refused("devices/serial/@type", serial.type or "", "use nmdm with master and slave")
        if port >= MOST_PORTS:
            raise refused("devices/serial/target/@port", str(port), "there are com1 and com2 only")
        out += ["-l", f"com{port + 1},{_plain(device)}"]
    return out


# ---- the loader


def loader_command(
    domain: Domain, *, device_map: str = DEVICE_MAP, bhyveload: str = "bhyveload"
) -> LoaderCommand | None:
    """Return what must run before bhyve; None where firmware boots the guest.

    Raises:
        ConfigUnsupported: there is nothing to boot from.
    """
    if domain.bootloader is None:
        if domain.os.loader is not None:
            return None
        disk = boot_disk(domain)
        return LoaderCommand(argv=[bhyveload, "-m", str(_memory_mib(domain)), "-d", source_of(disk), _name(domain)])
    if "grub-bhyve" not in os.path.basename(domain.bootloader):
        if not domain.bootloader_args:
            raise refused("bootloader_args", "", "a loader of your own needs its arguments")
        return LoaderCommand(argv=[domain.bootloader, *shlex.split(domain.bootloader_args)])
    disks = _usable(domain)
    ordered = sorted((d for d in disks if d.boot is not None), key=lambda d: (d.boot.order or 0) if d.boot else 0)
    firsts = [next((d for d in disks if d.device == kind), None) for kind in ("disk", "cdrom")]
    listed = ordered[:1] or [disk for disk in firsts if disk is not None]
    text = "".join(f"({'cd' if d.device == 'cdrom' else 'hd0'}) {source_of(d)}\n" for d in listed)
    if domain.bootloader_args:
        return LoaderCommand(argv=[domain.bootloader, *shlex.split(domain.bootloader_args)], device_map=text)
    if not listed:
        raise refused("devices/disk", "", "add a disk to boot from")
    root = "cd" if any(disk.device == "cdrom" for disk in listed) else "hd0,msdos1"
    argv = [domain.bootloader, "--root", root, "--device-map", device_map, "--memory", str(_memory_mib(domain))]
    serial = domain.devices.serials[0] if domain.devices.serials else None
    if serial is not None and serial.type == "nmdm" and serial.source.master:
        argv += ["--cons-dev", _plain(serial.source.master)]
    return LoaderCommand(argv=[*argv, _name(domain)], device_map=text)


def boot_disk(domain: Domain) -> Disk:
    """Return the disk that bhyveload reads the kernel from.

    Raises:
        ConfigUnsupported: there is none of the kind that shall be booted from.
    """
    disks = _usable(domain)
    ordered = [disk for disk in disks if disk.boot is not None and disk.boot.order]
    if ordered:
        return min(ordered, key=lambda disk: disk.boot.order or 0 if disk.boot else 0)
    wanted = domain.os.boots[0].dev if domain.os.boots else "hd"
    kind = {"hd": "disk", "cdrom": "cdrom"}.get(wanted)
    disk = next((disk for disk in disks if disk.device == kind), None)
    if disk is None:
        raise refused("os/boot/@dev", wanted, "add a disk of that kind, or boot from another")
    return disk


def _usable(domain: Domain) -> list[Disk]:
    return [disk for disk in domain.devices.disks if disk.device in ("disk", "cdrom")]
