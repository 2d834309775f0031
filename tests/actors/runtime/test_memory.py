"""Memory is given back once much of it was freed, seldom, and on a thread of its own."""

import threading
from collections.abc import Callable

from mechane.actors.runtime.memory import WORTH_BYTES, Freed, trim


def test_much_is_given_back_once_and_little_never() -> None:
    timers: list[Callable[[], None]] = []
    given = threading.Semaphore(0)
    threads: list[str] = []

    def give_back() -> None:
        threads.append(threading.current_thread().name)
        given.release()

    freed = Freed(lambda _delay, function: timers.append(function), give_back)
    freed.count(WORTH_BYTES - 1)
    assert not timers
    for _ in range(100):
        freed.count(WORTH_BYTES)
    assert len(timers) == 1
    timers.pop()()
    assert given.acquire(timeout=10) and threads == ["trim"]
    freed.count(1)
    assert not timers
    freed.count(WORTH_BYTES)
    assert len(timers) == 1


def test_giving_back_works_or_does_nothing_with_this_c_library() -> None:
    trim()
