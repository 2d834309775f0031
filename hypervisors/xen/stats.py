"""Statistics of a guest in libvirt's dotted names, from `xl list`, `xl vcpu-list` and `xentop`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .tables import Row, Traffic, read_xentop

NS_PER_S = 1_000_000_000
SECTOR = 512
TTL_S = 2.0
"""How long one run of xentop serves all guests: it takes more than a second."""
VCPU_STATES = {"r": 1, "b": 2}
"""virVcpuState of libvirt: running, blocked; off is 0."""


class TrafficCache:
    """One xentop at a time, shared by whoever asks meanwhile and for a moment after. Loop's thread."""

    def __init__(self, run: Callable[[], Awaitable[str]], clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        self._task: asyncio.Task[dict[str, Traffic]] | None = None
        self._until = 0.0

    async def of(self, name: str, deadline_s: float) -> Traffic | None:
        """Return what a guest has read, written, sent and received; None where xentop does not list it.

        Raises: DeadlineExceeded when xentop takes longer than its own time.
        """
        if self._task is None or (self._task.done() and (self._clock() >= self._until or _failed(self._task))):
            self._task = asyncio.get_running_loop().create_task(self._read())
        return (await asyncio.shield(self._task)).get(name)

    async def _read(self) -> dict[str, Traffic]:
        found = read_xentop(await self._run())
        self._until = self._clock() + TTL_S
        return found


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


def of_row(row: Row, groups: frozenset[str]) -> dict[str, Any]:
    """Return what the list tells: processor time in ns, memory in KiB."""
    found: dict[str, Any] = {}
    if "cpu" in groups:
        found["cpu.time"] = int(row.time_s * NS_PER_S)
    if "balloon" in groups:
        found["balloon.current"] = row.memory_mib * 1024
        found["balloon.maximum"] = row.memory_mib * 1024
    return found


def of_vcpus(vcpus: list[tuple[int, str, float]]) -> dict[str, Any]:
    """Return state and time of each processor."""
    found: dict[str, Any] = {"vcpu.current": len(vcpus), "vcpu.maximum": len(vcpus)}
    for number, flags, seconds in vcpus:
        state = next((VCPU_STATES[flag] for flag in flags if flag in VCPU_STATES), 0)
        found[f"vcpu.{number}.state"] = state
        found[f"vcpu.{number}.time"] = int(seconds * NS_PER_S)
    return found


def of_traffic(traffic: Traffic | None, groups: frozenset[str]) -> dict[str, Any]:
    """Return what disks and network cards did."""
    found: dict[str, Any] = {}
    if traffic is None:
        return found
    if "block" in groups:
        found["block.count"] = len(traffic.disks)
        for at, (device, _, reads, writes, sectors_read, sectors_written) in enumerate(traffic.disks):
            found |= {
                f"block.{at}.name": vdev_name(device), f"block.{at}.rd.reqs": reads, f"block.{at}.wr.reqs": writes,
                f"block.{at}.rd.bytes": sectors_read * SECTOR, f"block.{at}.wr.bytes": sectors_written * SECTOR,
            }  # fmt: skip
    if "interface" in groups:
        found["net.count"] = len(traffic.nets)
        for at, counted in enumerate(traffic.nets):
            names = [f"net.{at}.{way}.{what}" for way in ("rx", "tx") for what in ("bytes", "pkts", "errs", "drop")]
            found |= dict(zip(names, counted, strict=True))
    return found


def vdev_name(number: int) -> str:
    """Return the name of a virtual device number (xen-vbd-interface(7))."""
    if number >> 28 == 1:
        return "xvd" + _letters((number & 0xFFFFFFF) >> 8)
    major, minor = number >> 8, number & 0xFF
    if major == 202:
        return "xvd" + _letters(minor >> 4)
    if major == 8:
        return "sd" + _letters(minor >> 4)
    if major in (3, 22):
        return "hd" + _letters((minor >> 6) + (2 if major == 22 else 0))
    return str(number)


def _letters(index: int) -> str:
    text = ""
    index += 1
    while index > 0:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
