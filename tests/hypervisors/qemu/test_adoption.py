"""Guests survive their node: a second driver takes them up, ends strays, and cleans up."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from mechane.config.states import State
from mechane.hypervisors.contract import Deadlines, Handle, Target
from mechane.hypervisors.facts import Exited, MonitorBack, MonitorStuck, Spawned, StateChanged
from mechane.hypervisors.qemu import adoption
from mechane.tests.hypervisors.qemu.env import Facts, Node, node, run, until
from mechane.tests.support.procs import leftovers

pytestmark = pytest.mark.qemu


async def leave(folder: Path, count: int = 1, *, paused: bool = False) -> list[tuple[Target, Handle, int]]:
    """Start guests and go away without ending them, as a killed node would."""
    left: list[tuple[Target, Handle, int]] = []
    async with node(folder) as n:
        for target, started, _ in await asyncio.gather(*(n.start(name=f"g{i}", paused=paused) for i in range(count))):
            left.append((target, started.handle, started.pid or 0))
        n.kills.clear()
    return left


async def adopt(n: Node, target: Target, handle: Handle) -> Facts:
    facts = Facts()
    n.kills[target.uuid] = (target, facts)
    started = await n.driver.reattach(target, handle, facts)
    assert started is not None
    assert started.pid == handle["pid"]
    return facts


@pytest.mark.parametrize(("paused", "state"), [(False, State.RUNNING), (True, State.PAUSED)])
def test_a_running_guest_is_taken_up(short_tmp: Path, paused: bool, state: State) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp, paused=paused)
        async with node(short_tmp) as n:
            facts = await adopt(n, target, handle)
            assert facts.of(Spawned)[0].pid == pid
            assert (await n.driver.inspect(target)).state is state
            await n.driver.suspend(target)
            assert (await n.driver.stats(target, frozenset({"vcpu"}), deadline_s=5))["vcpu.0.time"] >= 0
            exited = await n.destroy(target, facts, 5.0)
            assert exited.reason == "destroyed"
            assert n.guest_folders() == []

    run(body())


def test_many_are_taken_up_side_by_side_and_each_once(short_tmp: Path) -> None:
    async def body() -> None:
        left = await leave(short_tmp, 5)
        async with node(short_tmp) as n:
            all_facts = await asyncio.gather(*(adopt(n, target, handle) for target, handle, _ in left))
            assert await n.driver.sweep({target.uuid: handle for target, handle, _ in left}) == []
            for (target, _, pid), facts in zip(left, all_facts, strict=True):
                assert [spawned.pid for spawned in facts.of(Spawned)] == [pid]
                assert (await n.driver.inspect(target)).state is State.RUNNING

    run(body())


def test_a_dead_guest_is_gone_and_cleaned_up(short_tmp: Path) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        os.kill(pid, signal.SIGKILL)
        async with node(short_tmp) as n:
            await until(lambda: not leftovers(n.env.runtime_dir))
            facts = Facts()
            assert await n.driver.reattach(target, handle, facts) is None
            assert facts.seen == []
            assert n.guest_folders() == []

    run(body())


@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot_id": "another"}, {"version": 99}, {"folder": "/etc"}])
def test_another_process_is_never_taken_for_the_guest(short_tmp: Path, change: Handle) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        async with node(short_tmp) as n:
            assert await n.driver.reattach(target, {**handle, **change}, Facts()) is None
            os.kill(pid, 0)  # it lives
            assert await n.driver.sweep({}) == [target.uuid]

    run(body())


def test_strays_are_ended_and_known_guests_left_alone(short_tmp: Path) -> None:
    async def body() -> None:
        (known, stray) = await leave(short_tmp, 2)
        async with node(short_tmp) as n:
            facts = await adopt(n, known[0], known[1])
            (n.env.runtime_dir / "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01").mkdir()
            assert await n.driver.sweep({known[0].uuid: known[1]}) == [stray[0].uuid]
            assert n.guest_folders() == [known[0].uuid]
            assert not facts.of(Exited)
            assert (await n.driver.inspect(known[0])).state is State.RUNNING

    run(body())


def test_an_unfinished_start_is_abandoned(short_tmp: Path) -> None:
    async def body() -> None:
        ((target, handle, _),) = await leave(short_tmp)
        early = {**handle, "pid": 0, "start_time": 0}
        async with node(short_tmp) as n:
            await n.driver.abandon(target, early)
            assert not leftovers(n.env.runtime_dir)
            assert n.guest_folders() == []

    run(body())


def test_a_hung_guest_is_taken_up_too_and_recovers(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "ANSWER_S", 0.1)

    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp, paused=True)
        os.kill(pid, signal.SIGSTOP)
        async with node(short_tmp, deadlines=Deadlines(query_s=0.1)) as n:
            facts = await adopt(n, target, handle)
            assert facts.of(Spawned)
            assert facts.of(MonitorStuck)
            os.kill(pid, signal.SIGCONT)
            await until(lambda: facts.of(MonitorBack))
            (found,) = await until(lambda: facts.of(StateChanged))
            assert (found.state, found.event) == (State.PAUSED, "")
            await n.destroy(target, facts)

    run(body())


def test_a_guest_that_dies_after_its_adoption_is_noticed(short_tmp: Path) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        async with node(short_tmp) as n:
            facts = await adopt(n, target, handle)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: facts.of(Exited))
            assert facts.of(Exited)[0].reason == "crashed"

    run(body())
