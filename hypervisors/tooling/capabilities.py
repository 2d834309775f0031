"""What a kind of guests can be, as libvirt's XML (formatcaps.html, formatdomaincaps.html) and as maps.

For kinds whose facts are fixed: no emulator can be asked for them.
"""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...config.errors import InvalidArgument
from .watching import ToolWatcher

ORDER = ("disk", "graphics", "video", "hostdev", "rng", "filesystem", "tpm", "redirdev", "channel")
"""Order of devices in libvirt's schema domaincaps.rng."""
WORDSIZES = {"x86_64": 64, "i686": 32, "aarch64": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """What guests of one kind may be."""

    name: str
    """How the product is called in errors."""
    virttype: str
    path: str
    """The program that runs or drives them, absolute."""
    arches: tuple[str, ...]
    max_vcpus: int | None = None
    """Processors of one guest; None where the host alone decides."""
    firmware: tuple[str, ...] = ("bios", "efi")
    loader: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Words of <loader>, by the enum's name; empty where definitions name no file."""
    devices: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)


def host_capabilities(kind: Guests, arch: str = "", cpus: int = 0) -> dict[str, Any]:
    """Return the capabilities of the host.

    Args:
        kind: its guests.
        arch: the host's architecture; this host's where not given.
        cpus: how many processors it has; this host's where not given.
    """
    arch, cpus = arch or os.uname().machine, cpus or os.cpu_count() or 1
    guests = [{"os_type": "hvm", "arch": each, "domain_types": [kind.virttype], "machines": []} for each in kind.arches]
    shown = "".join(
        f"  <guest>\n    <os_type>hvm</os_type>\n    <arch name='{each}'>\n"
        f"      <wordsize>{WORDSIZES[each]}</wordsize>\n      <domain type='{kind.virttype}'/>\n    </arch>\n"
        "  </guest>\n"
        for each in kind.arches
    )
    xml = f"<capabilities>\n  <host>\n    <cpu><arch>{arch}</arch></cpu>\n  </host>\n{shown}</capabilities>\n"
    return {"xml": xml, "host": {"arch": arch, "cpus": cpus}, "guests": guests}


def domain_capabilities(
    kind: Guests, *, arch: str | None, virttype: str | None, emulator: str | None = None, machine: str | None = None
) -> dict[str, Any]:
    """Return what a domain may ask for.

    Raises:
        InvalidArgument: no such guests here.
    """
    arch = arch or kind.arches[0]
    asked: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("arch", arch, kind.arches), ("virttype", virttype, (kind.virttype,)), ("emulator", emulator, (kind.path,)),
        ("machine", machine, ()),
    )  # fmt: skip
    for name, value, allowed in asked:
        if value is not None and value not in allowed:
            raise InvalidArgument(
                f"{kind.name} runs no {value}", path=f"params.{name}", value=value, allowed=list(allowed),
                remedy=f"use {' or '.join(allowed)}" if allowed else "leave it out",
            )  # fmt: skip
    vcpu = f"  <vcpu max='{kind.max_vcpus}'/>\n" if kind.max_vcpus is not None else ""
    loader = f"    <loader supported='yes'>\n{_enums(kind.loader)}    </loader>\n" if kind.loader else ""
    devices = "".join(
        f"    <{each} supported='{'yes' if kind.devices[each] else 'no'}'>\n{_enums(kind.devices[each])}    </{each}>\n"
        for each in ORDER if each in kind.devices
    )  # fmt: skip
    xml = (
        f"<domainCapabilities>\n  <path>{kind.path}</path>\n  <domain>{kind.virttype}</domain>\n  <arch>{arch}</arch>\n"
        f"{vcpu}  <os supported='yes'>\n{_enums({'firmware': kind.firmware})}{loader}  </os>\n"
        f"  <devices>\n{devices}  </devices>\n</domainCapabilities>\n"
    )
    shown = {device: {name: list(words) for name, words in enums.items()} for device, enums in kind.devices.items()}
    return {"xml": xml, "path": kind.path, "domain": kind.virttype, "arch": arch, "max_vcpus": kind.max_vcpus,
            "firmware": list(kind.firmware), "devices": shown}  # fmt: skip


def _enums(enums: Mapping[str, Sequence[str]]) -> str:
    return "".join(
        f"      <enum name='{name}'>\n" + "".join(f"        <value>{word}</value>\n" for word in words)
        + "      </enum>\n" for name, words in enums.items()
    )  # fmt: skip


HOST = "uname -m; getconf _NPROCESSORS_ONLN 2>/dev/null || getconf NPROCESSORS_ONLN"
"""Architecture and processors of a host, Linux or FreeBSD (getconf(1) of each)."""
ARCHES = {"amd64": "x86_64", "i386": "i686", "arm64": "aarch64"}
"""FreeBSD's word for an architecture -> libvirt's."""


class FixedCapabilities(ToolWatcher, ABC):
    """The domain_capabilities protocol of a driver whose guests' facts are fixed."""

    guests: Guests

    async def get_capabilities(self) -> dict[str, Any]:
        """Return what the connection's host can run."""
        result = await self.tool(["sh", "-c", HOST], deadline_s=self.env.deadlines.query_s)
        words = result.check().stdout.split()
        arch, cpus = (words + ["", ""])[:2]
        return host_capabilities(self.guests, ARCHES.get(arch, arch), int(cpus) if cpus.isdigit() else 0)

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Return what a definition may ask for.

        Raises:
            InvalidArgument: no such guests here.
        """
        return domain_capabilities(self.guests, arch=arch, virttype=virttype, emulator=emulator, machine=machine)
