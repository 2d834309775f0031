"""How much of the host the guest may use."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import BITMAP, KIB, UINT, UINT32, Scaled, bitmap_to_set, integer, words
from ..xml.extra import Problem
from ..xml.fields import attr, text
from .filling import Filling
from .words import MEMORY_MODE

PERIOD = integer(1000, 1_000_000)  # microseconds; libvirt's documented range of cpu periods
QUOTA = integer(-1, 18446744073709551)  # microseconds; -1 no limit; libvirt's documented range
UNLIMITED_KIB = 9007199254740991  # VIR_DOMAIN_MEMORY_PARAM_UNLIMITED
CACHE_SIZE = Scaled("B", "B")


class BlkioDevice(Element, change="live"):
    """Limits for one device of the host."""

    path: str | None = text("path")
    weight: int | None = text("weight", UINT32)
    read_iops_sec: int | None = text("read_iops_sec", UINT32)
    write_iops_sec: int | None = text("write_iops_sec", UINT32)
    read_bytes_sec: int | None = text("read_bytes_sec", UINT)
    write_bytes_sec: int | None = text("write_bytes_sec", UINT)


class Blkiotune(Element, change="live"):
    """The guest's share of the host's disks."""

    weight: int | None = text("weight", UINT32)
    devices: list[BlkioDevice] = children("device", BlkioDevice)

    def problems(self) -> Iterator[Problem]:
        """Each device of the host is limited once."""
        seen: set[str | None] = set()
        for device in self.devices:
            if device.path in seen:
                yield Problem("device/path", device.path, "there twice")
            seen.add(device.path)


class Memtune(Element, change="live"):
    """Limits of the memory of the guest's process, in KiB."""

    hard_limit: int | None = text("hard_limit", KIB)
    soft_limit: int | None = text("soft_limit", KIB)
    min_guarantee: int | None = text("min_guarantee", KIB)
    swap_hard_limit: int | None = text("swap_hard_limit", KIB)

    def fill(self, filling: Filling) -> None:
        """The largest size means that there is no limit, as does saying nothing."""
        for name in ("hard_limit", "soft_limit", "swap_hard_limit"):
            if (self.__dict__.get(name) or 0) >= UNLIMITED_KIB:
                self.__dict__[name] = None


class VcpuPin(Element, change="live"):
    """The host's processors that one of the guest's may use."""

    vcpu: int | None = attr("vcpu", UINT32)
    cpuset: str | None = attr("cpuset", BITMAP)


class EmulatorPin(Element, change="live"):
    """The host's processors that the emulator's other threads may use."""

    cpuset: str | None = attr("cpuset", BITMAP)


class IoThreadPin(Element, change="live"):
    """The host's processors that a thread of disk work may use."""

    iothread: int | None = attr("iothread", UINT32)
    cpuset: str | None = attr("cpuset", BITMAP)


class Scheduler(Element):
    """The host's scheduler for some of the guest's threads."""

    vcpus: str | None = attr("vcpus", BITMAP)
    iothreads: str | None = attr("iothreads", BITMAP)
    scheduler: str | None = attr("scheduler", words("batch", "idle", "fifo", "rr"))
    priority: int | None = attr("priority", integer(0, 99))


class CacheShare(Element):
    """A part of the host's cache."""

    id: int | None = attr("id", UINT32)
    level: int | None = attr("level", UINT32)
    type: str | None = attr("type", words("both", "code", "data"))
    size: int | None = attr("size", CACHE_SIZE)


class ResourceMonitor(Element):
    """Processors whose use is measured."""

    level: int | None = attr("level", UINT32)
    vcpus: str | None = attr("vcpus", BITMAP)


class CacheTune(Element):
    """Parts of the host's cache for some processors."""

    vcpus: str | None = attr("vcpus", BITMAP)
    id: str | None = attr("id", live_only=True)
    caches: list[CacheShare] = children("cache", CacheShare)
    monitors: list[ResourceMonitor] = children("monitor", ResourceMonitor)


