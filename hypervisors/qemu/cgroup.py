"""A control group for each guest, below one of the node's, in version 1 or 2.

A group accounts for and separates a guest; a start does not depend on it. Moving a process
may take 20 ms (measured; the kernel waits for a grace period), so everything here blocks
and belongs on the pool.

Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "freezer")
NAME = "mechane"
REMOVAL_S = 1.0
"""Seconds that the kernel may need to let go of a group whose last process ended."""


def place(uuid: str, pid: int, root: Path = ROOT) -> str:
    """Move a process into groups of its own; returns why that failed ('' when it did not)."""
    problem = "no control groups are mounted"
    for parent in _parents(root):
        group = parent / NAME / uuid
        try:
            group.mkdir(parents=True, exist_ok=True)
            (group / "cgroup.procs").write_text(str(pid))
            problem = ""
        except OSError as error:
            return f"{group}: {error.strerror}"
    return problem


def _parents(root: Path) -> Iterable[Path]:
    if (root / "cgroup.controllers").exists():
        own = _own_group()
        yield root / own.lstrip("/") if own else root
        return
    for name in V1_CONTROLLERS:
        if (root / name / "cgroup.procs").exists():
            yield root / name


def _own_group() -> str:
    """Return the node's own group, which systemd delegated to it (Delegate=yes)."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:]
    return ""


def remove(uuid: str, root: Path = ROOT) -> list[str]:
    """Remove a guest's groups after its process ended; returns those that would not go."""
    left = []
    give_up = time.monotonic() + REMOVAL_S
    for parent in _parents(root):
        group = parent / NAME / uuid
        while True:
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() < give_up:
                    time.sleep(0.005)
                    continue
                left.append(str(group))
            break
    return left
