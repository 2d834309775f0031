"""Many small things, a few at a time."""

import threading
from collections.abc import Iterator

import pytest

from mechane.actors.runtime.loop_thread import LoopThread
from mechane.actors.runtime.spread import Spread
from mechane.tests.support.wait import wait_until


@pytest.fixture
def home() -> Iterator[LoopThread]:
    home = LoopThread("spread")
    home.start()
    yield home
    home.stop(5.0)


def test_all_steps_run_in_order_whoever_brings_them(home: LoopThread) -> None:
    spread = Spread(home)
    seen: list[tuple[int, int]] = []

    def bring(who: int) -> None:
        for number in range(100):
            spread.soon(lambda number=number: seen.append((who, number)))  # type: ignore[misc]  # binds now

    threads = [threading.Thread(target=bring, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(seen) == 400, 20, "all steps")
    assert all([n for w, n in seen if w == who] == list(range(100)) for who in range(4))


def test_a_step_that_fails_stops_no_other(home: LoopThread) -> None:
    spread = Spread(home)
    done = threading.Event()
    spread.soon(lambda: 1 / 0)  # type: ignore[arg-type]  # fails before it returns
    spread.soon(done.set)
    assert done.wait(10)


def test_others_have_the_loop_between_steps(home: LoopThread) -> None:
    spread = Spread(home)
    order: list[str] = []
    for _ in range(50):
        spread.soon(lambda: order.append("step"))
    wait_until(lambda: order, 10, "the first step")
    home.call(order.append, "other")
    wait_until(lambda: len(order) == 51, 10, "all")
    assert order.index("other") < 50
