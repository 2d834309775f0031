"""What `prlctl statistics` prints, under libvirt's names (virConnectGetAllDomainStats). Pure functions of text.

Format: a line for each counter, tab, name, colon, tab, value (PrlStat.cpp of github.com/OpenVZ/prlctl). Names and
units: PrlPerfCounters.h of the Virtuozzo SDK: guest.vcpuN.time in ns, guest.ram.* in MiB, bytes and requests of each
bus and position, bytes and packets of each card. `guest.cpu.time` is what went by since the last query of anybody,
so it is left alone: the sum of the processors' times is cpu.time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..tooling.numbered import numbered
from ..tooling.run import ToolResult
from .text import check

_LINE = re.compile(r"\t(?P<name>[A-Za-z0-9_.#]+):\t(?P<value>\d+)\s*")
_VCPU = re.compile(r"guest\.vcpu(\d+)\.time")
_DISK = re.compile(r"devices\.(ide|scsi|sata|virtio)(\d+)\.(read|write)_(total|requests)")
_NIC = re.compile(r"net\.nic(\d+)\.(bytes|pkts)_(in|out)")
PREFIXES = {"ide": "hd", "virtio": "vd"}
"""Bus -> beginning of the name of a disk; sd for all others, as in the definition."""
MEMORY = (("guest.ram.total", "available"), ("guest.ram.available", "usable"), ("guest.ram.balloon_actual", "current"))
MIB_KIB = 1024


def counters(result: ToolResult, name: str = "") -> dict[str, int]:
    """Return the counters that prlctl printed; lines that are none, such as classful traffic, are left out.

    Raises:
        MechaneError: it failed.
    """
    found: dict[str, int] = {}
    for line in check(result, name).stdout.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            found[match["name"]] = int(match["value"])
    return found


def stats_of(said: Mapping[str, int], groups: frozenset[str], vcpus: int) -> dict[str, Any]:
    """Return statistics.

    Args:
        said: what `counters` returned.
        groups: any of cpu, balloon, vcpu, block, interface.
        vcpus: how many processors the definition has, where no counter tells.
    """
    times = {int(match[1]): value for name, value in said.items() if (match := _VCPU.fullmatch(name))}
    found: dict[str, Any] = {}
    if "cpu" in groups:
        found["cpu.time"] = sum(times.values())
    if "balloon" in groups:
        found |= {f"balloon.{ours}": said[theirs] * MIB_KIB for theirs, ours in MEMORY if theirs in said}
    if "vcpu" in groups:
        found["vcpu.current"] = found["vcpu.maximum"] = len(times) or vcpus
        found |= {f"vcpu.{number}.time": value for number, value in sorted(times.items())}
    if "block" in groups:
        found |= numbered("block", _disks(said))
    if "interface" in groups:
        found |= numbered("net", _nics(said))
    return found


def _disks(said: Mapping[str, int]) -> dict[str, dict[str, int]]:
    devices: dict[tuple[str, int], dict[str, int]] = {}
    for name, value in said.items():
        if match := _DISK.fullmatch(name):
            way, what = "rd" if match[3] == "read" else "wr", "bytes" if match[4] == "total" else "reqs"
            devices.setdefault((match[1], int(match[2])), {})[f"{way}.{what}"] = value
    named: dict[str, dict[str, int]] = {}
    for bus, position in sorted(devices):
        name = next(each for each in _names(PREFIXES.get(bus, "sd"), position) if each not in named)
        named[name] = devices[bus, position]
    return named


def _names(prefix: str, position: int) -> Iterator[str]:
    while True:
        yield f"{prefix}{chr(ord('a') + position)}" if position < 26 else f"{prefix}{position}"
        position += 1


def _nics(said: Mapping[str, int]) -> dict[str, dict[str, int]]:
    devices: dict[int, dict[str, int]] = {}
    for name, value in said.items():
        if match := _NIC.fullmatch(name):
            devices.setdefault(int(match[1]), {})[f"{'rx' if match[3] == 'in' else 'tx'}.{match[2]}"] = value
    return {f"net{number}": devices[number] for number in sorted(devices)}
