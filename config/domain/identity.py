"""Which device of a domain an element means: what makes two elements the same device.

Rules: libvirt 9.0's documented `virsh detach-device` and `update-device`: a disk is named by its target, a
card by its MAC address, a device of the host by its source, a controller by type and index, a port by its
number or name; alias and address narrow the choice for every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..xml.binding import Element
from ..xml.children import Child
from .address import Address, DriveAddress, PciAddress
from .controller import Controller
from .device import Device
from .devices import Devices
from .disk import Disk
from .hostdev import Hostdev

Facts = Iterator[tuple[str, Any]]
"""Path below the element ('' for what there is one of), and the value there; None: not said."""

DEVICE_FIELDS: dict[str, Child] = {
    field.xml: field for field in Devices.FIELDS if isinstance(field, Child) and field.xml != "redirfilter"
}
"""The device elements, by tag."""

_NUMBERS = ("domain", "bus", "slot", "function", "controller", "target", "unit")


def tag_of(device: Element) -> str:
    """Return the tag of a device."""
    for tag, field in DEVICE_FIELDS.items():
        if type(device) is field.cls or isinstance(device, field.cls):
            return tag
    raise TypeError(type(device).__name__)


def find(devices: list[Any], wanted: Any) -> list[Any]:
    """Return those of `devices` (of one kind) that `wanted` may mean."""
    alias = wanted.alias.name if isinstance(wanted, Device) and wanted.given("alias") else None
    if alias is not None:
        return [item for item in devices if item.given("alias") and item.alias.name == alias]
    facts = [fact for fact in _facts(wanted) if fact[1] is not None]
    if any(path != "@type" for path, _ in facts):
        found = [item for item in devices if _has(item, facts)]
    else:
        found = [item for item in devices if _has(item, facts) and within(wanted, item)]
    address = wanted.address if isinstance(wanted, Device) else None
    if isinstance(address, Address) and not isinstance(wanted, Disk):
        # a definition may leave the place open that the running guest's XML, from which elements are copied, names
        found = [item for item in found if item.address is None or _same_place(address, item.address)]
    return found


def of_one_kind(one: Any, other: Any) -> bool:
    """Tell whether two devices of a kind that nothing names (video and sound cards) are of one model.

    Of several such devices the first is taken for the first, and so on.
    """
    return tag_of(one) not in _RULES and type(one) is type(other) and _model(one) == _model(other)


def _model(device: Any) -> Any:
    model = getattr(device, "model", None)
    return getattr(device, "type", None), getattr(model, "type", model)


def same_device(one: Any, other: Any) -> bool:
    """Tell whether two elements of one kind stand for the same device."""
    return bool(find([other], one))


def describe(device: Any) -> str:
    """Return how to name a device in an error: its tag and what makes it the one it is."""
    known = [(path.replace("/@", " ").lstrip("@"), value) for path, value in _facts(device)]
    facts = [f"{path} {value}" for path, value in known if path and value is not None]
    if isinstance(device, Device) and device.given("alias"):
        facts.insert(0, f"alias {device.alias.name}")
    return " ".join([f"<{tag_of(device)}>", *(["with", ", ".join(facts)] if facts else [])])


def within(wanted: Element, item: Element) -> bool:
    """Tell whether `item` has all that `wanted` says, alias and address left out."""
    for name, value in wanted.__dict__.items():
        field = wanted._named.get(name)
        if field is None or name in ("alias", "address") or not field.is_set(value):
            continue
        other = item.__dict__.get(name)
        if not isinstance(field, Child):
            if not field.same(value, other):
                return False
        elif field.many:
            if len(value) != len(other or ()) or not all(map(within, value, other or ())):
                return False
        elif other is None or type(other) is not type(value) or not within(value, other):
            return False
    return True


def _has(item: Any, facts: list[tuple[str, Any]]) -> bool:
    own = dict(_facts(item))
    return all(own.get(path) == value for path, value in facts)


def _same_place(wanted: Address, other: Address | None) -> bool:
    if isinstance(wanted, PciAddress) and wanted.bus is None and wanted.slot is None:
        return True
    if type(wanted) is not type(other):
        return False
    if isinstance(wanted, PciAddress | DriveAddress):
        return all((getattr(wanted, n, None) or 0) == (getattr(other, n, None) or 0) for n in _NUMBERS)
    assert other is not None
    return within(wanted, other)


def _facts(device: Any) -> Facts:
    rule = _RULES.get(tag_of(device))
    return rule(device) if rule is not None else iter(())


def _controller(item: Controller) -> Facts:
    yield "@type", item.type
    yield "@index", item.index
    yield "@model", item.model if item.is_usb2 else None  # the parts of one share their index


def _hostdev(item: Hostdev) -> Facts:
    yield "@type", f"{item.mode} {item.type}"
    source, address = item.source, item.source.address
    yield "source/vendor", source.vendor.id if source.vendor is not None else None
    yield "source/product", source.product.id if source.product is not None else None
    for name in ("block", "char", "interface", "wwpn"):
        yield f"source/{name}", getattr(source, name)
    yield "source/adapter", source.adapter.name if source.adapter is not None else None
    yield "source/@name", source.name
    if address is None:
        return
    if address.uuid:
        yield "source/address/@uuid", address.uuid.lower()
    elif item.type in ("pci", "scsi"):
        names = ("domain", "bus", "slot", "function") if item.type == "pci" else ("bus", "target", "unit")
        yield "source/address", ":".join(f"{getattr(address, name) or 0:x}" for name in names)
    elif address.bus is not None:
        yield "source/address", f"{address.bus}:{address.device}"


def _channel(item: Any) -> Facts:
    yield "@type", item.target.type
    yield "target/@name", item.target.name
    yield "target/@address", item.target.address
    yield "target/@port", item.target.port


def _console(item: Any) -> Facts:
    yield "@type", item.target.type
    yield "target/@port", item.target.port


def _input(item: Any) -> Facts:
    yield "@type", item.type
    source = item.source
    yield "source", (source.dev or source.evdev) if source is not None else None


def _memory(item: Any) -> Facts:
    yield "@model", item.model
    yield "target/size", item.target.size
    yield "target/node", item.target.node
    yield "source/path", item.source.path


def _one(path: str, get: Callable[[Any], Any]) -> Callable[[Any], Facts]:
    def facts(item: Any) -> Facts:
        yield path, get(item)

    return facts


_RULES: dict[str, Callable[[Any], Facts]] = {
    "disk": _one("target/@dev", lambda item: item.target.dev),
    "interface": _one("mac/@address", lambda item: item.mac.address.lower() if item.mac.address else None),
    "controller": _controller,
    "hostdev": _hostdev,
    "serial": _one("target/@port", lambda item: item.target.port),
    "parallel": _one("target/@port", lambda item: item.target.port),
    "console": _console,
    "channel": _channel,
    "input": _input,
    "memory": _memory,
    "shmem": _one("@name", lambda item: item.name),
    "filesystem": _one("target/@dir", lambda item: item.target.dir),
    "lease": _one("key", lambda item: item.key),
    "graphics": _one("type", lambda item: item.type),
    "watchdog": _one("@model", lambda item: item.model),
    **dict.fromkeys(("tpm", "vsock", "memballoon", "iommu", "nvram", "pstore"), _one("", lambda item: True)),
}
