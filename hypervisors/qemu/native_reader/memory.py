"""-m, the objects that back memory, NUMA cells, and memory modules."""

from __future__ import annotations

import re

from ....config.domain.address import DimmAddress
from ....config.domain.cpu import (
    Distances,
    Interconnects,
    Latency,
    LineSize,
    Numa,
    NumaBandwidth,
    NumaCache,
    NumaCell,
    Sibling,
    SizedValue,
)
from ....config.domain.memory import Hugepages, MaxMemory, Page
from ....config.domain.memory_device import MemoryDevice, MemoryLabel
from ....config.domain.tune import MemNode, NumaMemory, Numatune
from .machine import backing, processor
from .places import pci_place
from .reading import Reading
from .values import Props

DEFAULT_MIB = 128
"""What QEMU gives a guest of a PC without -m."""
POLICIES = {"bind": "strict", "preferred": "preferred", "interleave": "interleave"}
MODULES = {"pc-dimm": "dimm", "nvdimm": "nvdimm", "virtio-pmem-pci": "virtio-pmem", "virtio-mem-pci": "virtio-mem"}
HUGE = re.compile(r"/(?:dev/)?huge", re.IGNORECASE)
CACHE_LEVELS = {"memory": None, "first-level": 1, "second-level": 2, "third-level": 3}
MOST_CELLS = 1024


