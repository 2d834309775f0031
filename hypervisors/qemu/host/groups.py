"""Control groups of one guest, with the limits of its definition, in version 1 or 2.

A guest with limits is moved before it runs: 22 ms for the first move (cgroup.py), which guests without limits are
spared. Threads that have limits of their own get groups below the guest's (vcpu0, emulator, iothread1), as libvirt
makes them; in version 2 these are threaded groups.

Source: the kernel's admin-guide/cgroup-v1 (memory, blkio-controller, cpusets), scheduler/sched-bwc.rst, and
cgroup-v2.rst ("Threads", "No Internal Process Constraint"). Everything here blocks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import cgroup
from .shares import NO_LIMIT, Limit

CPU, MEMORY, BLKIO, CPUSET = "cpu", "memory", "blkio", "cpuset"
V2_NAMES = {CPU: "cpu", MEMORY: "memory", BLKIO: "io", CPUSET: "cpuset"}
PERIOD_US = 100_000
"""The kernel's own period where a definition names none."""
THROTTLES = ("read_bps", "write_bps", "read_iops", "write_iops")


class LimitError(Exception):
    """A limit cannot be set; `path` is that of the definition's field."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A value for a file of a group; of several names the first that is there is meant."""

    controller: str
    files: tuple[str, ...]
    text: str
    path: str


class Groups:
    """The groups of one guest below a mount; see the module."""

    def __init__(self, uuid: str, root: Path = cgroup.ROOT) -> None:
        self.version = 2 if (root / "cgroup.controllers").exists() else 1
        self._root = root
        self._uuid = uuid

    def limit(self, pid: int, limits: Iterable[Limit], threads: Mapping[str, Mapping[int, int]]) -> None:
        """Make the groups, set all limits and move the process and its threads.

        Args:
            pid: the guest's process.
            limits: what is to be set.
            threads: the host's threads by kind (vcpu, iothread, emulator) and number.

        Raises:
            LimitError: a limit cannot be set.
        """
        limits = list(limits)
        whole = [write for item in limits if item.threads is None for write in self.writes(item)]
        own = [item for item in limits if item.threads is not None]
        controllers = dict.fromkeys([*(write.controller for write in whole), *([CPU] if own else [])])
        paths = {write.controller: write.path for write in whole} | ({CPU: own[0].path} if own else {})
        groups = {name: self._make(name, paths[name]) for name in controllers}
        for write in whole:
            self._set(groups[write.controller], write)
        for name, group in groups.items():
            self._put(group / "cgroup.procs", str(pid), paths[name])
        self.limit_threads(own, threads)

    def limit_threads(self, limits: Iterable[Limit], threads: Mapping[str, Mapping[int, int]]) -> None:
        """Set limits of single threads, and move those; what concerns no threads is passed over.

        Raises:
            LimitError: as `limit`.
        """
        for item in limits:
            if item.threads is None:
                continue
            group = self._make(CPU, item.path)
            for number, thread in threads.get(item.threads.kind, {}).items():
                name = item.threads.kind if item.threads.kind == "emulator" else f"{item.threads.kind}{number}"
                below = self._make_below(group, name, item.path)
                for write in self.writes(item):
                    self._set(below, write)
                self._put(below / ("tasks" if self.version == 1 else "cgroup.threads"), str(thread), item.path)

    def writes(self, limit: Limit) -> list[Write]:
        """Return what a limit means for the files of its group."""
        made = _V2[limit.kind](limit) if self.version == 2 else _V1[limit.kind](limit)
        return [Write(controller=c, files=f, text=t, path=limit.path) for c, f, t in made]

    def _make(self, controller: str, path: str) -> Path:
        parent = self._root / (controller if self.version == 1 else cgroup.own_group().lstrip("/"))
        if not (parent / "cgroup.procs").exists():
            raise LimitError(path, f"this host has no control groups for {V2_NAMES[controller]}")
        group = parent / cgroup.NAME / self._uuid
        try:
            group.mkdir(parents=True, exist_ok=True)
            if self.version == 2:
                _enable(parent, V2_NAMES[controller])
                _enable(parent / cgroup.NAME, V2_NAMES[controller])
            elif controller == CPUSET:
                _inherit(parent / cgroup.NAME, parent)
                _inherit(group, parent / cgroup.NAME)
        except OSError as error:
            raise LimitError(path, f"the control group {group} cannot be made: {error.strerror}") from error
        return group

    def _make_below(self, group: Path, name: str, path: str) -> Path:
        below = group / name
        try:
            below.mkdir(exist_ok=True)
            if self.version == 2:
                (below / "cgroup.type").write_text("threaded")
                _enable(group, CPU)
        except OSError as error:
            raise LimitError(path, f"the control group {below} cannot be made: {error.strerror}") from error
        return below

    def _set(self, group: Path, write: Write) -> None:
        there = next((name for name in write.files if (group / name).exists()), None)
        if there is None:
            raise LimitError(write.path, f"this host's control groups have no {' or '.join(write.files)}")
        self._put(group / there, write.text, write.path)

    def _put(self, file: Path, text: str, path: str) -> None:
        try:
            file.write_text(text)
        except OSError as error:
            raise LimitError(path, f"{file} does not take {text}: {error.strerror}") from error


