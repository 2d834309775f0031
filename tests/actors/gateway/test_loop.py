"""The loop: wake-ups are never lost, and what fails ends alone."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from mechane.actors.gateway import Session
from mechane.actors.gateway.loop import IN, Loop
from mechane.actors.gateway.sweep import Sweep
from mechane.tests.actors.gateway.rig import Clock, running
from mechane.tests.support.wait import wait_until

LOG = logging.getLogger("mechane.test")


@contextlib.contextmanager
def turning(clock: Clock) -> Iterator[Loop]:
    """Run a loop on a thread for the time of a block."""
    loop = Loop(clock, LOG)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.call(loop.stop)
        thread.join(10)
        assert not thread.is_alive()


def test_calls_of_many_threads_all_run_in_order() -> None:
    with turning(Clock()) as loop:
        seen: list[tuple[int, int]] = []

        def caller(number: int) -> None:
            for turn in range(2000):
                loop.call(lambda turn=turn: seen.append((number, turn)))  # type: ignore[misc]  # binds now

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        wait_until(lambda: len(seen) == 8000, 10, "all calls")
        for number in range(4):
            assert [turn for who, turn in seen if who == number] == list(range(2000))


def test_one_call_after_another_is_never_lost() -> None:
    with turning(Clock()) as loop:
        for _ in range(2000):
            done = threading.Event()
            loop.call(done.set)
            assert done.wait(10)


def test_what_fails_is_logged_and_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_mask: int = 0) -> None:
        raise ZeroDivisionError("a bug")

    with turning(Clock()) as loop:
        reader, writer = os.pipe()
        loop.call(fail)
        loop.call(lambda: loop.add(reader, IN, fail))
        os.write(writer, b"x")
        wait_until(lambda: "no longer watched" in caplog.text, 10, "the log")
        done = threading.Event()
        loop.call(done.set)
        assert done.wait(10)
        os.close(reader)
        os.close(writer)


def test_timers_follow_the_clock() -> None:
    clock = Clock()
    seen: list[str] = []
    with turning(clock) as loop:
        loop.call(lambda: loop.later(5, lambda: seen.append("late")))
        loop.call(lambda: loop.later(1, lambda: seen.append("early")))
        turn(loop)
        assert seen == []
        clock.now += 2
        turn(loop)
        assert seen == ["early"]
        clock.now += 4
        turn(loop)
        assert seen == ["early", "late"]


def turn(loop: Loop) -> None:
    """Let the loop go around twice, so that what is due has run."""
    for _ in range(2):
        done = threading.Event()
        loop.call(done.set)
        assert done.wait(10)


def test_a_sweep_looks_until_told_otherwise() -> None:
    class Thing:
        looks = 0

        def look(self, now: float) -> bool:
            self.looks += 1
            return self.looks < 2

    clock, thing, dropped = Clock(), Thing(), Thing()
    with turning(clock) as loop:
        sweep = Sweep(loop)
        loop.call(lambda: sweep.add(thing))
        loop.call(lambda: sweep.add(dropped))
        loop.call(lambda: sweep.discard(dropped))
        turn(loop)
        for _ in range(4):
            clock.now += 1.1
            turn(loop)
    assert thing.looks == 2 and dropped.looks == 0


def test_a_handler_that_fails_at_the_end_of_a_client_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with running() as rig:

        def fail(session: Session) -> None:
            raise ZeroDivisionError("a bug")

        rig.handler.closed = fail  # type: ignore[method-assign]
        client = rig.client()
        assert client.call(1, "session.ping")
        client.close()
        wait_until(lambda: not rig.gateway.sessions(), 10, "the end of the session")
        assert "letting go" in caplog.text
        assert rig.client().call(1, "session.ping")
        rig.handler.closed = lambda session: None  # type: ignore[method-assign]


def test_clients_that_come_and_go_are_freed_at_once() -> None:
    import gc
    import weakref

    with running() as rig:
        gc.disable()
        try:
            client = rig.client()
            client.sock.sendall(b"\x94\x00")  # half a message
            other = rig.client()
            assert other.call(1, "session.ping")
            first = min(rig.gateway.sessions(), key=lambda session: session.id)
            decoder = weakref.ref(first._reader)  # it holds the memory
            del first
            client.close()
            wait_until(lambda: len(rig.gateway.sessions()) == 1, 10, "the end of the session")
            assert other.call(2, "session.ping")
            wait_until(lambda: decoder() is None, 10, "the end of its decoder")
        finally:
            gc.enable()
