"""Put one device into a domain's XML, take it out, or change it.

Pure functions of documents: a definition stays a definition, and the XML of a running domain (it has an
id) keeps what only a running domain has.  Which device is meant is said in identity.py.
"""

from __future__ import annotations

import os
from typing import Any

from ..errors import AmbiguousName, InvalidArgument, NoDevice, OperationInvalid
from ..xml.binding import bind, write
from ..xml.children import Child
from ..xml.node import XmlNode
from ..xml.reader import read
from .completion import complete, pair_console_with_serial, parts
from .device import USER_ALIAS, Device
from .document import LiveInfo, format, parse
from .domain import Domain
from .filling import Filling, RandomBytes
from .identity import DEVICE_FIELDS, describe, find
from .validation import validate

DEVICE_BYTES = 512 * 1024
_ONLY_CHANGED = ("memballoon",)
"""Devices that each guest has one of, so that they are changed and not added."""
_FREE_OF_TWINS = ("hostdev", "filesystem", "shmem", "serial", "parallel", "channel")
"""Kinds of which no two may be alike in what identifies them; others are for validation to tell."""


def attach_device(xml: bytes | str, device: bytes | str) -> bytes:
    """Return the domain with one device more.

    Raises: XmlError, InvalidArgument; OperationInvalid where the domain has it already.
    """
    domain = parse(xml)
    add(domain, _of_definition(domain, read_device(device)))
    return finish(domain)


def detach_device(xml: bytes | str, device: bytes | str) -> bytes:
    """Return the domain without the device that `device` means.

    Raises: XmlError, InvalidArgument; NoDevice where there is none, AmbiguousName where several fit.
    """
    domain = parse(xml)
    remove(domain, device)
    return finish(domain)


def update_device(xml: bytes | str, device: bytes | str) -> bytes:
    """Return the domain with `device` in the place of the one it means; alias and address stay.

    Raises: as detach_device.
    """
    domain = parse(xml)
    replace(domain, _of_definition(domain, read_device(device)))
    return finish(domain)


def forget_device(xml: bytes | str, alias: str) -> bytes | None:
    """Return a running domain without the device of this alias; None where it has none."""
    domain = parse(xml)
    for tag, field in DEVICE_FIELDS.items():
        if any(item.given("alias") and item.alias.name == alias for item in items(domain, field)):
            remove(domain, f"<{tag}><alias name='{alias}'/></{tag}>")
            return finish(domain)
    return None


def settle_device(xml: bytes | str, device: str, *, random: RandomBytes = os.urandom) -> str:
    """Return `device` with what would otherwise be made up anew each time it is added: its MAC address.

    Raises: XmlError, InvalidArgument.
    """
    made = read_device(device)
    if not hasattr(made, "mac") or made.mac.address:
        return device
    domain = parse(xml)
    made.fill(Filling(random, domain.type, domain.os.type.arch or ""))
    return write(made, "interface")


def read_device(device: bytes | str) -> Any:
    """Return the model of one device element.

    Raises: XmlError; InvalidArgument where it is no device.
    """
    root = _root(device)
    field = DEVICE_FIELDS.get(root.key)
    if field is None:
        raise InvalidArgument(
            f"<{root.tag[:64]}> is no device that can be plugged", remedy=f"Allowed: {', '.join(DEVICE_FIELDS)}",
            path=f"/{root.tag[:64]}", value=root.tag[:64], allowed=list(DEVICE_FIELDS),
        )  # fmt: skip
    return bind(field.cls, root, root.key)


def add(domain: Domain, device: Any) -> None:
    """Put a device into a model; it is neither completed nor checked yet.

    Raises: OperationInvalid where it is there already, or only one of its kind can be.
    """
    devices, field = domain.devices, _field(device)
    if field.xml in _ONLY_CHANGED or (not field.many and devices.given(field.name)):
        raise OperationInvalid(
            f"The domain has a <{field.xml}> already", remedy="Change it with update-device", device=field.xml
        )
    twins = find(items(domain, field), device) if field.xml in _FREE_OF_TWINS and not device.given("alias") else []
    if twins and not (field.xml in ("serial", "parallel") and device.target.port is None):
        raise OperationInvalid(
            f"The domain has {describe(twins[0])} already", remedy="Change it with update-device", device=field.xml
        )
    if field.many:
        getattr(devices, field.name).append(device)
    else:
        setattr(devices, field.name, device)


def remove(domain: Domain, device: bytes | str) -> Any:
    """Take the device that an element means out of a model, and return it.

    Raises: XmlError, InvalidArgument, NoDevice, AmbiguousName.
    """
    found = find_device(domain, device)
    field = _field(found)
    first = domain.devices.serials[0] if domain.devices.given("serials") else None
    if field.many:
        _drop(getattr(domain.devices, field.name), found)
    else:
        domain.devices.__dict__.pop(field.name)
    if found is first:
        _follow_serial(domain)
    elif field.xml == "memory":
        _lessen_memory(domain)
    return found


