"""What a changed definition keeps of the one before, where it is silent: places and parts that were worked out.

A person's own file names neither addresses nor controllers; the stored definition does.  Without this, every
comparison of the two would be full of them, and devices would move to other places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .address import UsbAddress
from .completion import parts
from .device import Device
from .device_edit import items
from .document import format, parse
from .domain import Domain
from .identity import DEVICE_FIELDS, find, of_one_kind, within

Fill = Callable[[str], str]
"""Works out what a definition leaves open: XML to XML."""
MACHINES = {"pc": "pc-i440fx-", "q35": "pc-q35-"}
"""Aliases of machine types, and how the names begin that they stand for."""


def carry_over(before: Domain, after: Domain, fill: Fill) -> Domain:
    """Return `after` filled in by `fill`, with the places and parts that `before` has already.

    Raises: XmlError, ConfigUnsupported: what `fill` raises.
    """
    kind, known = after.os.type, before.os.type.machine or ""
    if kind.machine is None or known.startswith(MACHINES.get(kind.machine, "?")):
        kind.machine = known or None
    _keep_places(before, after)
    _keep_buses(before, after)
    filled = parse(fill(format(after, secure=True)))
    for field in DEVICE_FIELDS.values():
        given, old = items(after, field), items(before, field)
        for made in items(filled, field) if issubclass(field.cls, Device) else ():
            made.address = None  # what makes it the device that it is, wherever it is
            if _take_twin(given, made):
                continue
            same = next(iter(find(list(old), made)), None)
            if same is not None and getattr(same, "model", None) == getattr(made, "model", None):
                _put(after, field.name, field.many, same.copy())
    return parse(fill(format(after, secure=True)))


def _keep_buses(before: Domain, after: Domain) -> None:
    """Let buses and hubs stay that nobody asked for: devices sit on them, and others may come."""
    if not any(item.type == "pci" and item.index for item in after.devices.controllers):
        buses = [item for item in before.devices.controllers if item.type == "pci" and item.index]
        after.devices.controllers.extend(item.copy() for item in buses)
    behind_hubs = any(isinstance(d.address, UsbAddress) and "." in (d.address.port or "") for d in _devices(after))
    if behind_hubs and not after.devices.hubs:
        after.devices.hubs.extend(item.copy() for item in before.devices.hubs)


def _devices(domain: Domain) -> Iterator[Device]:
    return (device for device in domain.devices.every() if isinstance(device, Device))


def _take_twin(given: list[Any], made: Device) -> bool:
    """Take the device out of `given` of which `made` is what it was filled in to; False where it was not given.

    A given device says less than the one that was made of it; kinds without a name of their own (video cards) are
    told apart by that alone, each once.
    """
    alike = find(list(given), made) or [item for item in given if within(item, made)]
    alike = alike or [item for item in given if of_one_kind(item, made)]
    if alike:
        given[:] = [item for item in given if item is not alike[0]]
    return bool(alike)


def _keep_places(before: Domain, after: Domain) -> None:
    for field in DEVICE_FIELDS.values():
        if not issubclass(field.cls, Device):
            continue
        left, given = list(items(before, field)), items(after, field)
        # who says more chooses first: of two cards alike the one called primary is the one that was
        for device in sorted(given, key=lambda item: -sum(len(part.__dict__) for part in parts(item))):
            same = next(iter(find(left, device) or [item for item in left if of_one_kind(device, item)]), None)
            if same is None:
                continue
            left = [item for item in left if item is not same]
            if device.address is None and same.address is not None:
                device.address = same.address.copy()


def _put(domain: Domain, name: str, many: bool, device: Device) -> None:
    if many:
        getattr(domain.devices, name).append(device)
    else:
        domain.devices.__dict__[name] = device
