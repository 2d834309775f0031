"""Guests that hang, die or do not die: real QEMU, stopped and killed from outside."""

import os
import signal
from pathlib import Path

import pytest

from mechane.config.errors import DeadlineExceeded, OperationInvalid
from mechane.config.states import State
from mechane.hypervisors.contract import Deadlines
from mechane.hypervisors.facts import Exited, MonitorBack, MonitorStuck, Spawned, StateChanged, Zombie
from mechane.hypervisors.qemu import process as processes
from mechane.tests.hypervisors.qemu.env import node, run, until

pytestmark = pytest.mark.qemu
IMPATIENT = Deadlines(query_s=0.1, change_s=0.1)
ALL = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})


def test_a_stopped_qemu_is_stuck_and_recovers_by_itself(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp, deadlines=IMPATIENT) as n:
            target, started, facts = await n.start()
            os.kill(started.pid or 0, signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded):
                await n.driver.inspect(target)
            (stuck,) = facts.of(MonitorStuck)
            assert stuck.command == "query-status"
            with pytest.raises(DeadlineExceeded) as waiting:
                await n.driver.suspend(target)
            assert waiting.value.details["command"] == "query-status"
            assert not facts.of(MonitorBack)
            os.kill(started.pid or 0, signal.SIGCONT)
            await until(lambda: facts.of(MonitorBack))
            assert (await n.driver.inspect(target)).state is State.RUNNING
            assert [c.state for c in facts.of(StateChanged)] == [State.RUNNING]  # the suspend was never sent

    run(body())


def test_a_change_that_came_too_late_is_looked_up(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp, deadlines=IMPATIENT) as n:
            target, started, facts = await n.start()
            os.kill(started.pid or 0, signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded) as late:
                await n.driver.suspend(target)
            assert late.value.details["still_running"] is True
            os.kill(started.pid or 0, signal.SIGCONT)
            await until(lambda: facts.of(MonitorBack))
            assert [c.state for c in facts.of(StateChanged)] == [State.RUNNING, State.PAUSED]

    run(body())


@pytest.mark.parametrize("grace_s", [0.0, 0.05])
def test_a_stopped_qemu_is_destroyed_without_its_monitor(short_tmp: Path, grace_s: float) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start()
            os.kill(started.pid or 0, signal.SIGSTOP)
            exited = await n.destroy(target, facts, grace_s)
            assert (exited.reason, exited.status) == ("destroyed", -signal.SIGKILL)

    run(body())


def test_a_killed_qemu_has_crashed_and_is_said_once(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start()
            os.kill(started.pid or 0, signal.SIGKILL)
            await until(lambda: facts.of(Exited))
            await n.driver.finished(target)
            (exited,) = facts.of(Exited)
            assert (exited.reason, exited.status) == ("crashed", -signal.SIGKILL)
            with pytest.raises(OperationInvalid):
                await n.driver.inspect(target)
            assert n.guest_folders() == []

    run(body())


def test_a_qemu_that_somebody_else_ends_has_shut_down(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            _, started, facts = await n.start()
            os.kill(started.pid or 0, signal.SIGTERM)
            await until(lambda: facts.of(Exited))
            assert facts.of(Exited)[0].reason == "shutdown"

    run(body())


def test_processor_time_needs_no_monitor(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp, deadlines=IMPATIENT) as n:
            target, started, facts = await n.start()
            kill = facts.of(Spawned)[0].kill
            assert kill.cpu_time_ns() > 0
            os.kill(started.pid or 0, signal.SIGSTOP)
            assert kill.cpu_time_ns() > 0
            stats = await n.driver.stats(target, frozenset({"cpu", "vcpu"}), deadline_s=0.1)
            assert stats["cpu.time"] > 0
            with pytest.raises(DeadlineExceeded):
                await n.driver.stats(target, ALL, deadline_s=0.1)
            await n.destroy(target, facts)
            assert kill.cpu_time_ns() == 0
            kill.kill(0.0)  # nobody is there any more

    run(body())


def test_one_that_does_not_die_is_said_to_be_a_zombie(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in state D cannot be made here; its SIGKILL is held back instead."""
    monkeypatch.setattr(processes, "STUBBORN_S", 0.05)

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start()
            kill = facts.of(Spawned)[0].kill
            with monkeypatch.context() as held:
                held.setattr(processes.QemuProcess, "_signal", lambda self, number: True)
                kill.kill(0.0)
                (zombie,) = await until(lambda: facts.of(Zombie))
            assert f"process {started.pid} does not die: thread" in zombie.cause
            assert (await n.destroy(target, facts)).reason == "destroyed"

    run(body())
