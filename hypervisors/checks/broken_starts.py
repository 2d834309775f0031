"""Checks that a start which fails, at whatever step, leaves nothing."""

from __future__ import annotations

import asyncio

from ...config.errors import Cancelled, MechaneError, StoreError
from ..contract import CancelFlag, Handle
from ..facts import Fact, Spawned
from .lab import CheckFailed, Lab, Trial, expect

MOST_STEPS = 50
"""More looks at the cancel flag than any driver takes in one start."""


class CountingFlag(CancelFlag):
    """A cancel flag that is set at the n-th look."""

    __slots__ = ("_left",)

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks

    @property
    def reason(self) -> str | None:
        """Count a look at the flag."""
        self._left -= 1
        return "the check cancels at this step" if self._left <= 0 else None

    def check(self) -> None:
        """Raise when this look is the one."""
        if self.reason is not None:
            raise Cancelled("the start was cancelled by the check")


async def leaves_nothing_when_cancelled(lab: Lab) -> None:
    """A start that is cancelled by its flag, at each step in turn, leaves nothing."""
    for look in range(1, MOST_STEPS):
        trial = lab.trial(lab.target())
        try:
            await lab.start(trial=trial, cancel=CountingFlag(look))
        except MechaneError:
            await lab.nothing_left(trial)
        else:
            expect(look > 1, "start never looks at its cancel flag")
            await lab.end(trial)
            return
    raise CheckFailed(f"start looks at its cancel flag {MOST_STEPS} times and still goes on")


async def leaves_nothing_when_its_task_is_cancelled(lab: Lab) -> None:
    """A start whose task is cancelled at each record, and after the spawn, leaves nothing."""
    for place in ("first record", "second record", "spawn"):
        trial = lab.trial(lab.target())
        task = asyncio.ensure_future(_start_until(lab, trial, place))
        try:
            await task
        except asyncio.CancelledError:
            await lab.nothing_left(trial)
        else:
            expect(place == "second record", f"the task cancelled at the {place} ended as if it were not")
            await lab.end(trial)


async def _start_until(lab: Lab, trial: Trial, place: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    records = 0

    async def record(_: Handle) -> None:
        nonlocal records
        records += 1
        if place == ("first record", "second record")[min(records, 2) - 1]:
            task.cancel()
            await asyncio.sleep(0)

    def on_fact(fact: Fact) -> None:
        if place == "spawn" and isinstance(fact, Spawned):
            lab.env.loop.call_soon_threadsafe(task.cancel)

    trial.facts.on_fact = on_fact
    await lab.start(trial=trial, record=record)
    await asyncio.sleep(0)


async def leaves_nothing_when_it_cannot_record(lab: Lab) -> None:
    """A start whose handle cannot be stored fails with that error; nothing was spawned first."""
    for fatal in (1, 2):
        trial = lab.trial(lab.target())
        records = 0

        async def record(_: Handle, fatal: int = fatal) -> None:
            nonlocal records
            records += 1
            if records == fatal:
                raise StoreError("the disk is full", remedy="make room")

        try:
            await lab.start(trial=trial, record=record)
        except StoreError:
            expect(fatal != 1 or not trial.facts.of(Spawned), "spawned although the handle was not stored")
            await lab.nothing_left(trial)
        else:
            expect(fatal == 2 and records < 2, "a handle that could not be stored did not fail the start")
            await lab.end(trial)


async def is_killed_while_it_starts(lab: Lab) -> None:
    """The kill handle works from `Spawned` on, before the monitor answers; the start then fails."""
    trial = lab.trial(lab.target())

    def on_fact(fact: Fact) -> None:
        if isinstance(fact, Spawned):
            fact.kill.kill(0.0)

    trial.facts.on_fact = on_fact
    await lab.refuses(lab.start(trial=trial), "the start of a guest that was killed at once")
    await lab.nothing_left(trial)


STARTS = (
    leaves_nothing_when_cancelled,
    leaves_nothing_when_its_task_is_cancelled,
    leaves_nothing_when_it_cannot_record,
    is_killed_while_it_starts,
)
