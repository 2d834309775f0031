"""What must hold between the parts of a definition.

What a part can tell by itself is said beside its class (`problems`).  Rules and their order follow
libvirt's own checks of domain definitions (observed with libvirt 9.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..characters import control_in, unshown_in
from ..errors import XmlError
from ..xml.binding import LONGEST_VALUE, Element
from ..xml.convert import bitmap_max, bitmap_to_set, describe
from ..xml.extra import Problem
from ..xml.survey import path_of
from .address import DriveAddress, PciAddress
from .completion import parts
from .device import USER_ALIAS
from .domain import Domain
from .duplicates import check_duplicates
from .os import TYPES as OS_TYPES

NAME_BYTES = 255  # the longest file name of Linux (NAME_MAX, linux/limits.h)
MAX_VCPUS = 4096  # above what any machine of QEMU 7.2 takes

Found = Iterator[tuple[Element, Problem]]


def validate(domain: Domain) -> None:
    """Check `domain` as a whole.  Raises: XmlError with the path of the first thing that is wrong."""
    _refuse_first(domain, _problems(domain))


def check_texts(model: Element, root: str = "/domain") -> None:
    """Check that no text of `model`, whose path is `root`, holds a control character or the end of a line.

    For what writes texts elsewhere: a model that was stored by an older version was never checked.

    Raises: XmlError with the path of the first text that does.
    """
    _refuse_first(model, _check_texts(model), root)


def _refuse_first(model: Element, found: Found, root: str = "/domain") -> None:
    for element, problem in found:
        path = path_of(model, element, root)
        path = f"{path}/{problem.below}" if problem.below else path
        allowed = describe(problem.allowed) if problem.allowed is not None else ""
        raise XmlError(
            f"{path}: {problem.why}",
            path=path,
            value=problem.value[:LONGEST_VALUE] if isinstance(problem.value, str) else problem.value,
            allowed=problem.allowed,
            remedy=f"Allowed: {allowed}" if allowed else "",
        )


def check_name(name: str) -> str:
    """Return why `name` cannot be a domain's name, or ''."""
    if not name.strip():
        return "a name must not be blank"
    if "/" in name or name in (".", ".."):
        return "a name must not contain '/' nor be '.' or '..'"
    if code := unshown_in(name):
        return f"a name must not contain control characters or what cannot be shown ({code})"
    if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        return f"a name must not be longer than {NAME_BYTES} bytes"
    return ""


def _problems(domain: Domain) -> Found:
    for check in _CHECKS:
        yield from check(domain)
    for element in parts(domain):
        for problem in element.problems():
            yield element, problem


def _check_texts(model: Element) -> Found:
    for element in parts(model):
        for name, value in element.__dict__.items():
            if type(value) is str:
                clean = value.isprintable()
            elif type(value) is list:
                clean = all(type(item) is not str or item.isprintable() for item in value)
            else:
                continue
            field = element._named.get(name)
            if clean or field is None:
                continue
            for item in [value] if isinstance(value, str) else value:
                if isinstance(item, str) and (code := control_in(item, free=field.free)):
                    below = f"@{field.xml}" if field.is_attr else field.xml
                    yield element, Problem(below, item, f"has a control character or the end of a line ({code})")


def check_title(title: str) -> str:
    """Return why `title` cannot be a domain's title, or ''."""
    if "\n" in title:
        return "a title must be one line"
    code = unshown_in(title)
    return f"a title must not contain control characters or what cannot be shown ({code})" if code else ""


def _check_identity(domain: Domain) -> Found:
    if why := check_name(domain.name):
        yield domain, Problem("name", domain.name, why)
    if not domain.bootloader and not domain.os.type.given("name"):
        yield domain.os.type, Problem("", None, "the type of the guest is missing", OS_TYPES)
    if domain.title and (why := check_title(domain.title)):
        yield domain, Problem("title", domain.title, why)


def _check_memory(domain: Domain) -> Found:
    total = domain.memory.kib
    if not total:
        yield domain, Problem("memory", total, "a domain needs memory", "a size above 0")
        return
    modules = sum(module.target.size or 0 for module in domain.devices.memories)
    current = domain.current_memory.kib
    if current is not None and current > total + modules:
        yield (
            domain,
            Problem("currentMemory", current, f"is more than the {total} KiB of memory", f"0 to {total} KiB"),
        )
    if domain.max_memory is not None and (domain.max_memory.kib or 0) < total:
        yield domain, Problem("maxMemory", domain.max_memory.kib, f"is less than the {total} KiB of memory")