class MemoryShare(Element):
    """A percentage of a node's memory bandwidth."""

    id: int | None = attr("id", UINT32)
    bandwidth: int | None = attr("bandwidth", UINT32)


class MemoryTune(Element):
    """Memory bandwidth for some processors."""

    vcpus: str | None = attr("vcpus", BITMAP)
    id: str | None = attr("id", live_only=True)
    nodes: list[MemoryShare] = children("node", MemoryShare)
    monitors: list[ResourceMonitor] = children("monitor", ResourceMonitor)


class Cputune(Element, change="live"):
    """The guest's share of the host's processors; periods and quotas in microseconds."""

    shares: int | None = text("shares", UINT32)
    period: int | None = text("period", PERIOD)
    quota: int | None = text("quota", QUOTA)
    global_period: int | None = text("global_period", PERIOD)
    global_quota: int | None = text("global_quota", QUOTA)
    emulator_period: int | None = text("emulator_period", PERIOD)
    emulator_quota: int | None = text("emulator_quota", QUOTA)
    iothread_period: int | None = text("iothread_period", PERIOD)
    iothread_quota: int | None = text("iothread_quota", QUOTA)
    vcpupins: list[VcpuPin] = children("vcpupin", VcpuPin)
    emulatorpin: EmulatorPin | None = optional("emulatorpin", EmulatorPin)
    iothreadpins: list[IoThreadPin] = children("iothreadpin", IoThreadPin)
    vcpuscheds: list[Scheduler] = children("vcpusched", Scheduler)
    iothreadscheds: list[Scheduler] = children("iothreadsched", Scheduler)
    emulatorsched: Scheduler | None = optional("emulatorsched", Scheduler)
    cachetunes: list[CacheTune] = children("cachetune", CacheTune)
    memorytunes: list[MemoryTune] = children("memorytune", MemoryTune)

    def problems(self) -> Iterator[Problem]:
        """Each processor is pinned once."""
        seen: set[int | None] = set()
        for pin in self.vcpupins:
            if pin.vcpu is None or pin.cpuset is None or pin.vcpu in seen:
                yield Problem("vcpupin/@vcpu", pin.vcpu, "incomplete, or there twice")
            seen.add(pin.vcpu)
        threads = [pin.iothread for pin in self.iothreadpins]
        for thread in threads:
            if threads.count(thread) > 1:
                yield Problem("iothreadpin/@iothread", thread, "there twice")
        yield from _overlaps("vcpusched/@vcpus", [item.vcpus for item in self.vcpuscheds])
        yield from _overlaps("iothreadsched/@iothreads", [item.iothreads for item in self.iothreadscheds])


def _overlaps(path: str, sets: list[str | None]) -> Iterator[Problem]:
    """Each thread has one scheduler."""
    taken: set[int] = set()
    for given in sets:
        numbers = bitmap_to_set(given) if given else frozenset()
        if numbers & taken:
            yield Problem(path, given, "a thread is there twice")
        taken |= numbers


class NumaMemory(Element):
    """The host's nodes that all memory comes from."""

    mode: str | None = attr("mode", MEMORY_MODE)
    nodeset: str | None = attr("nodeset", BITMAP)
    placement: str | None = attr("placement", words("static", "auto"))


class MemNode(Element):
    """The host's nodes that the memory of one cell comes from."""

    cellid: int | None = attr("cellid", UINT32)
    mode: str | None = attr("mode", MEMORY_MODE)
    nodeset: str | None = attr("nodeset", BITMAP)


class Numatune(Element, change="live"):
    """Which of the host's nodes give memory."""

    memory: NumaMemory | None = optional("memory", NumaMemory)
    memnodes: list[MemNode] = children("memnode", MemNode)


class FibreChannel(Element):
    """The name by which a fabric knows the guest's traffic."""

    appid: str | None = attr("appid")


class Resource(Element):
    """The control group that the guest's group is made in."""

    partition: str | None = text("partition")
    fibrechannel: FibreChannel | None = optional("fibrechannel", FibreChannel)