def replace(domain: Domain, device: Any) -> Any:
    """Put a device in the place of the one it means; return that one.

    Raises: NoDevice, AmbiguousName.
    """
    field = _field(device)
    found = _single(find(items(domain, field), device), describe(device))
    if isinstance(device, Device):
        if not device.given("alias") and found.given("alias"):
            device.alias = found.alias
        if device.address is None:
            device.address = found.address
    if field.many:
        kept = getattr(domain.devices, field.name)
        kept[_position(kept, found)] = device
    else:
        setattr(domain.devices, field.name, device)
    return found


def find_device(domain: Domain, device: bytes | str) -> Any:
    """Return the device of a model that an element means; one with an alias needs to say nothing else.

    In a definition only aliases that a user gave (`ua-…`) count: others stand in the XML of running guests, from
    which elements are copied.

    Raises: XmlError, InvalidArgument, NoDevice, AmbiguousName.
    """
    root = _root(device)
    field, alias = DEVICE_FIELDS.get(root.key), _alias(root)
    if domain.id is None and alias and not alias.startswith(USER_ALIAS):
        if not root.attrs and len(root.children) == 1:
            raise NoDevice(
                f"The definition has no <{root.key}> with alias {alias}: only aliases that begin with {USER_ALIAS} are "
                "kept in it", remedy="Name the device by its target, address or source", device=alias,
            )  # fmt: skip
        alias = ""
    if field is not None and alias:
        named = [i for i in items(domain, field) if i.given("alias") and i.alias.name == alias]
        return _single(named, f"<{field.xml}> with alias {alias}")
    wanted = _of_definition(domain, read_device(device))
    for part in parts(wanted):
        if part is not wanted:
            part.fill(Filling(bytes, domain.type, ""))
    return _single(find(items(domain, _field(wanted)), wanted), describe(wanted))


def finish(domain: Domain) -> bytes:
    """Complete, check and write a model that was changed.  Raises: XmlError."""
    domain = complete(domain)
    validate(domain)
    live = LiveInfo(id=domain.id) if domain.id is not None else None
    return format(domain, secure=True, live=live).encode()


def _of_definition(domain: Domain, device: Any) -> Any:
    """Return a device without an automatic alias where it is meant for a definition, which has none."""
    alias = device.alias.name if isinstance(device, Device) and device.given("alias") else None
    if domain.id is None and alias and not alias.startswith(USER_ALIAS):
        device.__dict__.pop("alias")
    return device


def items(domain: Domain, field: Child) -> list[Any]:
    """Return the devices of one kind."""
    value = domain.devices.__dict__.get(field.name)
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _root(device: bytes | str) -> XmlNode:
    return read(device, max_bytes=DEVICE_BYTES)


def _field(device: Any) -> Child:
    return next(field for field in DEVICE_FIELDS.values() if isinstance(device, field.cls))


def _alias(root: XmlNode) -> str:
    return next((node.attrs.get("name", "") for node in root.children if node.key == "alias"), "")


def _single(found: list[Any], what: str) -> Any:
    if not found:
        raise NoDevice(f"The domain has no {what}", remedy="`mechane dumpxml` shows its devices", device=what)
    if len(found) > 1:
        aliases = [item.alias.name for item in found if item.given("alias")]
        raise AmbiguousName(
            f"{len(found)} devices of the domain are {what}", remedy="Give the alias or address of the one you mean",
            device=what, aliases=aliases,
        )  # fmt: skip
    return found[0]


def _position(kept: list[Any], device: Any) -> int:
    return next(index for index, item in enumerate(kept) if item is device)


def _drop(kept: list[Any], device: Any) -> None:
    del kept[_position(kept, device)]


def _follow_serial(domain: Domain) -> None:
    """Let the console that was another name of the first serial port be that of the one that is first now."""
    consoles, serials = domain.devices.consoles, domain.devices.serials
    if consoles and consoles[0].target.type in (None, "serial"):
        del consoles[0]
        if serials:
            pair_console_with_serial(domain)
            if serials[0].given("alias"):
                consoles = domain.devices.consoles
                consoles[0].alias = serials[0].alias.copy()


def _lessen_memory(domain: Domain) -> None:
    """Bring the total down to what cells and modules have, where it counts modules."""
    cells = domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []
    total = sum(cell.memory or 0 for cell in cells) + sum(m.target.size or 0 for m in domain.devices.memories)
    if cells and (domain.memory.kib or 0) > total:
        domain.memory.kib = total
        domain.current_memory.kib = min(domain.current_memory.kib or total, total)
