"""Floods of events: a monitor's share of the loop, and what is folded and how it is told."""

import asyncio
import json
import socket
import threading
from typing import Any

import pytest

from mechane.config.errors import MonitorError
from mechane.hypervisors.qemu.events import GuestView, react
from mechane.hypervisors.qemu.qmp import CommandKind
from mechane.hypervisors.qemu.receiver import SHARE, Crowd, Receiver
from mechane.hypervisors.qemu.torrent import BURST, FOLD_S, MOST_KINDS, Folded, Torrent
from mechane.tests.hypervisors.qemu.env import run, until
from mechane.tests.hypervisors.qemu.test_qmp import pair


def line(name: str, seconds: int = 1, **data: Any) -> bytes:
    event: dict[str, Any] = {"timestamp": {"seconds": seconds, "microseconds": 2}, "event": name}
    return json.dumps({**event, "data": data} if data else event).encode()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def folding(lines: list[bytes]) -> tuple[list[bytes], list[tuple[str, int]]]:
    """Give lines to a torrent; return those that it let through, and what it tells of the others."""
    through: list[bytes] = []
    told: list[Folded] = []

    async def body() -> None:
        torrent = Torrent(asyncio.get_running_loop(), told.append, Clock())
        through.extend(one for one in lines if not torrent.takes(one))
        torrent.flush()

    asyncio.run(body())
    return through, [(json.loads(folded.line)["event"], folded.times) for folded in told]


def test_few_events_go_through_one_by_one_and_a_flood_is_folded_with_its_number() -> None:
    lines = [line("GUEST_CRASHLOADED", number, action="run") for number in range(10_000)]
    through, told = folding(lines)
    assert through == lines[:BURST]
    assert told == [("GUEST_CRASHLOADED", 10_000 - BURST)]


@pytest.mark.parametrize(("last", "other"), [("STOP", "RESUME"), ("RESUME", "STOP")])
def test_after_a_flood_of_stops_and_resumes_the_last_is_told_alone(last: str, other: str) -> None:
    _, told = folding([line(other if number % 2 else last) for number in range(1001)])
    assert [name for name, _ in told] == [last]


def test_an_error_that_stops_the_guest_is_told_before_the_stop() -> None:
    lines = [line("RESUME"), line("BLOCK_IO_ERROR", device="a", action="stop"), line("STOP")] * 200
    _, told = folding(lines)
    assert [name for name, _ in told] == ["BLOCK_IO_ERROR", "STOP"]


def test_what_differs_is_not_folded_until_it_is_too_much() -> None:
    full = [line("DEVICE_DELETED", device="x")] * BURST
    _, told = folding([*full, *(line("DEVICE_DELETED", device=f"d{number % 20}") for number in range(200))])
    assert told == [("DEVICE_DELETED", 10)] * 20
    _, told = folding([*full, *(line("DEVICE_DELETED", device=f"d{number}") for number in range(1000))])
    assert len(told) == MOST_KINDS + 1 and sum(times for _, times in told) == 1000


def test_events_with_other_names_keep_their_own_budget_whatever_floods() -> None:
    lines = [line("GUEST_CRASHLOADED")] * 5000
    lines += [line(f"MADE_UP_{number}") for number in range(5000)]
    quiet = [line("JOB_STATUS_CHANGE", status="concluded", id="j"), b'{"return": {}, "id": 7}', line("STOP")]
    through, _ = folding([*lines, *quiet])
    assert through[-3:] == quiet
    assert len(through) == 2 * BURST + 3


def test_a_budget_comes_back_when_it_is_quiet() -> None:
    async def body() -> None:
        clock = Clock()
        torrent = Torrent(asyncio.get_running_loop(), lambda _: None, clock)
        assert sum(torrent.takes(line("RESET")) for _ in range(100)) == 100 - BURST
        clock.now += 3600
        assert torrent.takes(line("RESET")), "the last was told before those that were folded"
        torrent.flush()
        assert not torrent.takes(line("RESET"))

    asyncio.run(body())


