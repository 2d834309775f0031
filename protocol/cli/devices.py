"""Verbs that change a domain's devices."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument, NoDevice
from .context import Context
from .exits import OK
from .lifecycle import read_xml
from .verb import DOMAIN, Verb, flag, option, positional

if TYPE_CHECKING:
    from ..records import DomainRecord

LIVE = flag("--live", "change the running guest (the default where it runs)")
CONFIG = flag("--config", "change the definition (the default where the guest does not run)")
CURRENT = flag("--current", "change the guest where it runs, else the definition")
PERSISTENT = flag("--persistent", "change the definition, and the guest too where it runs")
WHERE = (LIVE, CONFIG, CURRENT, PERSISTENT)
DEVICE = positional("file", "file with one device element; - reads standard input", metavar="FILE")
PRINT_XML = flag("--print-xml", "only print the device's XML")
CALL_S = 90.0
"""Seconds the node has to answer: a guest may take 20 s to let go of a device."""


def change(context: Context, options: Namespace, verb: str, device: str) -> DomainRecord:
    """Attach, detach or update a device, where the options say."""
    live, config = where(context, options)
    call = getattr(context.client.domain, f"{verb}_device")
    with context.progress(f"{verb}ing a device of {options.domain}"):
        record: DomainRecord = call(
            options.domain, device, live, config, context.connection, deadline_s=context.deadline_s or CALL_S
        )
    return record


def where(context: Context, options: Namespace) -> tuple[bool, bool]:
    """Return whether the guest and the definition are meant, as virsh's switches say it.

    Raises:
        InvalidArgument: the switches contradict each other.
    """
    if options.current and (options.live or options.config or options.persistent):
        raise InvalidArgument("--current stands alone", remedy="leave the other switches out", path="--current")
    if not options.persistent:
        return options.live, options.config
    record = context.client.domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    return options.live or record["id"] is not None, True


def attach_device(context: Context, options: Namespace) -> int:
    """Attach a device from a file."""
    context.done(change(context, options, "attach", read_xml(options.file)), "Device attached successfully")
    return OK


def detach_device(context: Context, options: Namespace) -> int:
    """Detach a device that a file names."""
    context.done(change(context, options, "detach", read_xml(options.file)), "Device detached successfully")
    return OK


def update_device(context: Context, options: Namespace) -> int:
    """Change a device as a file says."""
    context.done(change(context, options, "update", read_xml(options.file)), "Device updated successfully")
    return OK


def detach_alias(context: Context, options: Namespace) -> int:
    """Detach the device of an alias."""
    from ...config.domain.identity import tag_of

    found = [i for i in devices(context, options) if i.given("alias") and i.alias.name == options.alias]
    if not found:
        raise NoDevice(f"The domain has no device with alias {options.alias}", remedy="`mechane dumpxml` shows them")
    tag = tag_of(found[0])
    record = change(context, options, "detach", xml(tag, [("alias", {"name": options.alias})]))
    context.done(record, "Device detached successfully")
    return OK


def attach_disk(context: Context, options: Namespace) -> int:
    """Attach a disk that is described by options."""
    kind = options.sourcetype or ("block" if options.source.startswith("/dev/") else "file")
    name = {"block": "dev", "network": "name"}.get(kind, "file")
    driver = {"name": options.driver or "qemu", "type": options.subdriver, "cache": options.cache, "io": options.io,
              "iothread": options.iothread}  # fmt: skip
    parts: list[tuple[str, dict[str, Any]]] = [("driver", driver)]
    if options.source:
        parts.append(("source", {name: options.source}))
    parts.append(("target", {"dev": options.target, "bus": options.targetbus}))
    parts += [(word, {}) for word in (options.mode,) if word]
    if options.serial:
        parts.append(("serial", {"": options.serial}))
    if options.alias:
        parts.append(("alias", {"name": options.alias}))
    device = xml("disk", parts, type=kind, device=options.type or "disk")
    return _add(context, options, device, "Disk attached successfully")


def detach_disk(context: Context, options: Namespace) -> int:
    """Detach a disk by its target."""
    disk = _disk(context, options, options.target)
    return _take(context, options, disk, "disk", "Disk detached successfully")


def attach_interface(context: Context, options: Namespace) -> int:
    """Attach an interface that is described by options."""
    name = {"network": "network", "bridge": "bridge", "direct": "dev", "ethernet": "dev"}.get(options.type)
    parts: list[tuple[str, dict[str, Any]]] = []
    if options.mac:
        parts.append(("mac", {"address": options.mac}))
    if name and options.source:
        parts.append(("source", {name: options.source, "mode": options.source_mode}))
    for tag, value, key in (("target", options.target, "dev"), ("script", options.script, "path"),
                            ("model", options.model, "type"), ("alias", options.alias, "name")):  # fmt: skip
        if value:
            parts.append((tag, {key: value}))
    device = xml("interface", parts, type=options.type, managed="yes" if options.managed else None)
    return _add(context, options, device, "Interface attached successfully")


def detach_interface(context: Context, options: Namespace) -> int:
    """Detach an interface by type and address."""
    found = [
        item for item in devices(context, options, "interfaces")
        if item.type == options.type and options.mac in (None, item.mac.address)
    ]  # fmt: skip
    if not found:
        raise NoDevice(f"The domain has no interface of type {options.type}{_of(options.mac)}",
                       remedy="`mechane dumpxml` shows its devices")  # fmt: skip
    if len(found) > 1:
        raise InvalidArgument(f"{len(found)} interfaces are of type {options.type}", remedy="add --mac ADDRESS")
    return _take(context, options, found[0], "interface", "Interface detached successfully")


def set_link(context: Context, options: Namespace) -> int:
    """Plug a cable in, or out."""
    found = [i for i in devices(context, options, "interfaces") if options.interface in (i.mac.address, i.target.dev)]
    if len(found) != 1:
        raise NoDevice(f"The domain has no interface {options.interface}", remedy="name its MAC address or target")
    from ...config.domain.interface import Link

    found[0].link = Link(state=options.state)
    record = change(context, options, "update", _written("interface", found[0]))
    context.done(record, "Device updated successfully")
    return OK


def change_media(context: Context, options: Namespace) -> int:
    """Put a medium into a drive, or take it out."""
    disk = _disk(context, options, options.path)
    if disk.device not in ("cdrom", "floppy"):
        raise InvalidArgument(f"{options.path} is a {disk.device}, whose medium stays", remedy="detach it instead")
    there = bool(disk.source.file or disk.source.dev)
    if options.eject and not there:
        raise InvalidArgument(f"The drive {disk.target.dev} is empty", remedy="put a medium in with --insert")
    if options.insert and there:
        raise InvalidArgument(f"The drive {disk.target.dev} has a medium", remedy="change it with --update")
    if not options.eject and not options.source:
        raise InvalidArgument("the new medium is missing", remedy="name its file, or --eject")
    from ...config.domain.storage import StorageSource

    disk.source, disk.backing_store = StorageSource(), None
    if not options.eject:
        block = options.block or options.source.startswith("/dev/")
        disk.type = "block" if block else "file"
        setattr(disk.source, "dev" if block else "file", options.source)
    if options.print_xml:
        context.show_document(_written("disk", disk), _written("disk", disk))
        return OK
    word = "ejected" if options.eject else "inserted" if options.insert else "updated"
    context.done(change(context, options, "update", _written("disk", disk)), f"Successfully {word} media.")
    return OK


def devices(context: Context, options: Namespace, kind: str = "") -> list[Any]:
    """Return the devices of the running guest, or of its definition with --config."""
    from ...config.domain.document import parse

    only_config = options.config and not options.live
    text = context.client.domain.get_xml(
        options.domain, inactive=only_config, connection=context.connection, deadline_s=context.deadline_s
    )
    found = parse(text).devices
    return list(getattr(found, kind)) if kind else list(found.every())


def xml(tag: str, parts: list[tuple[str, dict[str, Any]]], **attrs: Any) -> str:
    """Return an element with these attributes and children; what is None is left out, '' names the text."""
    from ...config.xml.node import XmlNode
    from ...config.xml.writer import to_text

    def made(name: str, values: dict[str, Any]) -> XmlNode:
        return XmlNode(name, {k: str(v) for k, v in values.items() if k and v is not None}, str(values.get("", "")))

    root = made(tag, attrs)
    for name, values in parts:
        root.append(made(name, values))
    return to_text(root)


def _disk(context: Context, options: Namespace, name: str) -> Any:
    for disk in devices(context, options, "disks"):
        if name in (disk.target.dev, disk.source.file, disk.source.dev):
            return disk
    raise NoDevice(f"The domain has no disk {name}", remedy="`mechane dumpxml` shows its disks", device=name)


def _written(tag: str, device: Any) -> str:
    from ...config.xml.binding import write

    return write(device, tag)


def _add(context: Context, options: Namespace, device: str, text: str) -> int:
    if options.print_xml:
        context.show_document(device, device)
    else:
        context.done(change(context, options, "attach", device), text)
    return OK


def _take(context: Context, options: Namespace, device: Any, tag: str, text: str) -> int:
    device.address = None  # the definition may have it elsewhere than the guest
    if device.given("alias") and not str(device.alias.name).startswith("ua-"):
        device.alias.name = None
    written = _written(tag, device)
    if options.print_xml:
        context.show_document(written, written)
    else:
        context.done(change(context, options, "detach", written), text)
    return OK


def _of(mac: str | None) -> str:
    return f" with address {mac}" if mac else ""


VERBS = (
    Verb("attach-device", "Add a device, described by an XML file, to a domain.", attach_device,
         (DOMAIN, DEVICE, *WHERE)),
    Verb("detach-device", "Take a device away from a domain; waits for the guest to let go.", detach_device,
         (DOMAIN, DEVICE, *WHERE)),
    Verb("detach-device-alias", "Take away the device of an alias.", detach_alias,
         (DOMAIN, positional("alias", "the device's alias", metavar="ALIAS"), *WHERE)),
    Verb("update-device", "Change a device as an XML file says: its medium, cable or limits.", update_device,
         (DOMAIN, DEVICE, *WHERE)),
    Verb(
        "attach-disk", "Add a disk.", attach_disk,
        (
            DOMAIN,
            positional("source", "file or block device; '' for an empty drive", metavar="SOURCE"),
            positional("target", "name in the guest, such as vdb", metavar="TARGET"),
            option("--targetbus", "BUS", "virtio, scsi, usb, …; follows the target's name where left out"),
            option("--driver", "NAME", "the driver (qemu)"),
            option("--subdriver", "FORMAT", "format of the image: raw, qcow2, …"),
            option("--iothread", "N", "the I/O thread that serves it"),
            option("--cache", "MODE", "none, writeback, writethrough, directsync or unsafe"),
            option("--io", "MODE", "threads, native or io_uring"),
            option("--type", "TYPE", "disk, cdrom, floppy or lun"),
            option("--mode", "MODE", "readonly or shareable", choices=["readonly", "shareable"]),
            option("--sourcetype", "TYPE", "file or block, where the path does not say it"),
            option("--serial", "TEXT", "serial number that the guest sees"),
            option("--alias", "NAME", "alias, beginning with ua-"),
            PRINT_XML, *WHERE,
        ),
    ),
    Verb("detach-disk", "Take a disk away.", detach_disk,
         (DOMAIN, positional("target", "its name in the guest, or its source", metavar="TARGET"), PRINT_XML, *WHERE)),
    Verb(
        "attach-interface", "Add a network interface.", attach_interface,
        (
            DOMAIN,
            positional("type", "network, bridge, user, direct, ethernet, …", metavar="TYPE"),
            positional("source", "name of the network or bridge", metavar="SOURCE", nargs="?"),
            option("--target", "DEV", "name of the host's end"),
            option("--mac", "ADDRESS", "hardware address"),
            option("--script", "PATH", "program that connects it"),
            option("--model", "MODEL", "virtio, e1000e, …"),
            option("--alias", "NAME", "alias, beginning with ua-"),
            option("--source-mode", "MODE", "mode of a direct interface"),
            flag("--managed", "the host's device is managed"),
            PRINT_XML, *WHERE,
        ),
    ),
    Verb("detach-interface", "Take a network interface away.", detach_interface,
         (DOMAIN, positional("type", "its type", metavar="TYPE"), option("--mac", "ADDRESS", "its hardware address"),
          PRINT_XML, *WHERE)),
    Verb("domif-setlink", "Plug an interface's cable in (up) or out (down).", set_link,
         (DOMAIN, positional("interface", "its MAC address or target", metavar="INTERFACE"),
          positional("state", "up or down", metavar="STATE", choices=["up", "down"]), *WHERE)),
    Verb(
        "change-media", "Change the medium of a CD-ROM or floppy drive.", change_media,
        (
            DOMAIN,
            positional("path", "the drive's target, or the medium that is in", metavar="PATH"),
            positional("source", "the new medium", metavar="SOURCE", nargs="?"),
            flag("--eject", "take the medium out"),
            flag("--insert", "put a medium into an empty drive"),
            flag("--update", "change the medium (the default)"),
            flag("--block", "the new medium is a block device"),
            PRINT_XML, *WHERE,
        ),
    ),
)  # fmt: skip
