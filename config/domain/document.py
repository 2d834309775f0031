"""Domain XML in and out.  Pure functions: any thread or a worker process; nothing here waits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..errors import XmlError
from ..xml.binding import bind, write
from ..xml.fields import View
from ..xml.reader import MAX_BYTES, read
from ..xml.survey import count_unknown, list_unknown, secret_paths
from .completion import complete
from .cpu_features import is_feature
from .device import USER_ALIAS
from .domain import Domain
from .filling import RandomBytes
from .summary import DomainSummary
from .validation import validate

# Names that are given to the host's ends of interfaces at start, where the XML gives none
GENERATED_NAMES = ("vnet", "macvtap", "macvlan")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveInfo:
    """What only a running domain has."""

    id: int


def parse(xml: bytes | str, *, max_bytes: int = MAX_BYTES) -> Domain:
    """Read domain XML of at most `max_bytes` bytes; nothing is filled in and nothing cross-checked.

    Raises: XmlError with `path`, `value`, `allowed` and `line`.
    """
    return bind(Domain, read(xml, max_bytes=max_bytes), "domain")


def format(domain: Domain, *, secure: bool = False, live: LiveInfo | None = None) -> str:
    """Return `domain` as libvirt would write it.

    Without `secure`, secrets are left out (secret_fields()).  Without `live`, so is what only a running
    domain has: id, aliases that no user gave, names and paths that the start chose.
    """
    view = View(secure=secure, live=live is not None)
    if live is None:
        return write(put_to_rest(domain.copy()), "domain", view)
    running = domain.copy()
    running.id = live.id
    return write(running, "domain", view)


def format_own(domain: Domain) -> str:
    """Return `domain`, secrets included, as it is to be stored. It is put to rest itself: for a model of one's own."""
    return write(put_to_rest(domain), "domain", View(secure=True))


def put_to_rest(domain: Domain) -> Domain:
    """Take out what a start chose and no field by itself tells, as libvirt writes what is inactive; return `domain`."""
    devices = domain.devices
    for disk in devices.disks:
        disk.mirror = None
    for device in devices.every():
        if device.given("alias") and not (device.alias.name or "").startswith(USER_ALIAS):
            device.alias.name = None
    for interface in devices.interfaces:
        if interface.given("target") and (interface.target.dev or "").startswith(GENERATED_NAMES):
            interface.target.dev = None
    for chardev in (*devices.serials, *devices.parallels, *devices.consoles, *devices.channels):
        for source in chardev.sources if chardev.type == "pty" else ():
            source.path = None
    for graphics in devices.graphics:
        if graphics.autoport and graphics.port is not None:
            graphics.port = None if graphics.type == "spice" else -1
            graphics.tls_port = None
    return domain


def summary_of(domain: Domain) -> DomainSummary:
    """Return the facts of `domain` that the node keeps in memory."""
    maximum = domain.vcpu.maximum or 1
    memory = domain.memory.kib or 0
    return DomainSummary(
        name=domain.name,
        uuid=domain.uuid or "",
        type=domain.type,
        os_type=domain.os.type.name,
        arch=domain.os.type.arch or "",
        machine=domain.os.type.machine or "",
        title=domain.title or "",
        description=domain.description or "",
        memory_kib=domain.current_memory.kib or memory,
        max_memory_kib=memory + sum(module.target.size or 0 for module in domain.devices.memories),
        vcpus=domain.vcpu.current or maximum,
        max_vcpus=maximum,
        emulator=domain.devices.emulator or "",
        passthrough=any(field.space is not None and domain.given(field.name) for field in domain.FIELDS)
        or _sets_properties(domain)
        or any(disk.rawio for disk in domain.devices.disks)
        or any(hostdev.rawio for hostdev in domain.devices.hostdevs),
        unknown=count_unknown(domain),
    )


def _sets_properties(domain: Domain) -> bool:
    """Tell whether a guest of QEMU names properties of its processor that are no features."""
    features = domain.cpu.features if domain.cpu is not None and domain.type in ("qemu", "kvm") else ()
    return any(not is_feature(feature.name) for feature in features)


def check_define(
    xml: bytes | str, *, max_bytes: int = MAX_BYTES, random: RandomBytes = os.urandom
) -> tuple[bytes, dict[str, Any]]:
    """Do all that defining needs of the XML: read, fill in, check, write.

    Returns the XML to store (secrets included) and the map of its DomainSummary.
    Raises: XmlError.  This is what a worker process runs; bytes in, bytes and plain values out.
    """
    domain, summary = check_model(xml, max_bytes=max_bytes, random=random)
    stored = format(domain, secure=True).encode()
    check_size(stored, max_bytes)
    return stored, summary


def check_model(
    xml: bytes | str, *, max_bytes: int = MAX_BYTES, random: RandomBytes = os.urandom
) -> tuple[Domain, dict[str, Any]]:
    """Do what defining needs of the XML, but for writing: return the model, filled in, and its summary.

    Raises: XmlError.
    """
    domain = complete(parse(xml, max_bytes=max_bytes), random=random)
    for disk in domain.devices.disks:
        disk.mirror = None  # a job of a run, and no part of what is defined
    validate(domain)
    return domain, dict(summary_of(domain).to_map())


def check_size(stored: bytes, max_bytes: int = MAX_BYTES) -> None:
    """Refuse a definition that has grown too large.  Raises: XmlError."""
    if len(stored) > max_bytes:
        raise XmlError(
            "The definition is too large once filled in", path="/domain", value=len(stored), allowed=max_bytes
        )


def unknown_in(domain: Domain) -> list[str]:
    """Return the paths of what the definition holds that no field stands for."""
    return list_unknown(domain, "/domain")


def secret_fields() -> list[str]:
    """Return the paths of all fields that hold secrets."""
    return secret_paths(Domain, "/domain")