def _enable(group: Path, controller: str) -> None:
    """Let groups below have a controller; the node's own processes move aside where the kernel asks for that."""
    control = group / "cgroup.subtree_control"
    if controller in control.read_text().split():
        return
    try:
        control.write_text(f"+{controller}")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        aside = group / cgroup.ASIDE
        aside.mkdir(exist_ok=True)
        for pid in (group / "cgroup.procs").read_text().split():
            (aside / "cgroup.procs").write_text(pid)
        control.write_text(f"+{controller}")


def _inherit(group: Path, parent: Path) -> None:
    """Give a group of cpuset, version 1, what its parent has: without, no process may enter it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text().strip():
            (group / name).write_text((parent / name).read_text())


def number_of(device: str, path: str) -> str:
    """Return major and minor number of a block device.

    Raises:
        LimitError: it is none.
    """
    try:
        info = os.stat(device)
    except OSError as error:
        raise LimitError(f"{path}/path", f"{device}: {error.strerror}") from error
    if not stat.S_ISBLK(info.st_mode):
        raise LimitError(f"{path}/path", f"{device} is no block device")
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


Made = list[tuple[str, tuple[str, ...], str]]


def _one(controller: str, *files: str, joined: str = "") -> Callable[[Limit], Made]:
    def made(limit: Limit) -> Made:
        text = ",".join(str(value) for value in limit.values) if joined else str(limit.values[0])
        return [(controller, files, text)]

    return made


def _bandwidth_v1(limit: Limit) -> Made:
    quota, period = limit.values
    return [
        (CPU, ("cpu.cfs_period_us",), str(period or PERIOD_US)),
        (CPU, ("cpu.cfs_quota_us",), str(quota)),
    ]


def _bandwidth_v2(limit: Limit) -> Made:
    quota, period = limit.values
    return [(CPU, ("cpu.max",), f"{'max' if quota == NO_LIMIT else quota} {period or PERIOD_US}")]


def _swap_v2(limit: Limit) -> Made:
    """A definition limits memory and swap together, the kernel swap alone."""
    both, memory = limit.values
    return [(MEMORY, ("memory.swap.max",), str(max((both or 0) - (memory or 0), 0)))]


def _device_v1(limit: Limit) -> Made:
    number = number_of(limit.device, limit.path)
    made: Made = [
        (BLKIO, (f"blkio.throttle.{name}_device",), f"{number} {value}")
        for name, value in zip(THROTTLES, limit.values, strict=False)
        if value
    ]
    if limit.values[4]:
        made.append((BLKIO, ("blkio.bfq.weight_device", "blkio.weight_device"), f"{number} {limit.values[4]}"))
    return made


def _device_v2(limit: Limit) -> Made:
    number = number_of(limit.device, limit.path)
    names = ("rbps", "wbps", "riops", "wiops")
    rates = " ".join(f"{name}={value}" for name, value in zip(names, limit.values, strict=False) if value)
    made: Made = [(BLKIO, ("io.max",), f"{number} {rates}")] if rates else []
    if limit.values[4]:
        made.append((BLKIO, ("io.bfq.weight", "io.weight"), f"{number} {limit.values[4]}"))
    return made


_V1: Mapping[str, Callable[[Limit], Made]] = {
    "shares": _one(CPU, "cpu.shares"), "bandwidth": _bandwidth_v1,
    "memory": _one(MEMORY, "memory.limit_in_bytes"), "memory_soft": _one(MEMORY, "memory.soft_limit_in_bytes"),
    "memory_swap": _one(MEMORY, "memory.memsw.limit_in_bytes"),
    "weight": _one(BLKIO, "blkio.bfq.weight", "blkio.weight"), "device": _device_v1,
    "nodes": _one(CPUSET, "cpuset.mems", joined=","),
}  # fmt: skip
_V2: Mapping[str, Callable[[Limit], Made]] = {
    "shares": _one(CPU, "cpu.weight"), "bandwidth": _bandwidth_v2,
    "memory": _one(MEMORY, "memory.max"), "memory_soft": _one(MEMORY, "memory.high"),
    "memory_swap": _swap_v2,
    "weight": _one(BLKIO, "io.bfq.weight", "io.weight"), "device": _device_v2,
    "nodes": _one(CPUSET, "cpuset.mems", joined=","),
}  # fmt: skip
"""Kinds of limits, and what they are in files."""
