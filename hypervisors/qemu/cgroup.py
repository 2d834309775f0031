"""A control group for each guest, below one of the node's, in version 1 or 2.

A group accounts for and separates a guest; a start does not depend on it. A move of a process
with threads takes a lock that stops every fork and every new thread of the host until a
grace period of the kernel is over: measured 22 ms for the first move and 0.1 ms for each that
follows at once; 20 starts with a move each took 1.9 s instead of 0.85 s. So guests are moved
in batches, a moment after they run.

Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst, kernel/cgroup/cgroup.c.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import MechaneError
from ..contract import Itself
from .guest import Guest
from .procfs import read_stat
from .workshop import Workshop

ROOT = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpu", "memory")
V1_LIMITING = (*V1_CONTROLLERS, "blkio", "cpuset")
"""Those that a guest's limits may need (host/groups.py)."""
NAME = "mechane"
ASIDE = "node"
"""Where the node's own processes move, version 2, once groups beside them shall have limits (host/groups.py)."""
GATHER_S = 0.5
"""Seconds that a batch waits for further guests."""
REMOVAL_S = 1.0
"""Seconds that the kernel may need to let go of a group whose last process ended."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process to be moved; its start time tells it from a later one with the same PID."""

    uuid: str
    pid: int
    start_time: int


class Grouping:
    """Moves running guests into groups of their own, in batches. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._waiting: list[Guest] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, guest: Guest) -> None:
        """Have a guest moved with the next batch."""
        if not self._shop.options.cgroups or guest.placed:
            return
        self._waiting.append(guest)
        if self._timer is None:
            self._timer = self._shop.env.loop.call_later(GATHER_S, self._go)

    def _go(self) -> None:
        self._timer = None
        guests, self._waiting = self._waiting, []
        running = [guest for guest in guests if guest.process is not None and not guest.process.exited.is_set()]
        if running:
            batch = self._shop.env.loop.create_task(self._place(running))
            for guest in running:
                guest.grouping = batch
            self._shop.tasks.add(batch)
            batch.add_done_callback(self._shop.tasks.discard)

    async def _place(self, guests: Sequence[Guest]) -> None:
        members = [
            Member(guest.target.uuid, guest.process.pid, guest.process.start_time)
            for guest in guests
            if guest.process is not None
        ]
        try:
            problem = await self._shop.blocking(place, members, domain=Itself("the control groups"))
        except MechaneError as error:
            problem = error.message
        if problem:
            self._shop.log.info("guests run without control groups of their own: %s", problem)

    def close(self) -> None:
        """Move no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()


def place(members: Iterable[Member], root: Path = ROOT) -> str:
    """Move processes into groups of their own; returns why that failed ('' when it did not). Blocks."""
    parents = list(_parents(root))
    if not parents:
        return "no control groups are mounted"
    for member in members:
        for parent in parents:
            group = parent / NAME / member.uuid
            try:
                stat = read_stat(member.pid)
                if stat is None or stat.ended or stat.start_time != member.start_time:
                    break
                group.mkdir(parents=True, exist_ok=True)
                (group / "cgroup.procs").write_text(str(member.pid))
            except OSError as error:
                return f"{group}: {error.strerror}"
    return ""


def _parents(root: Path, controllers: Iterable[str] = V1_CONTROLLERS) -> Iterable[Path]:
    if (root / "cgroup.controllers").exists():
        own = own_group()
        yield root / own.lstrip("/") if own else root
        return
    for name in controllers:
        if (root / name / "cgroup.procs").exists():
            yield root / name


def own_group() -> str:
    """Return the node's own group, which systemd delegated to it (Delegate=yes)."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:].removesuffix(f"/{ASIDE}")
    return ""


def remove(uuid: str, root: Path = ROOT) -> list[str]:
    """Remove a guest's groups after its process ended; returns those that would not go. Blocks."""
    left = []
    give_up = time.monotonic() + REMOVAL_S
    for parent in _parents(root, V1_LIMITING):
        group = parent / NAME / uuid
        for below in _below(group):  # of threads that had limits of their own
            with suppress(OSError):
                below.rmdir()
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


def _below(group: Path) -> list[Path]:
    with suppress(OSError):  # it was never made
        return [entry for entry in group.iterdir() if entry.is_dir()]
    return []


def remove_empty(root: Path = ROOT) -> None:
    """Remove groups without processes, which a node that was killed has left. Blocks."""
    for parent in _parents(root, V1_LIMITING):
        with suppress(OSError):  # none was ever made
            for group in (parent / NAME).iterdir():
                if group.is_dir():
                    for below in _below(group):
                        with suppress(OSError):
                            below.rmdir()
                    with suppress(OSError):  # a guest lives in it
                        group.rmdir()
