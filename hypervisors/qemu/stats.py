"""Statistics under libvirt's names (virConnectGetAllDomainStats of libvirt 9.0).

Processor times come from /proc and need no monitor; all that needs the monitor goes into one
batch. What cannot be told is left out: a missing value is not a zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...config.errors import DeadlineExceeded, MonitorError
from ..contract import Target
from .guest import Guest
from .power import Power
from .procfs import ProcStat, read_delay_ns, read_stat
from .profile import BlockDevice
from .qmp import Command, CommandKind
from .workshop import Workshop

SYS_NET = Path("/sys/class/net")
BALLOON = Command("query-balloon")
BLOCKSTATS = Command("query-blockstats")
NODES = Command("query-named-block-nodes", {"flat": True})
GUEST_MEMORY = "qom-get"
RUNNING = 1
"""Number of VIR_VCPU_RUNNING."""
GUEST_STATS = {
    "stat-swap-in": ("balloon.swap_in", 1024),
    "stat-swap-out": ("balloon.swap_out", 1024),
    "stat-major-faults": ("balloon.major_fault", 1),
    "stat-minor-faults": ("balloon.minor_fault", 1),
    "stat-free-memory": ("balloon.unused", 1024),
    "stat-total-memory": ("balloon.available", 1024),
    "stat-available-memory": ("balloon.usable", 1024),
    "stat-disk-caches": ("balloon.disk_caches", 1024),
    "stat-htlb-pgalloc": ("balloon.hugetlb_pgalloc", 1),
    "stat-htlb-pgfail": ("balloon.hugetlb_pgfail", 1),
}
"""The guest's own report (docs/interop/virtio-balloon-stats.rst), and what to divide by (bytes to KiB)."""
UNKNOWN = 2**64 - 1
"""What the guest does not report."""
BLOCK_COUNTERS = (
    ("rd.reqs", "rd_operations"),
    ("rd.bytes", "rd_bytes"),
    ("rd.times", "rd_total_time_ns"),
    ("wr.reqs", "wr_operations"),
    ("wr.bytes", "wr_bytes"),
    ("wr.times", "wr_total_time_ns"),
    ("fl.reqs", "flush_operations"),
    ("fl.times", "flush_total_time_ns"),
)
NET_COUNTERS = (("bytes", "bytes"), ("pkts", "packets"), ("errs", "errors"), ("drop", "dropped"))