def test_a_folded_change_carries_its_number_into_the_event() -> None:
    reaction = react("STOP", {"folded": 41}, GuestView(incarnation=1))
    assert reaction.facts[0].folded == 41  # type: ignore[attr-defined]  # a StateChanged
    assert react("STOP", {"folded": "lie"}, GuestView(incarnation=1)).facts[0].folded == 0  # type: ignore[attr-defined]
    crashed = react("GUEST_CRASHLOADED", {"action": "run", "folded": 9}, GuestView(incarnation=1)).facts[0]
    assert crashed.data["folded"] == 9  # type: ignore[attr-defined]  # a GuestEvent


def test_a_flood_is_told_in_time_and_its_monitor_still_answers() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            stop = threading.Event()
            peer.sock.setblocking(True)

            def flood() -> None:
                block = (line("RTC_CHANGE", offset=0) + b"\r\n") * 200
                while not stop.is_set():
                    try:
                        peer.sock.sendall(block)
                    except OSError:
                        return

            thread = threading.Thread(target=flood, daemon=True)
            thread.start()
            try:
                await until(lambda: any("folded" in data for _, data in listener.events))
                assert len(listener.events) <= BURST + 2 * MOST_KINDS
                call = asyncio.ensure_future(
                    monitor.execute("query-status", kind=CommandKind.QUERY, deadline_s=20.0)
                )
                await asyncio.sleep(0)
                stop.set()
                await asyncio.to_thread(thread.join, 20)
                peer.sock.sendall(b'{"return": {"status": "running", "running": true}, "id": 1}\r\n')
                assert (await call)["status"] == "running"
            finally:
                stop.set()

    run(body())


def test_monitors_that_flood_share_a_part_of_the_loop() -> None:
    """Each line costs 10 ms of a clock that only moves with lines: pauses must make up for it."""
    clock = Clock()
    pauses: list[float] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()
        def costly(_line: bytes) -> None:
            clock.now += 0.01

        real = loop.call_later

        def call_later(delay: float, *args: Any) -> asyncio.TimerHandle:
            if args[0].__name__ != "_go_on":
                return real(delay, *args)
            pauses.append(delay)
            return real(0, *args)

        crowd = Crowd()
        crowd.waiting = 3  # others that flood
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop.call_later = call_later  # type: ignore[assignment,method-assign]  # to see what is asked for
        receiver = Receiver(ours, loop, line=costly, ended=lambda: None, crowd=crowd, clock=clock)
        theirs.sendall(b"x\n" * 50)
        await until(lambda: len(pauses) >= 40)
        receiver.close()
        ours.close()
        theirs.close()
        assert crowd.waiting == 3

    run(body())
    assert min(pauses[5:40]) >= 0.01 / SHARE, "a monitor was read again before it had made up for what it cost"


@pytest.mark.parametrize(
    ("command", "lie"),
    [("query-status", {"status": 7, "running": "x"}), ("query-blockstats", "x"), ("query-jobs", [1])],
)
def test_an_answer_of_another_shape_is_an_error_of_the_monitor(command: str, lie: Any) -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, _):
            call = asyncio.ensure_future(monitor.execute(command, kind=CommandKind.QUERY, deadline_s=20.0))
            peer.answer(await peer.request(), lie)
            with pytest.raises(MonitorError, match="makes no sense"):
                await call

    run(body())


def test_the_end_of_qemu_tells_what_was_folded() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            for _ in range(BURST + 5):
                peer.say({"event": "RESET", "data": {"guest": True}})
            peer.say({"event": "STOP"})
            monitor.drain()
            assert [name for name, _ in listener.events[BURST:]] == ["RESET", "STOP"]
            assert listener.events[BURST][1]["folded"] == 4

    run(body())


def test_nobody_waits_long_for_what_was_folded() -> None:
    async def body() -> None:
        async with pair() as (_, peer, listener):
            for _ in range(BURST + 5):
                peer.say({"event": "RESET", "data": {}})
            await until(lambda: len(listener.events) == BURST + 1)

    run(body())
    assert FOLD_S < 1
