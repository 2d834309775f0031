"""Runs the steps of a change at the monitor: all of them, or none.

Guarantees:
- a step that QEMU refuses takes back those before it, before the error is raised;
- a change that is interrupted, or whose step is not answered in time, stays as it is: mending.py settles it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ....config.errors import ConnectionLost, DeadlineExceeded, MechaneError, MonitorError, OutcomeUnknown
from ..guest import Guest
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop
from .recorder import Step
from .watch import watch_of

TAKE_BACK_S = 20.0
"""Seconds that a guest has to let go of a device that was plugged in vain."""
INLINE_S = 5.0
"""Seconds of that for which the caller waits; then it goes on in the background."""
BUSY_S = 0.05
BUSY_TRIES = 40
"""A backend may be held for an instant after its device is gone: QEMU frees devices behind a grace period."""


class Runner:
    """Runs changes of devices for the guests of one connection. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def run(self, guest: Guest, monitor: Monitor, steps: Sequence[Step]) -> None:
        """Run all steps.

        Raises:
            MonitorError: QEMU refused one; nothing is left of the others.
        """
        done: list[Step] = []
        try:
            for step in steps:
                done.append(step)
                await self._change(monitor, step.command)
        except MonitorError:
            await asyncio.wait({self._keep(self._take_back(guest, monitor, done[:-1]))}, timeout=INLINE_S)
            raise

    async def _change(self, monitor: Monitor, command: Command) -> None:
        await monitor.execute_all(
            (command,), kind=CommandKind.CHANGE, deadline_s=self._shop.env.deadlines.change_s
        )

    def _keep(self, work: object) -> asyncio.Future[None]:
        """Let a coroutine run on when whoever awaits it goes away."""
        assert asyncio.iscoroutine(work)
        task = self._shop.env.loop.create_task(work)
        self._shop.tasks.add(task)
        task.add_done_callback(self._shop.tasks.discard)
        task.add_done_callback(_retrieve)
        return task

    async def _take_back(self, guest: Guest, monitor: Monitor, steps: Sequence[Step]) -> None:
        for step in reversed(steps):
            if step.undo is None:
                continue
            if step.plugs:
                await self._unplug(guest, monitor, step)
            else:
                await self.clear(monitor, [step.undo])

    async def _unplug(self, guest: Guest, monitor: Monitor, step: Step) -> None:
        assert step.undo is not None
        gone = watch_of(guest).expect(step.plugs)
        if await self._insist(monitor, step.undo) is None:
            try:
                await asyncio.wait_for(gone, TAKE_BACK_S)
            except TimeoutError:
                self._shop.log.warning("%s keeps %s, which was plugged in vain", guest.target.name, step.plugs)

    async def clear(self, monitor: Monitor, commands: Sequence[Command]) -> list[MechaneError]:
        """Delete what is no longer needed, patiently; returns what could not be deleted."""
        problems: list[MechaneError] = []
        for command in commands:
            error = await self._insist(monitor, command)
            for _ in range(BUSY_TRIES):
                if not isinstance(error, MonitorError) or not _is_busy(error):
                    break
                await asyncio.sleep(BUSY_S)
                error = await self._insist(monitor, command)
            if error is not None and not _is_gone(error):
                problems.append(error)
        return problems

    async def _insist(self, monitor: Monitor, command: Command) -> MechaneError | None:
        """Send a command as often as it takes a stuck monitor to come back."""
        while not monitor.closed:
            try:
                await self._change(monitor, command)
            except DeadlineExceeded:
                continue  # each try waits its own deadline
            except (MonitorError, ConnectionLost, OutcomeUnknown) as error:
                return error
            return None
        return ConnectionLost("the monitor is closed")


def _is_busy(error: MonitorError) -> bool:
    return any(word in error.message for word in ("in use", "busy", "still has"))


def _is_gone(error: MechaneError) -> bool:
    words = ("not found", "Failed to find", "Cannot find", "does not exist")
    return isinstance(error, ConnectionLost) or any(word in error.message for word in words)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take the exception of a task whose awaiter may have gone away: who waits for it is told."""
    if not task.cancelled():
        task.exception()
