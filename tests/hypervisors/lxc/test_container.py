"""The handle that ends a container, with ordinary processes in the place of LXC's."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from mechane.hypervisors.lxc.cgroups import MOUNTS, mounted
from mechane.hypervisors.lxc.container import Container
from mechane.hypervisors.lxc.processes import Process, Sight


def sleeper() -> tuple[subprocess.Popen[bytes], Process]:
    """Start a process that only waits."""
    process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    found = Process.of(process.pid)
    assert found is not None
    return process, found


def container(seen: list[int]) -> Container:
    loop = asyncio.get_running_loop()
    return Container("/nowhere", "box", loop, changed=lambda: seen.append(1), halt_signal=15)


async def ended(process: subprocess.Popen[bytes]) -> int:
    async with asyncio.timeout(10):
        while process.poll() is None:
            await asyncio.sleep(0.005)
    return process.returncode


def test_a_first_process_that_shows_up_after_the_kill_is_killed_as_well() -> None:
    """Else the first process of a container that was starting waits for its dead monitor for ever."""

    async def body() -> None:
        box = container([])
        (monitor, first), (init, second) = sleeper(), sleeper()
        try:
            box.pin(Sight(first, None))
            box.kill(0.0)
            assert await ended(monitor) == -9
            await asyncio.sleep(0)
            box.pin(Sight(None, second))
            assert await ended(init) == -9
        finally:
            box.forget()
            for process in (monitor, init):
                process.kill()
                process.wait()

    asyncio.run(body())


def test_a_known_monitor_is_left_to_clean_up_and_exits_are_told_once() -> None:
    async def body() -> None:
        seen: list[int] = []
        box = container(seen)
        (monitor, first), (init, second) = sleeper(), sleeper()
        try:
            box.pin(Sight(first, second))
            assert box.native_id == f"{second.pid}:{second.start}"
            box.kill(0.0)
            assert await ended(init) == -9
            async with asyncio.timeout(10):
                while not seen:
                    await asyncio.sleep(0.005)
            box.pin(Sight(first, None))
            assert monitor.poll() is None
            assert box.native_id == ""
            assert len(seen) == 1
        finally:
            box.forget()
            for process in (monitor, init):
                process.kill()
                process.wait()

    asyncio.run(body())


def test_a_polite_end_comes_before_the_last_one() -> None:
    async def body() -> None:
        box = container([])
        (init, first) = sleeper()
        try:
            box.pin(Sight(None, first))
            box.kill(30.0)  # sleep obeys the halt signal, here SIGTERM
            assert await ended(init) == -15
        finally:
            box.forget()
            init.kill()
            init.wait()

    asyncio.run(body())


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a control group")
def test_control_groups_that_a_container_gets_later_are_learnt() -> None:
    """LXC moves the first process while it starts: one that was found before could not be thawed, nor ended."""
    mounts = mounted(MOUNTS.read_text())
    freezer = "freezer" if "freezer" in mounts else ""
    group = Path(mounts[freezer], f"lxc.payload.mechane-{os.getpid()}")

    async def body() -> None:
        box = container([])
        init, second = sleeper()
        try:
            box.pin(Sight(None, second))
            assert freezer not in box.groups.paths
            group.mkdir()
            (group / "cgroup.procs").write_text(str(second.pid))
            box.pin(Sight(None, second))
            assert box.groups.paths[freezer] == str(group)
            freeze = ("freezer.state", "FROZEN") if freezer else ("cgroup.freeze", "1")
            (group / freeze[0]).write_text(freeze[1])
            assert box.groups.frozen()
            box.kill(0.0)
            assert await ended(init) == -9
        finally:
            box.groups.thaw()
            box.forget()
            init.kill()
            init.wait()
            for groups in box.own_groups:
                groups.remove()

    try:
        asyncio.run(body())
    finally:
        if group.exists():
            group.rmdir()
