"""Wait for the first answer of a QEMU that was just spawned, and notice one that will never answer.

QEMU's monitor runs in a thread of its own, which takes the listening socket over from the main
thread while that begins its loop. When both come to it at the same moment, the client that
waits already can be lost: QEMU then sleeps for ever, and a new one is the only cure (seen once
in some thousand spawns, on a host with four times as many busy processes as processors).
QEMU makes that thread after it has opened its disks, and from then on it greets at once, whatever
the main thread does (vl.c, qemu_create_early_backends and qemu_create_late_backends; seen with 7.2).
One without that thread waits for its storage, however long: the deadline is the start's. One that is
busy or stopped is waited for, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from .process import QemuProcess
from .procfs import has_thread, read_stat
from .qmp import Command, CommandKind, Monitor

LOOK_S = 5.0
"""Seconds after which a silent QEMU is looked at; a start takes 0.03 s, a crowded one 2 s (measured)."""
IDLE_NS = 50_000_000
"""Processor time within LOOK_S that still counts as idle."""
MONITOR_THREAD = "IO mon_iothread"
"""Its name, which `-name debug-threads=on` of every command line gives it (monitor.c, monitor_iothread_init)."""


class NotGreetedError(Exception):
    """QEMU sleeps and has not greeted; inside this package only."""


async def first_answers(
    monitor: Monitor, process: QemuProcess, queries: Sequence[Command], *, deadline_s: float
) -> list[Any]:
    """Return the replies to the first queries.

    Raises:
        NotGreetedError: the client was lost, spawn anew.
        As Monitor.execute_all.
    """
    asked = asyncio.ensure_future(monitor.execute_all(queries, kind=CommandKind.QUERY, deadline_s=deadline_s))
    try:
        used, listened = process.cpu_time_ns(), False
        while True:
            await asyncio.wait([asked], timeout=LOOK_S)
            if asked.done():
                return asked.result()
            before, used = used, process.cpu_time_ns()
            if monitor.greeting is None and listened and used - before < IDLE_NS and _sleeps(process.pid):
                raise NotGreetedError
            listened = has_thread(process.pid, MONITOR_THREAD)
    finally:
        asked.cancel()


def _sleeps(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.state == "S"
