"""What a definition says of the host's processors, memory and disks: where threads run, and how much there is of it.

Pure: a definition in, what is to be done with its process out. Sources: libvirt's formatdomain ("CPU Tuning",
"Memory Tuning", "NUMA Node Tuning", "Block I/O Tuning"); the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....config.errors import ConfigUnsupported
from ....config.xml.convert import bitmap_to_set

if TYPE_CHECKING:
    from ....config.domain.domain import Domain
    from ....config.domain.tune import Blkiotune, Cputune, Scheduler

CPUTUNE = "/domain/cputune"
NO_LIMIT = -1
PARTITION = "/machine"
"""libvirt's default, which its own definitions carry: guests of this node lie in groups of the node instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """Some of a guest's threads: `kind` vcpu or iothread with their numbers, or emulator for all others."""

    kind: str
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The host's processors that threads may use."""

    threads: Threads
    cpus: frozenset[int]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The host's scheduler of threads."""

    threads: Threads
    policy: str
    priority: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One value of a control group.

    `kind` is shares, bandwidth (quota and period in µs), memory, memory_soft, memory_swap (bytes, and those of memory
    alone), weight, nodes or device (`device` is its path; rates in `values`).
    """

    kind: str
    values: tuple[int | None, ...] = ()
    threads: Threads | None = None
    """Whose threads have it; None: the whole guest."""
    device: str = ""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """All of it; only `limits` need control groups."""

    pins: tuple[Pin, ...]
    schedules: tuple[Schedule, ...]
    limits: tuple[Limit, ...]

    def __bool__(self) -> bool:
        return bool(self.pins or self.schedules or self.limits)


NO_SHARES = Shares(pins=(), schedules=(), limits=())


def shares_of(domain: Domain, *, nodes: int) -> Shares:
    """Return what a definition asks for.

    Args:
        domain: the definition, completed.
        nodes: how many nodes of memory the host has: where there is one, every placement is the same.

    Raises:
        ConfigUnsupported: it asks for what no host here gives; the path names the field.
    """
    _refuse(domain, nodes)
    tune = domain.cputune
    pins = tuple(_pins(domain))
    schedules = tuple(_schedules(tune)) if tune is not None else ()
    return Shares(pins=pins, schedules=schedules, limits=tuple(_limits(domain)))


def _refuse(domain: Domain, nodes: int) -> None:
    tune, resource = domain.cputune, domain.resource
    if tune is not None and tune.cachetunes:
        raise _no(f"{CPUTUNE}/cachetune", "parts of the host's cache cannot be given to guests yet")
    if tune is not None and tune.memorytunes:
        raise _no(f"{CPUTUNE}/memorytune", "memory bandwidth cannot be given to guests yet")
    if domain.memtune is not None and domain.memtune.min_guarantee:
        raise _no("/domain/memtune/min_guarantee", "Linux guarantees the memory of no process")
    if resource is not None and resource.partition not in (None, PARTITION):
        raise _no("/domain/resource/partition", "groups of guests lie below the node's own; only /machine is taken")
    if resource is not None and resource.fibrechannel is not None:
        raise _no("/domain/resource/fibrechannel", "traffic cannot be marked for a fabric yet")
    memory = domain.numatune.memory if domain.numatune is not None else None
    auto = domain.vcpu.placement == "auto" or (memory is not None and memory.placement == "auto")
    if auto and nodes > 1:
        raise _no("/domain/vcpu/@placement", "nodes are not chosen automatically: name them (cpuset, nodeset)")


def _no(path: str, why: str) -> ConfigUnsupported:
    return ConfigUnsupported(f"{path}: {why}", remedy="Change or remove it in the definition", path=path)


def _pins(domain: Domain) -> Iterator[Pin]:
    """Yield pins; what is said of single threads stands behind what is said of all, and wins."""
    vcpu, tune = domain.vcpu, domain.cputune
    if vcpu.cpuset and vcpu.placement != "auto":
        cpus = bitmap_to_set(vcpu.cpuset)
        for kind in ("emulator", "vcpu", "iothread"):
            yield Pin(threads=Threads(kind=kind), cpus=cpus, path="/domain/vcpu/@cpuset")
    if tune is None:
        return
    if tune.emulatorpin is not None and tune.emulatorpin.cpuset:
        cpus = bitmap_to_set(tune.emulatorpin.cpuset)
        yield Pin(threads=Threads(kind="emulator"), cpus=cpus, path=f"{CPUTUNE}/emulatorpin/@cpuset")
    for number, pin in enumerate(tune.vcpupins, 1):
        threads = Threads(kind="vcpu", numbers=frozenset([pin.vcpu or 0]))
        yield Pin(threads=threads, cpus=bitmap_to_set(pin.cpuset or ""), path=f"{CPUTUNE}/vcpupin[{number}]/@cpuset")
    for number, own in enumerate(tune.iothreadpins, 1):
        threads = Threads(kind="iothread", numbers=frozenset([own.iothread or 0]))
        path = f"{CPUTUNE}/iothreadpin[{number}]/@cpuset"
        yield Pin(threads=threads, cpus=bitmap_to_set(own.cpuset or ""), path=path)


def _schedules(tune: Cputune) -> Iterator[Schedule]:
    for number, item in enumerate(tune.vcpuscheds, 1):
        yield _schedule("vcpu", item.vcpus, item, f"{CPUTUNE}/vcpusched[{number}]")
    for number, item in enumerate(tune.iothreadscheds, 1):
        yield _schedule("iothread", item.iothreads, item, f"{CPUTUNE}/iothreadsched[{number}]")
    if tune.emulatorsched is not None:
        yield _schedule("emulator", None, tune.emulatorsched, f"{CPUTUNE}/emulatorsched")


def _schedule(kind: str, numbers: str | None, item: Scheduler, path: str) -> Schedule:
    threads = Threads(kind=kind, numbers=bitmap_to_set(numbers) if numbers else frozenset())
    return Schedule(threads=threads, policy=item.scheduler or "other", priority=item.priority or 0, path=path)


def _limits(domain: Domain) -> Iterator[Limit]:
    tune, memory, blkio = domain.cputune, domain.memtune, domain.blkiotune
    if tune is not None:
        yield from _of_processors(tune)
    if memory is not None:
        for kind, name in (("memory", "hard_limit"), ("memory_soft", "soft_limit"), ("memory_swap", "swap_hard_limit")):
            kib = getattr(memory, name)
            if kib:
                hard = (memory.hard_limit or 0) * 1024
                yield Limit(kind=kind, values=(kib * 1024, hard), path=f"/domain/memtune/{name}")
    if blkio is not None:
        yield from _of_disks(blkio)
    nodes = domain.numatune.memory if domain.numatune is not None else None
    if nodes is not None and nodes.mode == "restrictive" and nodes.nodeset:
        yield Limit(kind="nodes", values=tuple(sorted(bitmap_to_set(nodes.nodeset))),
                    path="/domain/numatune/memory/@nodeset")  # fmt: skip


def _of_processors(tune: Cputune) -> Iterator[Limit]:
    if tune.shares:
        yield Limit(kind="shares", values=(tune.shares,), path=f"{CPUTUNE}/shares")
    whose = (("global_", None), ("", "vcpu"), ("emulator_", "emulator"), ("iothread_", "iothread"))
    for prefix, kind in whose:
        quota, period = getattr(tune, f"{prefix}quota"), getattr(tune, f"{prefix}period")
        if quota or period:
            yield Limit(
                kind="bandwidth", values=(quota or NO_LIMIT, period), threads=Threads(kind=kind) if kind else None,
                path=f"{CPUTUNE}/{prefix}{'quota' if quota else 'period'}",
            )  # fmt: skip


def _of_disks(blkio: Blkiotune) -> Iterator[Limit]:
    if blkio.weight:
        yield Limit(kind="weight", values=(blkio.weight,), path="/domain/blkiotune/weight")
    for number, item in enumerate(blkio.devices, 1):
        rates = (item.read_bytes_sec, item.write_bytes_sec, item.read_iops_sec, item.write_iops_sec, item.weight)
        if any(rates):
            yield Limit(kind="device", values=rates, device=item.path or "",
                        path=f"/domain/blkiotune/device[{number}]")  # fmt: skip
