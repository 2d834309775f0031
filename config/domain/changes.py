"""What a changed definition would do to a domain: each difference, and when it takes effect.

Devices are compared with the device that they are (identity.py), not with the one at their place in the
list.  When a change takes effect is what each field of the model says of itself.  Pure functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..xml.binding import Element, write
from ..xml.fields import Change, View
from ..xml.survey import differences
from .carrying import Fill, carry_over
from .completion import complete
from .device import Device
from .device_edit import items
from .devices import Devices
from .document import format, parse
from .domain import Domain
from .filling import RandomBytes
from .identity import DEVICE_FIELDS, describe, find, of_one_kind
from .pluggable import why_fixed
from .validation import validate

UPDATED = ("/source", "/iotune", "/link", "/@passwd", "/@passwdValidTo", "/@connected", "/requested", "/bandwidth")
"""Changes of devices that update-device makes in a running guest."""

SECRET = ("/@passwd", "/@passwdValidTo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One difference between two definitions."""

    path: str
    kind: str
    """changed, added or removed."""
    before: str
    after: str
    change: Change
    """When it takes effect: live, next_boot or re-create."""
    device: str = ""
    """XML of the device as it shall be (of one that is removed: as it was)."""
    was: str = ""
    """XML of the device as it was, where it is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan:
    """All differences, and the definition to store."""

    xml: str
    changes: tuple[Planned, ...]


def plan_changes(
    old: bytes | str, new: Domain, *, random: RandomBytes = os.urandom, fill: Fill | None = None
) -> ChangePlan:
    """Compare a stored definition with what shall replace it.

    A card or device that the new one leaves without what was once made up (MAC address, UUID) keeps it; so does
    what `fill` works out (addresses, controllers), where the hypervisor has such a thing.
    Raises: XmlError, ConfigUnsupported where the new one cannot be taken.
    """
    before = complete(parse(fill(old if isinstance(old, str) else old.decode()) if fill else old), random=random)
    new = new.copy()
    new.uuid = new.uuid or before.uuid
    new.id = None
    for card, known in _cards_without_address(before, new):
        card.mac.address = known
    after = complete(new, random=random)
    validate(after)
    if fill is not None:
        after = carry_over(before, after, fill)
    return ChangePlan(
        xml=format(after, secure=True), changes=(*_plain_changes(before, after), *_device_changes(before, after))
    )


def present(xml: bytes | str, device: str) -> bool:
    """Tell whether a (live) domain has the device that an element means."""
    from .device_edit import read_device

    wanted = read_device(device)
    field = next(f for f in DEVICE_FIELDS.values() if isinstance(wanted, f.cls))
    return bool(find(items(parse(xml), field), wanted))


def _cards_without_address(before: Domain, new: Domain) -> Iterator[tuple[Any, str]]:
    """Yield cards that have no address in the new definition, with that of the first alike in the old one."""
    said = {card.mac.address for card in new.devices.interfaces}
    free = [card for card in before.devices.interfaces if card.mac.address not in said]
    for card in new.devices.interfaces:
        if card.mac.address:
            continue
        known = next((c for c in free if (c.type, c.source) == (card.type, card.source)), None)
        if known is not None and known.mac.address:
            free.remove(known)
            yield card, known.mac.address


def _plain_changes(before: Domain, after: Domain) -> Iterator[Planned]:
    """Yield what differs outside the devices."""
    one, other = before.copy(), after.copy()
    one.devices, other.devices = Devices(), Devices()
    for name in ("emulator", "redirfilter"):
        for domain, source in ((one, before), (other, after)):
            if source.devices.given(name):
                domain.devices.__dict__[name] = source.devices.__dict__[name]
    for item in differences(one, other, "/domain"):
        kind = "added" if item.before is None else "removed" if item.after is None else "changed"
        yield Planned(
            path=item.path, kind=kind, before=_shown(item.before), after=_shown(item.after), change=item.change
        )


def _device_changes(before: Domain, after: Domain) -> Iterator[Planned]:
    for tag, field in DEVICE_FIELDS.items():
        pairs, gone, new = _pairs(items(before, field), items(after, field))
        for old in gone:
            if not _only_echo(tag, old):
                yield Planned(path=_name(tag, old), kind="removed", before=describe(old), after="",
                              change=_plug_change(old), device=_xml(tag, old))  # fmt: skip
        for old, made in pairs:
            yield from _device_difference(tag, old, made)
        for made in new:
            if not _only_echo(tag, made):
                yield Planned(path=_name(tag, made), kind="added", before="", after=describe(made),
                              change=_plug_change(made), device=_xml(tag, made))  # fmt: skip


def _device_difference(tag: str, old: Any, new: Any) -> Iterator[Planned]:
    if _only_echo(tag, old):
        return
    name = _name(tag, old)
    for item in differences(old, new, name):
        change = item.change
        below = item.path.removeprefix(name)
        if change == "live" and not below.startswith(UPDATED) and not below.endswith(UPDATED):
            change = "next_boot"
        if _is_medium(tag, old, below):
            change = "live"
        elif tag == "disk" and below.startswith("/source"):
            change = "re-create"  # another disk: only a drive changes its medium
        if change == "re-create" and why_fixed(new):
            change = "next_boot"
        hidden = item.path.endswith(SECRET)
        yield Planned(
            path=item.path, kind="changed", before="***" if hidden else _shown(item.before),
            after="***" if hidden else _shown(item.after), change=change, device=_xml(tag, new), was=_xml(tag, old),
        )  # fmt: skip


def _is_medium(tag: str, device: Any, below: str) -> bool:
    return tag == "disk" and device.device in ("cdrom", "floppy") and below.startswith(
        ("/source", "/@type", "/driver/@type")
    )


def _pairs(old: Sequence[Any], new: Sequence[Any]) -> tuple[list[tuple[Any, Any]], list[Any], list[Any]]:
    """Pair devices that are the same; those that nothing tells apart are paired in order."""
    left, pairs, rest = list(old), [], []
    for made in new:
        found = find(left, made)
        equal = next((item for item in found if item == made), found[0] if found else None)
        if equal is None:
            rest.append(made)
            continue
        left = [item for item in left if item is not equal]
        pairs.append((equal, made))
    new_ones = []
    for made in rest:
        kin = next((item for item in left if of_one_kind(item, made)), None)
        if kin is None:
            new_ones.append(made)
            continue
        left = [item for item in left if item is not kin]
        pairs.append((kin, made))
    return pairs, left, new_ones


def _plug_change(device: Any) -> Change:
    return "next_boot" if why_fixed(device) else "live"


def _only_echo(tag: str, device: Any) -> bool:
    """Tell whether a console is only another name of a serial port."""
    return tag == "console" and device.target.type in (None, "serial")


def _name(tag: str, device: Any) -> str:
    facts = describe(device).partition(" with ")[2].replace("target dev ", "").replace("mac address ", "")
    return f"/domain/devices/{tag}[{facts}]" if facts else f"/domain/devices/{tag}"


def _xml(tag: str, device: Any) -> str:
    return write(device, tag, View(secure=True, live=False))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Device):
        return describe(value)
    if isinstance(value, Element):
        text = " ".join(write(value, "x", View(secure=False, live=True)).split())
        return text.removeprefix("<x").removesuffix("/>").strip()[:200]
    return str(value)[:200]
