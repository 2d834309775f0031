"""Memory: -m, the objects that back it, NUMA cells and memory modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.cpu import Latency, NumaBandwidth, NumaCell
from ....config.xml.binding import Element
from ....config.xml.convert import bitmap_to_set
from .options import as_keys, whole

if TYPE_CHECKING:
    from .context import Build

DEFAULT_PAGE_KIB = 2048
ORDINARY_PAGE_KIB = 4
"""The size of the pages that x86 has without asking."""
RAM_ID = "pc.ram"
"""QEMU's name of the main memory of both x86 machines."""
POLICIES = {"strict": "bind", "preferred": "preferred", "interleave": "interleave", "restrictive": None}


def whole_mib(kib: int) -> int:
    """Return MiB, rounded up: QEMU's sizes are whole MiB."""
    return -(-kib // 1024)


def host_nodes(nodeset: str) -> list[int]:
    """Return the numbers in a node set."""
    return sorted(bitmap_to_set(nodeset))


class MemoryBuilder:
    """Builds the memory of one guest."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.domain = build.domain
        self.backing = build.domain.memory_backing
        cpu = build.domain.cpu
        self.numa = cpu.numa if cpu is not None else None

    def add(self) -> None:
        """Add -m, and the main memory where it is one piece."""
        self._check_nodes()
        cells = self.numa.cells if self.numa is not None else []
        total = sum(whole_mib(cell.memory or 0) for cell in cells) or whole_mib(self._base_kib())
        limit = self.domain.max_memory
        if limit is not None and limit.slots:
            if self.numa is None or not self.numa.cells:
                raise self.build.refuse(limit, "", "memory that grows needs at least one NUMA cell",
                                        remedy="Add <numa> with one cell to <cpu>")
            size = {"size": f"{total * 1024}k", "slots": limit.slots, "maxmem": f"{limit.kib or 0}k"}
            self.build.option("-m", as_keys("", size))
        else:
            self.build.option("-m", whole(total))
        if self.numa is None or not self.numa.cells:
            self._add_main(total)

    def _check_nodes(self) -> None:
        tune = self.domain.numatune
        if tune is None:
            return
        memory = tune.memory
        if memory is not None and memory.placement == "static" and not memory.nodeset:
            raise self.build.refuse(memory, "@nodeset", "static placement needs a set of nodes")
        if memory is not None and memory.placement == "auto" and tune.memnodes:
            raise self.build.refuse(tune.memnodes[0], "", "nodes of single cells need static placement")
        for item in (memory, *tune.memnodes):
            if item is not None and item.nodeset is not None and not bitmap_to_set(item.nodeset):
                raise self.build.refuse(item, "@nodeset", "names no node")

    def _base_kib(self) -> int:
        modules = sum(item.target.size or 0 for item in self.domain.devices.memories)
        return (self.domain.memory.kib or 0) - modules

    def _add_main(self, mib: int) -> None:
        tune = self.domain.numatune
        nodes = tune.memory if tune is not None else None
        nodeset, mode = None, None
        if nodes is not None and nodes.placement != "auto" and nodes.nodeset:
            nodeset, mode = nodes.nodeset, nodes.mode
        kind, properties = self.backend(RAM_ID, mib, nodeset=nodeset, mode=mode, part=self.domain.memory)
        if kind == "memory-backend-file":
            properties["x-use-canonical-path-for-ramblock-id"] = False
        self._add_object(kind, RAM_ID, properties)
        self.build.machine["memory-backend"] = RAM_ID

    def _add_object(self, kind: str, name: str, properties: dict[str, Any]) -> None:
        context = properties.pop("_context", None)
        if context:
            self.build.object("thread-context", f"tc-{name}", self.domain.memory, **{"node-affinity": context})
            properties["prealloc-context"] = f"tc-{name}"
        self.build.object(kind, name, self.domain.memory, **properties)

    def backend(
        self, name: str, mib: int, *, part: Element, nodeset: str | None = None, mode: str | None = None,
        page_kib: int | None = None, access: str | None = None, cell: int | None = None, discard: bool | None = None,
        path: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Return kind and properties of a memory object, from <memoryBacking> and what is given."""
        backing = self.backing
        kind = "memory-backend-ram"
        properties: dict[str, Any] = {}
        shared = access or (backing.access.mode if backing is not None else None)
        page = page_kib or self._page_for(cell)
        if page is not None and page <= ORDINARY_PAGE_KIB:
            page = None
        prealloc = backing is not None and backing.allocation.mode == "immediate"
        source = backing.source.type if backing is not None else None
        if path is not None:
            kind, properties["mem-path"] = "memory-backend-file", path
        elif page:
            prealloc = True
            if source == "memfd":
                kind = "memory-backend-memfd"
                properties |= {"hugetlb": True, "hugetlbsize": page * 1024}
            else:
                kind, properties["mem-path"] = "memory-backend-file", self._huge_path(page, part)
        elif source == "file":
            kind, properties["mem-path"] = "memory-backend-file", f"{self.build.resources.guest_dir}/ram/{name}"
            self.build.use_file(properties["mem-path"], read_only=False, kind="memory")
        elif source == "memfd":
            kind = "memory-backend-memfd"
        if discard if discard is not None else (backing is not None and backing.discard):
            properties["discard-data"] = True if kind == "memory-backend-file" else None
        if shared is not None:
            properties["share"] = shared == "shared"
        elif source == "memfd":
            properties["share"] = True
        if prealloc:
            properties["prealloc"] = True
            threads = backing.allocation.threads if backing is not None else None
            properties["prealloc-threads"] = threads
        properties["size"] = mib * 1024 * 1024
        if nodeset is not None and POLICIES.get(mode or "strict") is not None:
            properties["host-nodes"] = host_nodes(nodeset)
            properties["policy"] = POLICIES[mode or "strict"]
            if prealloc and self.build.emulator.has_type("thread-context"):
                properties["_context"] = host_nodes(nodeset)
        return kind, properties

    def _page_for(self, cell: int | None) -> int | None:
        """Return the size of huge pages (KiB) for a cell, None for ordinary memory."""
        huge = self.backing.hugepages if self.backing is not None else None
        if huge is None:
            return None
        for page in huge.pages:
            if page.nodeset is not None and cell is not None and cell in bitmap_to_set(page.nodeset):
                return page.size
        for page in huge.pages:
            if page.nodeset is None or (cell is None and 0 in bitmap_to_set(page.nodeset)):
                return page.size
        return None if huge.pages else DEFAULT_PAGE_KIB

    def _huge_path(self, page_kib: int, part: Element) -> str | None:
        if self.build.resources.check_only:
            return self.build.resources.guest_dir
        return self.build.resources.huge_page_dirs.get(page_kib) or self._no_pages(page_kib, part)

    def _no_pages(self, page_kib: int, part: Element) -> str:
        raise self.build.refuse(part, "", f"the host has no hugetlbfs mounted for pages of {page_kib} KiB",
                                remedy="Mount hugetlbfs with that page size, or take <hugepages> away")

    # NUMA

    def add_cells(self) -> None:
        """Add the guest's NUMA cells, their distances and speeds."""
        if self.numa is None or not self.numa.cells:
            return
        cells = sorted(enumerate(self.numa.cells), key=lambda pair: self._id(pair))
        hmat = bool(self.numa.interconnects) or any(cell.caches for _, cell in cells)
        if hmat:
            self.build.machine["hmat"] = True
        for pair in cells:
            self._add_cell(pair, hmat)
        for pair in cells:
            distances = pair[1].distances
            for sibling in distances.siblings if distances is not None else ():
                self.build.option("-numa", as_keys("dist", {
                    "src": self._id(pair), "dst": sibling.id, "val": sibling.value}))
        self._add_speeds()

    @staticmethod
    def _id(pair: tuple[int, NumaCell]) -> int:
        return pair[1].id if pair[1].id is not None else pair[0]

    def _add_cell(self, pair: tuple[int, NumaCell], hmat: bool) -> None:
        number, cell = self._id(pair), pair[1]
        words: list[tuple[str, Any]] = [("nodeid", number)]
        if cell.cpus:
            words += [("cpus", part) for part in ranges(bitmap_to_set(cell.cpus))]
        if hmat:
            words.append(("initiator", self._initiator(number)))
        if cell.memory:
            nodeset, mode = self._nodes_of(number)
            name = f"ram-node{number}"
            kind, properties = self.backend(
                name, whole_mib(cell.memory), part=cell, nodeset=nodeset, mode=mode, cell=number,
                access=cell.mem_access, discard=cell.discard,
            )
            self._add_object(kind, name, properties)
            words.append(("memdev", name))
        self.build.option("-numa", as_keys("node", words))

    def _initiator(self, number: int) -> int:
        """Return the cell with processors that reaches this one fastest (ACPI 6.3, 5.2.27)."""
        assert self.numa is not None
        with_cpus = [self._id(pair) for pair in enumerate(self.numa.cells) if pair[1].cpus]
        if number in with_cpus:
            return number
        latencies = self.numa.interconnects.latencies if self.numa.interconnects is not None else []
        known = [item for item in latencies if item.target == number and item.initiator in with_cpus]
        if known:
            best = min(known, key=lambda item: item.value or 0)
            return best.initiator or 0
        return with_cpus[0] if with_cpus else 0

    def _nodes_of(self, cell: int) -> tuple[str | None, str | None]:
        tune = self.domain.numatune
        if tune is None:
            return None, None
        for item in tune.memnodes:
            if item.cellid == cell:
                return item.nodeset, item.mode
        memory = tune.memory
        if memory is not None and memory.nodeset and memory.placement != "auto":
            return memory.nodeset, memory.mode
        return None, None

    def _check_links(self, links: list[Latency | NumaBandwidth]) -> None:
        """Refuse a link that is described twice, or between cells that are not there."""
        assert self.numa is not None
        cells = {self._id(pair) for pair in enumerate(self.numa.cells)}
        seen = set()
        for item in links:
            key = (type(item), item.initiator, item.target, item.cache, item.type)
            if key in seen:
                raise self.build.refuse(item, "", "this link is described twice")
            seen.add(key)
            if item.initiator not in cells or item.target not in cells:
                raise self.build.refuse(item, "", "there is no such cell")

    def _add_speeds(self) -> None:
        assert self.numa is not None
        hierarchy = {None: "memory", 0: "memory", 1: "first-level", 2: "second-level", 3: "third-level"}
        links = self.numa.interconnects
        if links is not None:
            self._check_links([*links.latencies, *links.bandwidths])
            for item in links.latencies:
                self.build.option("-numa", as_keys("hmat-lb", {
                    "initiator": item.initiator, "target": item.target, "hierarchy": hierarchy[item.cache],
                    "data-type": f"{item.type}-latency", "latency": item.value}))
            for rate in links.bandwidths:
                self.build.option("-numa", as_keys("hmat-lb", {
                    "initiator": rate.initiator, "target": rate.target, "hierarchy": hierarchy[rate.cache],
                    "data-type": f"{rate.type}-bandwidth", "bandwidth": f"{rate.value}K"}))
        for pair in enumerate(self.numa.cells):
            for cache in pair[1].caches:
                if not 1 <= (cache.level or 0) <= 3:
                    raise self.build.refuse(cache, "@level", "caches have levels 1 to 3")
                self.build.option("-numa", as_keys("hmat-cache", {
                    "node-id": self._id(pair),
                    "size": f"{cache.size.value if cache.size else 0}K",
                    "level": cache.level,
                    "associativity": {"full": "complex"}.get(cache.associativity or "", cache.associativity),
                    "policy": {"writeback": "write-back", "writethrough": "write-through"}.get(
                        cache.policy or "", cache.policy),
                    "line": cache.line.value if cache.line else 0}))


def ranges(numbers: frozenset[int]) -> list[str]:
    """Return numbers as ranges: {0, 1, 2, 5} becomes 0-2 and 5."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]
