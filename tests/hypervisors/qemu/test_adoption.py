"""Guests survive their node: a second driver takes them up, ends strays, and cleans up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mechane.config.errors import MechaneError, OperationInvalid, StoreError
from mechane.config.states import State
from mechane.hypervisors.contract import Deadlines, Handle, Target
from mechane.hypervisors.facts import Exited, MonitorBack, MonitorStuck, Spawned, StateChanged
from mechane.hypervisors.qemu import adoption, locks, strays
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


@pytest.mark.parametrize(
    "change",
    [{"start_time": 1}, {"boot_id": "another"}, {"folder": "/etc"}, {"folder": "/tmp/../.."}, {"pid": 0},
     {"pid": os.getpid()}, {"pid": -1}, {"incarnation": "x"}, {"owners": 7}, {"profile": {"disks": 3}}],
)  # fmt: skip
def test_a_guest_is_found_whatever_its_record_says(short_tmp: Path, change: Handle) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        async with node(short_tmp) as n:
            facts = Facts()
            n.kills[target.uuid] = (target, facts)
            started = await n.driver.reattach(target, {**handle, **change, "later": 5}, facts)
            assert started is not None
            assert started.pid == started.handle["pid"] == pid
            assert started.handle["start_time"] == handle["start_time"]
            assert started.handle["threads"] == handle["threads"]
            assert started.handle["later"] == 5, "what another version wrote is kept"
            assert (await n.driver.inspect(target)).state is State.RUNNING

    run(body())


def test_a_guest_without_a_lock_is_found_by_its_folder(short_tmp: Path) -> None:
    """A guest of a version without locks; the file that an earlier run left does not speak for it."""

    async def body() -> None:
        ((target, _, pid),) = await leave(short_tmp)
        async with node(short_tmp) as n:
            assert locks.held(n.env.runtime_dir, target.uuid) is True
            lock = n.env.runtime_dir / "locks" / target.uuid
            lock.unlink()
            lock.touch()
        async with node(short_tmp) as n:
            assert not lock.exists()
            with pytest.raises(OperationInvalid, match="already"):
                await n.start(uuid=target.uuid, name=target.name)
            started = await n.driver.reattach(target, {}, Facts())
            assert started is not None and started.pid == pid
            assert started.kill is not None
            started.kill.kill(0.0)
            await until(lambda: not leftovers(n.env.runtime_dir))

    run(body())


def test_a_lock_that_nobody_holds_means_that_the_guest_is_gone(short_tmp: Path) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        os.kill(pid, signal.SIGKILL)
        async with node(short_tmp) as n:
            await until(lambda: not leftovers(n.env.runtime_dir))
            await until(lambda: locks.held(n.env.runtime_dir, target.uuid) is False)  # it may still be ending
            assert await n.driver.reattach(target, {**handle, "pid": os.getpid()}, Facts()) is None
            assert not locks.exists(n.env.runtime_dir, target.uuid)

    run(body())


def test_a_handle_of_a_newer_version_leaves_the_guest_alone(short_tmp: Path) -> None:
    async def body() -> None:
        ((target, handle, pid),) = await leave(short_tmp)
        async with node(short_tmp) as n:
            with pytest.raises(StoreError, match="version|format 99"):
                await n.driver.reattach(target, {**handle, "version": 99}, Facts())
            os.kill(pid, 0)  # it lives
            assert n.guest_folders() == [target.uuid]
            await adopt(n, target, handle)

    run(body())


def test_unknown_guests_are_shown_and_never_ended(short_tmp: Path) -> None:
    async def body() -> None:
        (known, stray) = await leave(short_tmp, 2)
        async with node(short_tmp) as n:
            facts = await adopt(n, known[0], known[1])
            (n.env.runtime_dir / "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01").mkdir()
            removed = await n.driver.sweep({known[0].uuid: known[1]})
            assert removed == ["6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"]
            assert sorted(n.guest_folders()) == sorted([known[0].uuid, stray[0].uuid])
            (found,) = await n.driver.discover()
            assert (found.uuid, found.name, found.state) == (stray[0].uuid, stray[0].name, State.RUNNING)
            assert found.xml is not None and f"<uuid>{found.uuid}</uuid>" in found.xml
            with pytest.raises(OperationInvalid, match="already"):
                await n.start(uuid=stray[0].uuid, name=stray[0].name)
            os.kill(stray[2], 0)
            theirs = Facts()
            n.kills[found.uuid] = (stray[0], theirs)
            started = await n.driver.reattach(stray[0], found.handle or {}, theirs)
            assert started is not None and started.pid == stray[2]
            assert (await n.driver.inspect(stray[0])).state is State.RUNNING
            assert await n.driver.discover() == []
            assert not facts.of(Exited)

    run(body())


def test_a_process_of_another_user_is_no_guest(short_tmp: Path) -> None:
    uuid = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
    words = ["-no-user-config", "-uuid", uuid, f"{short_tmp}/{uuid}"]
    process = subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE)
    try:
        assert list(strays.emulators(short_tmp, {os.geteuid() + 1})) == []
        (found,) = strays.emulators(short_tmp, {os.geteuid()})
        assert (found.folder, found.pid) == (uuid, process.pid)
    finally:
        process.kill()
        process.communicate()


def link(first: Path, second: Path) -> None:
    (first / "monitor.sock").unlink()
    (first / "monitor.sock").symlink_to(second / "monitor.sock")


def hard_link(first: Path, second: Path) -> None:
    (first / "monitor.sock").unlink()
    os.link(second / "monitor.sock", first / "monitor.sock")


def swap(first: Path, second: Path) -> None:
    first.rename(first.parent / "aside")
    second.rename(first)
    (first.parent / "aside").rename(second)


def linked_folder(first: Path, second: Path) -> None:
    first.rename(first.parent / "aside")
    first.symlink_to(second)


@pytest.mark.parametrize("harm", [link, hard_link, swap, linked_folder])
def test_the_monitor_of_another_guest_is_never_taken(short_tmp: Path, harm: Callable[[Path, Path], None]) -> None:
    async def body() -> None:
        (mine, other) = await leave(short_tmp, 2)
        async with node(short_tmp) as n:
            first, second = (n.env.runtime_dir / each[0].uuid for each in (mine, other))
            harm(first, second)
            facts = await adopt(n, mine[0], mine[1])
            with pytest.raises(MechaneError):
                await n.driver.suspend(mine[0])
            if harm is not swap:
                theirs = await adopt(n, other[0], other[1])
                assert (await n.driver.inspect(other[0])).state is State.RUNNING
                await n.destroy(other[0], theirs)
            else:
                n.kills[other[0].uuid] = (other[0], await adopt(n, other[0], other[1]))
            await n.destroy(mine[0], facts)

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
