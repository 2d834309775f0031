"""The contract check finds drivers that break their promises: otherwise its passing says nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mechane.config.states import State
from mechane.hypervisors.check import Check, CheckFailed, Subject, check_driver, run_check
from mechane.hypervisors.checks import broken_starts, life, optional
from mechane.hypervisors.contract import Driver, DriverEnv, Handle, Started, StartRequest, Target
from mechane.hypervisors.facts import Exited, FactSink
from mechane.hypervisors.memory.driver import MemoryDriver
from mechane.tests.conformance.subjects import memory_subject


class ExitsTwice(MemoryDriver):
    async def finished(self, target: Target) -> None:
        sink = self.env.sink(target.uuid)
        assert sink is not None
        sink.put(Exited(incarnation=target.incarnation, reason="destroyed"))


class SpawnsUnrecorded(MemoryDriver):
    async def start(self, request: StartRequest) -> Started:
        first = request.record

        async def record(handle: Handle) -> None:
            if handle["complete"]:
                await first(handle)

        return await super().start(replace(request, record=record))


class LeavesGuests(MemoryDriver):
    async def start(self, request: StartRequest) -> Started:
        plain = replace(request, cancel=type(request.cancel)(10**6))  # type: ignore[call-arg]  # CountingFlag
        started = await super().start(plain)
        request.cancel.check()
        return started


class TakesUpTheDead(MemoryDriver):
    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        found = await super().reattach(target, handle, facts)
        return found or Started(handle=handle, state=State.RUNNING, reason="unknown")


class Mute(MemoryDriver):
    async def suspend(self, target: Target) -> None:
        self._running(target)


@pytest.mark.parametrize(
    ("driver", "check", "words"),
    [
        (ExitsTwice, life.is_killed_by_its_handle, "Exited was reported"),
        (SpawnsUnrecorded, life.starts, "recorded before"),
        (LeavesGuests, broken_starts.leaves_nothing_when_cancelled, "can be taken up"),
        (TakesUpTheDead, life.survives_its_driver, "a guest that ended was taken up"),
        (Mute, optional.suspends_and_resumes, "is due"),
    ],
)
def test_broken_driver_is_found(
    driver: Callable[[DriverEnv], Driver], check: Check, words: str, short_tmp: Path
) -> None:
    subject = replace(memory_subject(short_tmp), factory=driver, timeout_s=0.5)
    with pytest.raises(CheckFailed, match=words):
        run_check(check, subject)


def test_undeclared_method_is_found(short_tmp: Path) -> None:
    class Modest(MemoryDriver):
        capabilities = frozenset()

    with pytest.raises(TypeError, match="does not declare"):
        run_check(life.declares_what_it_has, replace(memory_subject(short_tmp), factory=Modest))


def test_a_driver_that_is_deaf_to_deadlines_is_found(short_tmp: Path) -> None:
    subject = memory_subject(short_tmp)
    deaf = replace(subject, uri=f"{subject.uri}&hang=define", timeout_s=0.3)
    with pytest.raises(CheckFailed, match="did not return within"):
        run_check(life.checks_definitions, deaf)


def test_the_whole_check_runs_without_a_test_framework(short_tmp: Path) -> None:
    subject: Subject = memory_subject(short_tmp)
    promises = [str(result) for result in check_driver(subject)]
    assert len(promises) > 20
    assert all(promise.startswith("passed: ") for promise in promises)
