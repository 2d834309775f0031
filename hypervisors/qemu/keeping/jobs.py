"""Run a job at the monitor and wait for its end. Loop's thread.

QEMU 7.2 does the work of snapshot jobs in its main loop, so its monitor does not answer
meanwhile: the job's events are waited for, and a question in between has the job's own
deadline, or a guest with much memory would count as stuck.

Source: qapi/job.json and qapi/migration.json of QEMU 7.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ....config.errors import DeadlineExceeded, MonitorError, OperationFailed
from ..guest import Guest
from ..qmp import CommandKind, Monitor
from .waiting import Follower, follow

JOB_S = 3600.0
"""Seconds for writing or reading a guest's memory within an image."""
LOOK_S = 10.0
ENDED = ("concluded", "null")


async def run_job(
    guest: Guest, monitor: Monitor, command: str, arguments: Mapping[str, Any], *, job: str, change_s: float,
    keep: bool = False,
) -> None:  # fmt: skip
    """Run a job to its end and take it away, unless it is to stay (`keep`) until `dismiss`.

    Raises:
        OperationFailed: it failed; the error has QEMU's words.
        DeadlineExceeded: it is not done after JOB_S.
        ConnectionLost: QEMU ended.
    """
    await conclude(guest, monitor, job, change_s=change_s)  # of an earlier node: its name would be taken
    with follow(guest, Follower("JOB_STATUS_CHANGE", "status", lambda data: data.get("id") == job)) as follower:
        sent = {"job-id": job, **arguments}
        await monitor.execute(command, sent, kind=CommandKind.CHANGE, deadline_s=JOB_S)
        await _follow(guest, monitor, follower, command, job)
    found = await _ask(monitor, job)
    if not keep:
        await dismiss(monitor, job, change_s=change_s)
    if error := found.get("error"):
        raise OperationFailed(f"{command} of {guest.target.name} failed: {error}",
                              remedy="look at its disks and devices", command=command, error=str(error))  # fmt: skip


async def _follow(guest: Guest, monitor: Monitor, follower: Follower, command: str, job: str) -> None:
    until = asyncio.get_running_loop().time() + JOB_S
    while follower.status not in ENDED:
        await follower.news(LOOK_S)
        found = await _ask(monitor, job) if follower.status not in ENDED else {}
        if found.get("status") in ENDED:
            return
        if asyncio.get_running_loop().time() > until:
            raise DeadlineExceeded(f"{command} of {guest.target.name} is not done after {JOB_S:g} s",
                                   remedy="look at its disks", command=command, still_running=True)  # fmt: skip


async def conclude(
    guest: Guest, monitor: Monitor, job: str, *, change_s: float, keep: bool = False
) -> Mapping[str, Any] | None:
    """Wait for the end of a job that nobody waits for, and take it away.

    Args:
        guest: whose it is.
        monitor: its monitor.
        job: the job's name.
        change_s: seconds that a command may take.
        keep: whether it stays, for `dismiss`.

    Returns:
        What query-jobs said of it at last (`error` where it failed), or None where there is none.
    """
    found = await _ask(monitor, job)
    if not found:
        return None
    with follow(guest, Follower("JOB_STATUS_CHANGE", "status", lambda data: data.get("id") == job)) as follower:
        if found.get("status") not in ENDED:
            await _follow(guest, monitor, follower, str(found.get("type", "a job")), job)
    found = await _ask(monitor, job) or found
    if not keep:
        await dismiss(monitor, job, change_s=change_s)
    return found


async def dismiss(monitor: Monitor, job: str, *, change_s: float) -> None:
    """Take a job away that has ended."""
    with suppress(MonitorError):  # it is gone already
        await monitor.execute("job-dismiss", {"id": job}, kind=CommandKind.CHANGE, deadline_s=change_s)


async def _ask(monitor: Monitor, job: str) -> Mapping[str, Any]:
    jobs = await monitor.execute("query-jobs", kind=CommandKind.QUERY, deadline_s=JOB_S)
    return next((each for each in jobs if each.get("id") == job), {})
