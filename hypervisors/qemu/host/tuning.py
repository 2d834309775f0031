"""Give a guest that has just been spawned what its definition says of the host: processors, schedulers, limits.

It is done before the guest runs, so nothing of it ever runs elsewhere. Threads that QEMU makes later inherit the
places of its main thread; processors that are plugged in get their own (`place_vcpus`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....config.errors import StartFailed
from ..qmp import Command, CommandKind
from .groups import Groups, LimitError
from .shares import Shares, Threads, shares_of

if TYPE_CHECKING:
    from ....config.domain.domain import Domain
    from ..guest import Guest
    from ..qmp import Monitor
    from ..workshop import Workshop

IOTHREADS = Command("query-iothreads")
NODES = Path("/sys/devices/system/node")
POLICIES = {
    "other": os.SCHED_OTHER, "batch": os.SCHED_BATCH, "idle": os.SCHED_IDLE, "fifo": os.SCHED_FIFO, "rr": os.SCHED_RR,
}  # fmt: skip
HostThreads = Mapping[str, Mapping[int, int]]
"""The host's threads by kind (vcpu, iothread, emulator) and number."""


def wanted(domain: Domain) -> Shares:
    """Return what a definition asks of this host. Looks into /sys.

    Raises:
        ConfigUnsupported: no host here gives it.
    """
    placed = domain.vcpu.placement == "auto" or domain.numatune is not None
    return shares_of(domain, nodes=len(list(NODES.glob("node[0-9]*"))) if placed else 1)


async def tune(shop: Workshop, guest: Guest, monitor: Monitor, shares: Shares) -> None:
    """Give a guest what it shall have; its processors are stopped still. Loop's thread.

    Raises:
        StartFailed: the host does not give it; the path names the field.
    """
    if not shares:
        return
    if shares.limits and not shop.options.cgroups:
        raise StartFailed(
            f"{shares.limits[0].path} needs a control group, and the settings say that guests have none",
            remedy="set `cgroups = true` in the settings' section [qemu], or remove it", path=shares.limits[0].path,
        )  # fmt: skip
    deadline_s = shop.env.deadlines.query_s
    answer = await monitor.execute(IOTHREADS.name, kind=CommandKind.QUERY, deadline_s=deadline_s)
    assert guest.process is not None
    try:
        await shop.blocking(apply, shares, guest.target.uuid, guest.process.pid, guest.threads, numbered(answer),
                            domain=guest.target.uuid)  # fmt: skip
    except LimitError as error:
        raise StartFailed(
            f"the host does not give {guest.target.name} what it asks for: {error}",
            remedy="Change or remove it in the definition", path=error.path,
        ) from error  # fmt: skip
    guest.placed = bool(shares.limits)


def numbered(answer: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return the host's threads of QEMU's iothreads (iothread1, …) by number."""
    return {
        int(str(item["id"]).removeprefix("iothread")): int(item["thread-id"])
        for item in answer
        if str(item.get("id", "")).removeprefix("iothread").isdigit()
    }


def apply(shares: Shares, uuid: str, pid: int, vcpus: Mapping[int, int], iothreads: Mapping[int, int]) -> None:
    """Set all of it. Blocks.

    Raises:
        LimitError: the host refuses something.
    """
    taken = {*vcpus.values(), *iothreads.values()}
    others = {int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()} - taken
    threads = {"vcpu": vcpus, "iothread": iothreads, "emulator": {thread: thread for thread in others}}
    if shares.limits:
        Groups(uuid).limit(pid, shares.limits, threads)
    place(shares, threads)


def place(shares: Shares, threads: HostThreads) -> None:
    """Put threads on their processors, and give them their schedulers. Blocks for system calls only.

    Raises:
        LimitError: a processor is not there, or the scheduler is not allowed.
    """
    for pin in shares.pins:
        for thread in chosen(pin.threads, threads):
            _do(pin.path, f"none of the processors {shown(pin.cpus)} is here", os.sched_setaffinity, thread, pin.cpus)
    for item in shares.schedules:
        parameter = os.sched_param(item.priority)
        for thread in chosen(item.threads, threads):
            _do(item.path, f"{item.policy} with priority {item.priority}", os.sched_setscheduler, thread,
                POLICIES[item.policy], parameter)  # fmt: skip


def place_vcpus(shares: Shares, uuid: str, vcpus: Mapping[int, int]) -> None:
    """Give processors that have been plugged in what those have that were there. Blocks.

    Raises:
        LimitError: as `apply`.
    """
    Groups(uuid).limit_threads([limit for limit in shares.limits if limit.threads is not None], {"vcpu": vcpus})
    place(shares, {"vcpu": vcpus})


def chosen(wanted: Threads, threads: HostThreads) -> list[int]:
    """Return the host's threads that are meant; numbers that are not there mean nobody."""
    there = threads.get(wanted.kind, {})
    return [thread for number, thread in there.items() if not wanted.numbers or number in wanted.numbers]


def _do(path: str, why: str, call: Any, thread: int, *arguments: Any) -> None:
    try:
        call(thread, *arguments)
    except ProcessLookupError:
        return  # a thread of the emulator that has ended since
    except (OSError, ValueError) as error:
        raise LimitError(path, f"{why}: {error}") from error


def shown(numbers: Iterable[int]) -> str:
    """Return numbers as a list for a message."""
    return ", ".join(map(str, sorted(numbers))) or "(none)"
