"""Statistics of a container, under libvirt's names (virConnectGetAllDomainStats). They block briefly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .cgroups import Groups

COLUMNS = {"rx": 0, "tx": 8}
"""First column of each direction in /proc/PID/net/dev (proc(5)): bytes, packets, errors, drops."""
SHOWN = (("bytes", 0), ("pkts", 1), ("errs", 2), ("drop", 3))


def stats_of(groups: Groups, pid: int | None, wanted: frozenset[str], cpus: int) -> dict[str, Any]:
    """Return statistics from the control groups and /proc, without any tool.

    Args:
        groups: the container's control groups.
        pid: its first process, whose network namespace is looked at.
        wanted: any of cpu, balloon, vcpu, block, interface.
        cpus: how many processors the host has; a container sees those of its cpuset.
    """
    found: dict[str, Any] = {}
    if "cpu" in wanted:
        user_ns, system_ns = groups.cpu_split_ns()
        found |= {"cpu.time": groups.cpu_ns(), "cpu.user": user_ns, "cpu.system": system_ns}
    if "balloon" in wanted:
        found |= _memory(groups.memory())
    if "vcpu" in wanted:
        allowed = groups.read("cpuset", "cpuset.cpus") or groups.read("", "cpuset.cpus.effective")
        count = _count(allowed) or cpus
        found |= {"vcpu.current": count, "vcpu.maximum": count}
    if "block" in wanted:
        devices = groups.block()
        found["block.count"] = len(devices)
        for number, (device, values) in enumerate(devices.items()):
            found[f"block.{number}.name"] = _disk(device)
            found |= {f"block.{number}.{name}": value for name, value in values.items()}
    if "interface" in wanted:
        found |= _interfaces(pid)
    return found


def _memory(known: dict[str, int]) -> dict[str, int]:
    kib = {name: value // 1024 for name, value in known.items()}
    found = {"balloon.current": kib.get("used", 0)}
    for name, ours in (("limit", "maximum"), ("rss", "rss"), ("swap", "swap_out")):
        if name in kib:
            found[f"balloon.{ours}"] = kib[name]
    return found


def _count(cpus: str) -> int:
    """Return how many processors a list such as 0-3,8 names."""
    total = 0
    for part in cpus.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            total += int(last or first) - int(first) + 1
    return total


def _disk(device: str) -> str:
    """Return a block device's name from MAJOR:MINOR."""
    with suppress(OSError):  # it is gone
        return Path(f"/sys/dev/block/{device}").resolve().name
    return device


def _interfaces(pid: int | None) -> dict[str, Any]:
    nics = list(_nics(pid)) if pid is not None else []
    found: dict[str, Any] = {"net.count": len(nics)}
    for number, (name, values) in enumerate(nics):
        found[f"net.{number}.name"] = name
        for way, first in COLUMNS.items():
            for what, column in SHOWN:
                found[f"net.{number}.{way}.{what}"] = values[first + column]
    return found


def _nics(pid: int) -> Iterator[tuple[str, list[int]]]:
    with suppress(OSError):  # it ended just now
        for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]:
            name, _, rest = line.partition(":")
            if name.strip() != "lo":
                yield name.strip(), [int(word) for word in rest.split()]
