"""Threads for what blocks: who hangs hurts nobody else, who leaves marks nobody, clean-ups are never refused."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mechane.actors.connection.workers import SHARE, Workers
from mechane.config.errors import Cancelled, DeadlineExceeded, Unresponsive
from mechane.hypervisors.contract import Itself

LONG_S = 30.0
SOON_S = 10.0


def run(body: Callable[[Workers], Awaitable[None]]) -> None:
    """Run a test's coroutine with workers of its own."""

    async def main() -> None:
        workers = Workers(asyncio.get_running_loop(), "test")
        try:
            await asyncio.wait_for(body(workers), LONG_S)
        finally:
            workers.close()

    asyncio.run(main())


async def began(event: threading.Event) -> None:
    """Wait until a thread has come to a place."""
    assert await asyncio.to_thread(event.wait, SOON_S)


class Hang:
    """A function that blocks until it is let go."""

    def __init__(self, result: Any = None) -> None:
        self.begun, self.go, self.result = threading.Event(), threading.Event(), result

    def __call__(self) -> Any:
        self.begun.set()
        self.go.wait(LONG_S)
        return self.result


def test_a_hundred_that_hang_leave_a_thread_for_the_next() -> None:
    async def body(workers: Workers) -> None:
        hung = [Hang() for _ in range(100)]
        tasks = [asyncio.ensure_future(workers.run(each, f"d{n}", LONG_S)) for n, each in enumerate(hung)]
        assert await asyncio.wait_for(workers.run(lambda: 7, "healthy", LONG_S), SOON_S) == 7
        assert all(each.begun.is_set() for each in hung)
        for each in hung:
            each.go.set()
        await asyncio.gather(*tasks)

    run(body)


def test_one_that_hangs_is_refused_more_and_nobody_else_is() -> None:
    async def body(workers: Workers) -> None:
        hang = Hang()
        with pytest.raises(DeadlineExceeded):
            await workers.run(hang, "sick", 0.02)
        with pytest.raises(Unresponsive):
            await workers.run(lambda: 1, "sick", 1.0)
        assert await workers.run(lambda: 1, "well", SOON_S) == 1
        assert await workers.run(lambda: 1, Itself("the host"), SOON_S) == 1
        hang.go.set()
        while True:
            try:
                assert await workers.run(lambda: 2, "sick", SOON_S) == 2
            except Unresponsive:
                await asyncio.sleep(0)
                continue
            return

    run(body)


def test_who_leaves_early_marks_nobody_as_hung() -> None:
    async def body(workers: Workers) -> None:
        hang, host = Hang(), Itself("the host")
        left = asyncio.ensure_future(workers.run(hang, host, LONG_S))
        await began(hang.begun)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        assert await workers.run(lambda: 3, host, SOON_S) == 3
        hang.go.set()

    run(body)


def test_the_share_of_one_owner_is_bounded() -> None:
    async def body(workers: Workers) -> None:
        hung = [Hang() for _ in range(SHARE + 1)]
        tasks = [asyncio.ensure_future(workers.run(each, "one", LONG_S)) for each in hung]
        for each in hung[:SHARE]:
            await began(each.begun)
        assert await workers.run(lambda: 1, "other", SOON_S) == 1
        assert not hung[-1].begun.is_set()
        for each in hung:
            each.go.set()
        await asyncio.gather(*tasks)

    run(body)


def test_a_clean_up_is_not_refused_and_begins_after_what_hangs() -> None:
    async def body(workers: Workers) -> None:
        order: list[str] = []
        hang = Hang()

        def late() -> None:
            hang()
            order.append("late")

        with pytest.raises(DeadlineExceeded):
            await workers.run(late, "sick", 0.02)
        with pytest.raises(DeadlineExceeded):
            await workers.clean(lambda: order.append("clean"), "sick", 0.02, "a disk")
        assert workers.left("sick") == "a disk"
        ended = workers.cleaning("sick")
        assert ended is not None
        with pytest.raises(Unresponsive):
            await workers.run(lambda: 1, "sick", 1.0)
        hang.go.set()
        await asyncio.wait_for(ended, SOON_S)
        assert order == ["late", "clean"]
        assert workers.left("sick") == "" and workers.cleaning("sick") is None
        assert await workers.run(lambda: 1, "sick", SOON_S) == 1

    run(body)


def test_what_nobody_took_is_undone_before_the_clean_up() -> None:
    async def body(workers: Workers) -> None:
        order: list[Any] = []
        hang = Hang("descriptors")
        waiting = asyncio.ensure_future(workers.run(hang, "sick", LONG_S, order.append))
        await began(hang.begun)
        workers.give_up("sick", Cancelled("destroyed"))
        with pytest.raises(Cancelled):
            await waiting
        cleaned = asyncio.ensure_future(workers.clean(lambda: order.append("clean"), "sick", LONG_S))
        await asyncio.sleep(0)
        hang.go.set()
        await asyncio.wait_for(cleaned, SOON_S)
        assert order == ["descriptors", "clean"]

    run(body)


def test_what_never_began_never_begins_once_nobody_waits() -> None:
    async def body(workers: Workers) -> None:
        hung, done = [Hang() for _ in range(SHARE)], []
        tasks = [asyncio.ensure_future(workers.run(each, "one", LONG_S)) for each in hung]
        queued = asyncio.ensure_future(workers.run(lambda: done.append(1), "one", LONG_S))
        for each in hung:
            await began(each.begun)
        queued.cancel()
        await asyncio.wait([queued])
        for each in hung:
            each.go.set()
        await asyncio.gather(*tasks)
        await workers.run(lambda: done.append(2), "one", SOON_S)
        assert done == [2]

    run(body)


def test_errors_come_back_as_themselves() -> None:
    async def body(workers: Workers) -> None:
        def fail() -> None:
            raise FileNotFoundError(2, "none", "/x")

        with pytest.raises(FileNotFoundError):
            await workers.run(fail, "one", SOON_S)
        assert await workers.run(lambda: 1, "one", SOON_S) == 1

    run(body)