def _check_vcpus(domain: Domain) -> Found:
    maximum = domain.vcpu.maximum or 1
    if maximum > MAX_VCPUS:
        yield domain, Problem("vcpu", maximum, "too many processors", f"1 to {MAX_VCPUS}")
    current = domain.vcpu.current
    if current is not None and current > maximum:
        yield (
            domain,
            Problem("vcpu/@current", current, f"is more than the maximum of {maximum}", f"1 to {maximum}"),
        )
    seen: set[int] = set()
    for state in domain.vcpus.vcpus if domain.vcpus else []:
        if state.id is None or state.id >= maximum or state.id in seen:
            yield (
                state,
                Problem("@id", state.id, "is missing, too large or there twice", f"0 to {maximum - 1}"),
            )
        else:
            seen.add(state.id)
        if state.id == 0 and state.enabled is False:
            yield state, Problem("@enabled", "no", "processor 0 cannot be switched off")
    for cell in domain.cpu.numa.cells if domain.cpu and domain.cpu.numa else []:
        if cell.cpus and bitmap_max(cell.cpus) >= maximum:
            yield cell, Problem("@cpus", cell.cpus, f"names a processor beyond the {maximum} there are")


def _check_iothreads(domain: Domain) -> Found:
    ids = {thread.id for thread in domain.iothreadids.iothreads} if domain.iothreadids else set()
    ids |= set(range(1, (domain.iothreads or 0) + 1)) if not ids else set()
    known = sorted(i for i in ids if i)
    for disk in domain.devices.disks:
        if disk.driver.iothread and disk.driver.iothread not in ids:
            yield disk, Problem("driver/@iothread", disk.driver.iothread, "no such iothread", known)
    tune = domain.cputune
    for pin in tune.iothreadpins if tune else ():
        if pin.iothread not in ids:
            yield pin, Problem("@iothread", pin.iothread, "no such iothread", known)
    for item in tune.iothreadscheds if tune else ():
        missing = bitmap_to_set(item.iothreads or "0") - ids
        if missing:
            yield item, Problem("@iothreads", item.iothreads, f"no iothread {min(missing)}", known)


def _check_boot(domain: Domain) -> Found:
    orders: set[int] = set()
    for device in domain.devices.every():
        order = device.boot.order if device.boot else None
        if order is None:
            continue
        if domain.os.boots:
            yield (
                domain,
                Problem("os/boot", domain.os.boots[0].dev, "cannot stand beside the boot order of a device"),
            )
        if order in orders:
            yield device, Problem("boot/@order", order, "another device has the same order")
        orders.add(order)


def _check_disks(domain: Domain) -> Found:
    targets: set[str] = set()
    places: set[tuple[Any, ...]] = set()
    for disk in domain.devices.disks:
        target = disk.target.dev or ""
        if target in targets:
            yield disk, Problem("target/@dev", target, "another disk has the same target")
        targets.add(target)
        address = disk.address
        if isinstance(address, DriveAddress):
            place = (
                disk.target.bus,
                *(getattr(address, n) or 0 for n in ("controller", "bus", "target", "unit")),
            )
            if place in places:
                yield disk, Problem("address", _shown(place), "another disk has the same address")
            places.add(place)


def _check_aliases(domain: Domain) -> Found:
    aliases: set[str] = set()
    for device in domain.devices.every():
        alias = device.alias.name if device.given("alias") else None
        if alias and alias.startswith(USER_ALIAS):
            if alias in aliases:
                yield device, Problem("alias/@name", alias, "another device has the same alias")
            aliases.add(alias)


def _check_addresses(domain: Domain) -> Found:
    places: set[tuple[int, ...]] = set()
    for device in domain.devices.every():
        address = device.address
        if not isinstance(address, PciAddress) or address.slot is None and address.bus is None:
            continue
        place = tuple(getattr(address, name) or 0 for name in ("domain", "bus", "slot", "function"))
        if place in places and place != (0, 0, 0, 0):
            shown = "{:04x}:{:02x}:{:02x}.{:x}".format(*place)
            yield device, Problem("address", shown, "another device has the same address")
        places.add(place)


def _check_controllers(domain: Domain) -> Found:
    seen: set[tuple[str, int]] = set()
    for controller in domain.devices.controllers:
        if controller.index is None or controller.is_usb2:
            continue
        key = (controller.type, controller.index)
        if key in seen:
            yield (
                controller,
                Problem("@index", controller.index, f"another {controller.type} controller has it"),
            )
        seen.add(key)


def _shown(place: tuple[Any, ...]) -> str:
    return ":".join(str(part) for part in place[1:])


_CHECKS: tuple[Callable[[Domain], Found], ...] = (
    _check_identity,
    _check_texts,
    _check_memory,
    _check_vcpus,
    _check_iothreads,
    _check_boot,
    _check_disks,
    _check_aliases,
    _check_addresses,
    _check_controllers,
    check_duplicates,
)
