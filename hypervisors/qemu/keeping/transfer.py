"""Carry a guest's state between QEMU and an open file.

The file goes to QEMU over the monitor's socket (SCM_RIGHTS), so QEMU's user needs no access
to it. Progress is told by MIGRATION events, query-migrate, and the position of the descriptor
that both sides share: read from /proc, where no lock of the file is waited for.

Source: qapi/migration.json of QEMU 7.2; proc(5), fdinfo.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from ....config.errors import DeadlineExceeded, MonitorError, OperationFailed
from ..guest import Guest
from ..qmp import Command, CommandKind, Monitor
from .waiting import Follower, follow

NAME = "mechane-state"
UNLIMITED = (1 << 63) - 1
"""Bytes each second; QEMU takes it as it is (7.2, measured)."""
EVENTS = Command("migrate-set-capabilities", {"capabilities": [{"capability": "events", "state": True}]})
POLL_S = 2.0
CANCEL_S = 0.05
STALL_S = 120.0
"""Seconds without a byte moved before it is given up: a disk may take that long to flush."""
FAILED = ("failed", "cancelled")
UNSETTLED = "finish-migrate"
"""A migration that is over still holds the guest for an instant, and QEMU refuses to let it run (measured)."""


async def carry(guest: Guest, monitor: Monitor, fd: int, *, incoming: bool, change_s: float) -> None:
    """Write the guest's state to a descriptor, or read it from there; returns when QEMU has finished.

    Args:
        guest: a guest that is stopped, or was spawned with -incoming defer.
        monitor: its monitor.
        fd: the file, at the position where the stream begins.
        incoming: whether the state is read.
        change_s: seconds that a command may take.

    Raises:
        OperationFailed: QEMU failed; the error has its words.
        DeadlineExceeded: nothing moved for STALL_S.
        ConnectionLost: QEMU ended.
    """
    setup = [EVENTS]
    if not incoming:
        setup.append(Command("migrate-set-parameters", {"max-bandwidth": UNLIMITED}))
    await monitor.execute_all(setup, kind=CommandKind.CHANGE, deadline_s=change_s)
    getfd = Command("getfd", {"fdname": NAME}, fd=fd)
    await monitor.execute_all([getfd], kind=CommandKind.CHANGE, deadline_s=change_s)
    verb = "migrate-incoming" if incoming else "migrate"
    with follow(guest, Follower("MIGRATION", "status", lambda _: True)) as follower:
        await monitor.execute(verb, {"uri": f"fd:{NAME}"}, kind=CommandKind.CHANGE, deadline_s=change_s)
        await _finish(guest, monitor, follower, fd)


async def _finish(guest: Guest, monitor: Monitor, follower: Follower, fd: int) -> None:
    loop = asyncio.get_running_loop()
    moved, since = "", loop.time()
    while follower.status != "completed":
        await follower.news(POLL_S)
        if follower.status == "completed":
            return
        reply: dict[str, Any] = await monitor.execute("query-migrate", kind=CommandKind.QUERY, deadline_s=STALL_S)
        status = str(reply.get("status", "none"))
        if status == "completed":
            return
        if status in FAILED or follower.status in FAILED:
            why = reply.get("error-desc") or f"the migration {status}"
            raise OperationFailed(
                f"QEMU could not carry the state of {guest.target.name}: {why}",
                remedy="look at the file system and the guest's log", status=status,
            )  # fmt: skip
        now = _position(fd)
        if now != moved:
            moved, since = now, loop.time()
        elif loop.time() - since > STALL_S:
            raise DeadlineExceeded(
                f"the state of {guest.target.name} did not move for {STALL_S:g} s", remedy="look at the file system",
                command="migrate", still_running=False,
            )  # fmt: skip


def _position(fd: int) -> str:
    return Path(f"/proc/self/fdinfo/{fd}").read_text().partition("\n")[0]


async def cancel(monitor: Monitor, *, change_s: float) -> None:
    """Stop a migration and wait until QEMU has let go of it; nothing happens where there is none.

    Raises:
        DeadlineExceeded: it goes on for all that.
        ConnectionLost: QEMU ended.
    """
    with suppress(MonitorError):  # there is none: QEMU took it, or it never came
        await monitor.execute("closefd", {"fdname": NAME}, kind=CommandKind.CHANGE, deadline_s=change_s)
    await monitor.execute("migrate_cancel", kind=CommandKind.CHANGE, deadline_s=change_s)
    until = asyncio.get_running_loop().time() + STALL_S
    while True:
        reply = await monitor.execute("query-migrate", kind=CommandKind.QUERY, deadline_s=change_s)
        if reply.get("status", "none") in ("none", "completed", *FAILED):
            state = await monitor.execute("query-status", kind=CommandKind.QUERY, deadline_s=change_s)
            if state["status"] != UNSETTLED:
                return
        if asyncio.get_running_loop().time() > until:
            raise DeadlineExceeded("a migration cannot be cancelled", remedy="destroy the domain",
                                   command="migrate_cancel", still_running=True)  # fmt: skip
        await asyncio.sleep(CANCEL_S)
