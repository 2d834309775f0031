"""The handle that ends a container, with ordinary processes in the place of LXC's."""

import asyncio
import subprocess

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
