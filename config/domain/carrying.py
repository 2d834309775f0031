"""What a changed definition keeps of the one before, where it is silent: places and parts that were worked out.

A person's own file names neither addresses nor controllers; the stored definition does.  Without this, every
comparison of the two would be full of them, and devices would move to other places.
"""

from __future__ import annotations

from collections.abc import Callable

from .device import Device
from .device_edit import items
from .document import format, parse
from .domain import Domain
from .identity import DEVICE_FIELDS, find

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
    if not any(item.type == "pci" and item.index for item in after.devices.controllers):
        # buses that nobody asked for stay: other devices may come to them
        buses = [item for item in before.devices.controllers if item.type == "pci" and item.index]
        after.devices.controllers.extend(item.copy() for item in buses)
    filled = parse(fill(format(after, secure=True)))
    for field in DEVICE_FIELDS.values():
        given, old = items(after, field), items(before, field)
        for made in items(filled, field) if issubclass(field.cls, Device) else ():
            made.address = None  # what makes it the device that it is, wherever it is
            if find(list(given), made):
                continue
            same = next(iter(find(list(old), made)), None)
            if same is not None and getattr(same, "model", None) == getattr(made, "model", None):
                _put(after, field.name, field.many, same.copy())
    return parse(fill(format(after, secure=True)))


def _keep_places(before: Domain, after: Domain) -> None:
    for field in DEVICE_FIELDS.values():
        left = list(items(before, field))
        for device in items(after, field):
            if not isinstance(device, Device):
                continue
            same = next(iter(find(left, device)), None)
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