class Statistics:
    """Gathers a guest's statistics. Loop's thread."""

    def __init__(self, shop: Workshop, power: Power) -> None:
        self._shop = shop
        self._power = power

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return the groups asked for; see `Stats` of the contract.

        Raises:
            OperationInvalid: the guest does not run.
            DeadlineExceeded: its monitor did not answer in time.
            MonitorError: what it answered makes no sense.
        """
        guest = self._power.guest(target)
        assert guest.process is not None
        pid = guest.process.pid
        replies = await self._ask(target, guest, groups, deadline_s)
        stat = read_stat(pid)
        try:
            return self._read(guest, stat, groups, replies)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise MonitorError(
                f"the monitor of {target.name} gave statistics that make no sense: {error!r:.200}",
                remedy="look at its QEMU: it is none, or was taken over",
            ) from error

    def _read(
        self, guest: Guest, stat: ProcStat | None, groups: frozenset[str], replies: Mapping[str, Any]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if "cpu" in groups and stat is not None:
            found |= cpu_group(stat)
        if "balloon" in groups:
            found |= balloon_group(guest, stat, replies)
        if "vcpu" in groups:
            found |= vcpu_group(guest, guest.process.pid if guest.process else 0)
        if "block" in groups:
            found |= block_group(guest.profile.disks, replies)
        if "interface" in groups:
            found |= interface_group(guest)
        return found

    async def _ask(
        self, target: Target, guest: Guest, groups: frozenset[str], deadline_s: float
    ) -> dict[str, Any]:
        profile = guest.profile
        commands: list[Command] = []
        if "balloon" in groups and profile.balloon:
            commands.append(BALLOON)
            if profile.balloon_period_s:
                path = f"/machine/peripheral/{profile.balloon}"
                commands.append(Command(GUEST_MEMORY, {"path": path, "property": "guest-stats"}))
        if "block" in groups and profile.disks:
            commands += [BLOCKSTATS, NODES]
        if not commands:
            return {}
        work = self._power.monitor(target).execute_all(
            commands, kind=CommandKind.QUERY, tolerant=True,
            deadline_s=max(deadline_s, self._shop.env.deadlines.query_s),
        )  # fmt: skip
        try:
            async with asyncio.timeout(deadline_s):
                replies = await work
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the monitor of {target.name} did not give statistics within {deadline_s:g} s",
                remedy="wait until the domain responds again, or destroy it", command=commands[0].name,
            ) from error  # fmt: skip
        return {
            command.name: reply
            for command, reply in zip(commands, replies, strict=True)
            if not isinstance(reply, MonitorError)
        }


def cpu_group(stat: ProcStat) -> dict[str, int]:
    """Return processor times of the whole process, in nanoseconds."""
    return {"cpu.time": stat.user_ns + stat.system_ns, "cpu.user": stat.user_ns, "cpu.system": stat.system_ns}


def balloon_group(guest: Guest, stat: ProcStat | None, replies: Mapping[str, Any]) -> dict[str, int]:
    """Return memory in KiB: what the guest has, may have, and reports of itself."""
    maximum = guest.profile.memory_kib
    found = {"balloon.current": maximum, "balloon.maximum": maximum}
    if BALLOON.name in replies:
        found["balloon.current"] = replies[BALLOON.name]["actual"] // 1024
    report = replies.get(GUEST_MEMORY)
    if isinstance(report, dict) and report.get("last-update"):
        found["balloon.last-update"] = report["last-update"]
        for key, value in report.get("stats", {}).items():
            if key in GUEST_STATS and 0 <= value < UNKNOWN:
                name, divisor = GUEST_STATS[key]
                found[name] = value // divisor
    if stat is not None:
        found["balloon.rss"] = stat.rss_kib
    return found


def vcpu_group(guest: Guest, pid: int) -> dict[str, int]:
    """Return times of each virtual processor, from its thread."""
    found = {"vcpu.current": len(guest.threads) or guest.profile.vcpus, "vcpu.maximum": guest.profile.max_vcpus}
    for index, thread in guest.threads.items():
        stat = read_stat(pid, thread)
        if stat is None:
            continue
        found[f"vcpu.{index}.state"] = RUNNING
        found[f"vcpu.{index}.time"] = stat.user_ns + stat.system_ns
        delay = read_delay_ns(pid, thread)
        if delay is not None:
            found[f"vcpu.{index}.delay"] = delay
    return found


def block_group(disks: tuple[BlockDevice, ...], replies: Mapping[str, Any]) -> dict[str, Any]:
    """Return counters and sizes of each disk (qapi/block-core.json: BlockStats, BlockDeviceInfo)."""
    found: dict[str, Any] = {"block.count": len(disks)}
    entries = {_alias(entry.get("qdev", "")): entry for entry in replies.get(BLOCKSTATS.name, ())}
    nodes = {node.get("node-name"): node for node in replies.get(NODES.name, ())}
    for index, disk in enumerate(disks):
        head = f"block.{index}."
        found[head + "name"] = disk.target
        if disk.path:
            found[head + "path"] = disk.path
        entry = entries.get(disk.alias)
        if entry is None:
            continue
        counters = entry.get("stats", {})
        for name, key in BLOCK_COUNTERS:
            if key in counters:
                found[head + name] = counters[key]
        found |= {head + name: value for name, value in _sizes(entry, nodes).items()}
    return found


def _alias(qdev: str) -> str:
    """Return the device's alias from its path in QEMU's tree: /machine/peripheral/ALIAS/…"""
    parts = qdev.split("/")
    return parts[3] if len(parts) > 3 and parts[1:3] == ["machine", "peripheral"] else qdev


def _sizes(entry: Mapping[str, Any], nodes: Mapping[Any, Any]) -> dict[str, int]:
    found = {}
    image = nodes.get(entry.get("node-name"), {}).get("image", {})
    below = entry.get("parent", {})
    file = nodes.get(below.get("node-name"), {}).get("image", {})
    if "virtual-size" in image:
        found["capacity"] = image["virtual-size"]
        found["physical"] = file.get("virtual-size", image["virtual-size"])
    highest = below.get("stats", {}).get("wr_highest_offset") or entry.get("stats", {}).get("wr_highest_offset")
    if highest:
        found["allocation"] = highest
    elif "actual-size" in image:
        found["allocation"] = image["actual-size"]
    return found


def interface_group(guest: Guest) -> dict[str, Any]:
    """Return counters of the host's interfaces; user networking has none.

    What the guest receives, its tap sends, so the two directions change places.
    """
    nics = guest.profile.nics
    found: dict[str, Any] = {"net.count": len(nics)}
    for index, nic in enumerate(nics):
        if not nic.name:
            continue
        found[f"net.{index}.name"] = nic.name
        folder = SYS_NET / nic.name / "statistics"
        for shown, file in NET_COUNTERS:
            for ours, theirs in (("rx", "tx"), ("tx", "rx")):
                with suppress(OSError, ValueError):  # the interface is just going away
                    found[f"net.{index}.{ours}.{shown}"] = int((folder / f"{theirs}_{file}").read_text())
    return found
