"""The host's processors, memory and caches, as the kernel shows them in /sys; everything here blocks.

Formats: Documentation/ABI/stable/sysfs-devices-node, sysfs-devices-system-cpu and admin-guide/pm/sleep-states of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
BASE_PAGE_KIB = 4
CACHE_TYPES = {"Unified": "both", "Instruction": "code", "Data": "data"}
SHOWN_CACHE = 3
"""The level of caches that is shown: the one that processors share (libvirt shows the same)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostThread:
    """One logical processor."""

    id: int
    socket: int = 0
    die: int = 0
    core: int = 0
    siblings: str = ""
    """The logical processors of the same core, as a list such as 0,4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCell:
    """A NUMA node: memory in KiB, pages by size in KiB, distances by node."""

    id: int
    memory_kib: int = 0
    pages: tuple[tuple[int, int], ...] = ()
    distances: tuple[tuple[int, int], ...] = ()
    threads: tuple[HostThread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCache:
    """A cache that processors share."""

    id: int
    level: int
    type: str
    size_kib: int
    cpus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTopology:
    """All of it."""

    cells: tuple[HostCell, ...]
    caches: tuple[HostCache, ...]
    page_sizes_kib: tuple[int, ...]
    sleeps: tuple[str, ...]
    """Ways of sleeping: suspend_mem, suspend_disk, suspend_hybrid."""

    @property
    def counts(self) -> dict[str, int]:
        """Return sockets, dies, cores and threads of a cell: each of the layer above, as many as the fullest has."""
        threads = [thread for cell in self.cells for thread in cell.threads]
        sockets = {thread.socket for thread in threads}
        dies = {(thread.socket, thread.die) for thread in threads}
        cores = {(thread.socket, thread.die, thread.core) for thread in threads}
        return {
            "sockets": max(1, len(sockets)),
            "dies": max(1, len(dies) // max(1, len(sockets))),
            "cores": max(1, len(cores) // max(1, len(dies))),
            "threads": max(1, len(threads) // max(1, len(cores))),
        }


def read_topology(root: Path = SYS) -> HostTopology:
    """Return the host's topology; a host without NUMA is one cell with all processors.

    Args:
        root: the folder that /sys is mounted at.
    """
    nodes = sorted(_numbered(root / "devices/system/node", "node"))
    threads = {number: _thread(root, number) for number in _online(root)}
    cells = [_cell(root, number, path, threads) for number, path in nodes]
    if not cells:
        cells = [HostCell(id=0, threads=tuple(threads.values()))]
    return HostTopology(
        cells=tuple(cells), caches=tuple(_caches(root, threads)), sleeps=_sleeps(root),
        page_sizes_kib=(BASE_PAGE_KIB, *_huge_sizes(root / "kernel/mm/hugepages")),
    )  # fmt: skip


def _text(path: Path) -> str:
    with suppress(OSError):  # not every kernel and machine has every file
        return path.read_text().strip()
    return ""


def _number(path: Path, default: int = 0) -> int:
    text = _text(path)
    with suppress(ValueError):
        return int(text)
    return default


def _numbered(folder: Path, stem: str) -> Iterator[tuple[int, Path]]:
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(stem) and path.name.removeprefix(stem).isdigit():
                yield int(path.name.removeprefix(stem)), path


def read_list(text: str) -> list[int]:
    """Return the numbers of a list of the kernel, such as 0-3,8."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def _online(root: Path) -> list[int]:
    listed = read_list(_text(root / "devices/system/cpu/online"))
    return listed or [number for number, _ in sorted(_numbered(root / "devices/system/cpu", "cpu"))]


def _thread(root: Path, number: int) -> HostThread:
    place = root / f"devices/system/cpu/cpu{number}/topology"
    return HostThread(
        id=number, socket=max(0, _number(place / "physical_package_id")), die=max(0, _number(place / "die_id")),
        core=max(0, _number(place / "core_id")), siblings=_text(place / "thread_siblings_list") or str(number),
    )  # fmt: skip


def _cell(root: Path, number: int, path: Path, threads: dict[int, HostThread]) -> HostCell:
    memory = 0
    for line in _text(path / "meminfo").splitlines():
        words = line.split()
        if "MemTotal:" in words and words[-2].isdigit():
            memory = int(words[-2])
    huge = tuple(
        (size, _number(path / f"hugepages/hugepages-{size}kB/nr_hugepages"))
        for size in _huge_sizes(path / "hugepages")
    )
    small = (memory - sum(size * count for size, count in huge)) // BASE_PAGE_KIB
    numbers = [item for item, _ in sorted(_numbered(path.parent, "node"))]
    distances = [int(word) for word in _text(path / "distance").split() if word.isdigit()]
    mine = read_list(_text(path / "cpulist"))
    return HostCell(
        id=number, memory_kib=memory, pages=((BASE_PAGE_KIB, max(0, small)), *huge),
        distances=tuple(zip(numbers, distances, strict=False)),
        threads=tuple(threads[item] for item in mine if item in threads),
    )  # fmt: skip


def _huge_sizes(folder: Path) -> list[int]:
    with suppress(OSError):
        names = [path.name.removeprefix("hugepages-").removesuffix("kB") for path in folder.iterdir()]
        return sorted(int(name) for name in names if name.isdigit())
    return []


def _caches(root: Path, threads: dict[int, HostThread]) -> Iterator[HostCache]:
    seen: set[tuple[int, str, str]] = set()
    for number in sorted(threads):
        for index, path in sorted(_numbered(root / f"devices/system/cpu/cpu{number}/cache", "index")):
            level, kind = _number(path / "level"), CACHE_TYPES.get(_text(path / "type"), "")
            cpus, size = _text(path / "shared_cpu_list"), _text(path / "size").removesuffix("K")
            key = (level, kind, cpus)
            if level != SHOWN_CACHE or not kind or not size.isdigit() or key in seen:
                continue
            seen.add(key)
            yield HostCache(
                id=_number(path / "id", index), level=level, type=kind, size_kib=int(size), cpus=cpus
            )


def _sleeps(root: Path) -> tuple[str, ...]:
    states = _text(root / "power/state").split()
    hybrid = "suspend" in _text(root / "power/disk").replace("[", " ").replace("]", " ").split()
    found = [name for name, state in (("suspend_mem", "mem"), ("suspend_disk", "disk")) if state in states]
    if len(found) == 2 and hybrid:
        found.append("suspend_hybrid")
    return tuple(found)