def read_memory(reading: Reading) -> None:
    """Read how much memory there is, what backs it, and how it lies."""
    domain = reading.domain
    size = DEFAULT_MIB * 1024
    for option in reading.each("m"):
        props = reading.props(option, "size")
        size = (props.size("size", unit="m") or DEFAULT_MIB * 2**20) // 1024
        slots, most = props.number("slots"), props.size("maxmem", unit="m")
        if slots and most:
            domain.max_memory = MaxMemory(slots=slots, kib=most // 1024)
        elif most:
            reading.note(f"-m maxmem={most // 2**20}M: left out, memory grows by slots, and there are none")
        reading.left(props, "an amount of memory")
    if not size:
        raise Props("m", []).refuse("", "a guest needs memory")
    domain.memory.kib = size
    for option in reading.each("overcommit"):
        props = reading.props(option)
        if props.flag("mem-lock"):
            backing(reading).locked = True
        for name, value in props.pairs:
            reading.keep(("-overcommit", f"{name}={value}"), option.place)
    for option in reading.each("mem-path"):
        _take_path(reading, option.value)
    if reading.each("mem-prealloc"):
        backing(reading).allocation.mode = "immediate"
    main = reading.backend("object", reading.machine.take("memory-backend"))
    if main is not None:
        nodes = _take_backend(reading, main)
        if nodes is not None:
            numatune(reading).memory = NumaMemory(mode=nodes[1], nodeset=nodes[0])
    _read_numa(reading)


def numatune(reading: Reading) -> Numatune:
    """Return <numatune>, made where there is none."""
    reading.domain.numatune = reading.domain.numatune or Numatune()
    return reading.domain.numatune


def _take_path(reading: Reading, path: str, page: int | None = None) -> None:
    """Say that memory lies in a file: one on hugetlbfs is huge pages."""
    if HUGE.search(path):
        memory = backing(reading)
        memory.hugepages = memory.hugepages or Hugepages()
        if page and not any(item.size == page for item in memory.hugepages.pages):
            memory.hugepages.pages.append(Page(size=page))
    else:
        backing(reading).source.type = "file"
        reading.note(f"memory lies in {path}: the node chooses the file itself")


def _take_backend(reading: Reading, props: Props, *, shared: bool = True) -> tuple[str, str] | None:
    """Read an object that backs memory; return the host's nodes and the mode, where it is bound."""
    kind = props.take("qom-type")
    memory = reading.domain.memory_backing
    if kind == "memory-backend-memfd":
        memory = backing(reading)
        memory.source.type = "memfd"
        page = props.size("hugetlbsize")
        if props.flag("hugetlb"):
            memory.hugepages = memory.hugepages or Hugepages(pages=[Page(size=page // 1024)] if page else [])
    elif kind == "memory-backend-file":
        _take_path(reading, props.take("mem-path") or "")
        memory = backing(reading)
    share = props.flag("share")
    if share is not None and shared:
        backing(reading).access.mode = "shared" if share else "private"
    if props.flag("prealloc") and (memory is None or memory.hugepages is None):
        backing(reading).allocation.mode = "immediate"
    threads = props.number("prealloc-threads")
    if threads:
        backing(reading).allocation.threads = threads
    if props.flag("discard-data"):
        backing(reading).discard = True
    context = props.take("prealloc-context")
    reading.backend("object", context)
    props.drop("id", "size", "x-use-canonical-path-for-ramblock-id", "merge", "dump")
    nodes, policy = props.all("host-nodes"), props.take("policy") or ""
    reading.left(props, "the backing of memory")
    if not nodes or policy not in POLICIES:
        return None
    return ",".join(nodes), POLICIES[policy]


def _read_numa(reading: Reading) -> None:
    cells: dict[int, NumaCell] = {}
    links = Interconnects()
    for option in reading.each("numa"):
        props = reading.props(option, "type")
        kind = props.take("type")
        if kind == "node":
            _read_cell(reading, props, cells)
        elif kind == "dist":
            source, target, value = (props.number(name) or 0 for name in ("src", "dst", "val"))
            cell = cells.setdefault(source, NumaCell(id=source))
            cell.distances = cell.distances or Distances()
            cell.distances.siblings.append(Sibling(id=target, value=value))
        elif kind == "hmat-lb":
            _read_link(props, links)
        elif kind == "hmat-cache":
            _read_cache(props, cells)
        else:
            reading.keep(option.words, option.place)
            continue
        reading.left(props, "a NUMA cell")
    if not cells:
        return
    if len(cells) > MOST_CELLS or max(cells) > MOST_CELLS:
        raise Props("numa", []).refuse("nodeid", "there are too many cells")
    missing = [cell for cell in cells.values() if cell.memory is None]
    if len(missing) == len(cells):
        for cell in missing:
            cell.memory = (reading.domain.memory.kib or 0) // len(cells)
    processor(reading).numa = Numa(cells=[cells[number] for number in sorted(cells)])
    if links.latencies or links.bandwidths:
        numa = processor(reading).numa
        assert numa is not None
        numa.interconnects = links
    reading.machine.drop("hmat")


def _read_cell(reading: Reading, props: Props, cells: dict[int, NumaCell]) -> None:
    number = props.number("nodeid")
    number = len(cells) if number is None else number
    cell = cells.setdefault(number, NumaCell(id=number))
    cpus = props.all("cpus")
    if cpus:
        cell.cpus = ",".join(cpus)
    props.drop("initiator")
    memory = props.size("mem", unit="m")
    if memory:
        cell.memory = memory // 1024
    found = reading.backend("object", props.take("memdev"))
    if found is None:
        return
    cell.memory = (found.size("size") or 0) // 1024
    access = found.flag("share")
    if access is not None and found.peek("qom-type") != "memory-backend-memfd":
        cell.mem_access = "shared" if access else "private"
    if found.flag("discard-data"):
        cell.discard = True
    nodes = _take_backend(reading, found, shared=False)
    if nodes is not None:
        numatune(reading).memnodes.append(MemNode(cellid=number, nodeset=nodes[0], mode=nodes[1]))


def _read_link(props: Props, links: Interconnects) -> None:
    where = {"initiator": props.number("initiator"), "target": props.number("target"),
             "cache": CACHE_LEVELS.get(props.take("hierarchy") or "")}  # fmt: skip
    kind, _, what = (props.take("data-type") or "").rpartition("-")
    latency, bandwidth = props.number("latency"), props.size("bandwidth")
    if what == "latency":
        links.latencies.append(Latency(**where, type=kind, value=latency))
    else:
        links.bandwidths.append(NumaBandwidth(**where, type=kind, value=(bandwidth or 0) // 1024))


def _read_cache(props: Props, cells: dict[int, NumaCell]) -> None:
    number = props.number("node-id") or 0
    cell = cells.setdefault(number, NumaCell(id=number))
    associativity = props.take("associativity")
    policy = props.take("policy") or "none"
    cell.caches.append(NumaCache(
        level=props.number("level"), associativity={"complex": "full"}.get(associativity or "", associativity),
        policy=policy.replace("-", ""), size=SizedValue(value=(props.size("size") or 0) // 1024),
        line=LineSize(value=props.number("line")),
    ))  # fmt: skip


def read_module(reading: Reading, props: Props) -> None:
    """Read a memory module (-device)."""
    model = MODULES[props.take("driver") or ""]
    found = reading.backend("object", props.take("memdev"))
    item = MemoryDevice(model=model)
    if found is not None:
        item.target.size = (found.size("size") or 0) // 1024
        item.source.path = found.take("mem-path")
        access = found.flag("share")
        item.access = None if access is None else "shared" if access else "private"
        item.source.pmem = bool(found.flag("pmem"))
        align = found.size("align")
        item.source.alignsize = align // 1024 if align else None
        item.target.readonly = bool(found.flag("readonly"))
        item.discard = found.flag("discard-data")
        nodes = found.all("host-nodes")
        item.source.nodemask = ",".join(nodes) or None
        found.drop("id", "qom-type", "prealloc", "policy", "reserve", "prealloc-threads", "merge", "dump")
        reading.backend("object", found.take("prealloc-context"))
        reading.left(found, "a memory module")
    if item.source.path and HUGE.search(item.source.path):
        item.source.path = None
        item.source.pagesize = 2048
    item.target.node = props.number("node")
    if item.target.node is None and model != "virtio-pmem":
        item.target.node = 0  # what QEMU does where none is given
    label, block, requested = props.size("label-size"), props.size("block-size"), props.size("requested-size")
    item.target.label = MemoryLabel(size=label // 1024) if label else None
    item.target.block = block // 1024 if block else None
    item.target.requested = requested // 1024 if requested is not None else None
    item.uuid = props.take("uuid")
    props.drop("unarmed")
    reading.named(item, props)
    if model in ("dimm", "nvdimm"):
        slot, base = props.number("slot"), props.number("addr")
        if slot is not None or base is not None:
            item.address = DimmAddress(type="dimm", slot=slot, base=base)
    else:
        pci_place(reading, item, props)
    reading.override(item, props)
    reading.domain.devices.memories.append(item)


def count_modules(reading: Reading) -> None:
    """Add the modules to <memory>, which counts them where there are no cells."""
    cpu, domain = reading.domain.cpu, reading.domain
    if cpu is None or cpu.numa is None:
        domain.memory.kib = (domain.memory.kib or 0) + sum(
            item.target.size or 0 for item in domain.devices.memories
        )
    else:
        domain.memory.kib = sum(cell.memory or 0 for cell in cpu.numa.cells)
        domain.memory.kib += sum(item.target.size or 0 for item in domain.devices.memories)
