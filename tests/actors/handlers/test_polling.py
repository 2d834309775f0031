"""Polls of statistics: one order for all who ask, taken back when nobody waits."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from mechane.actors.cells.cell import Cell
from mechane.actors.cells.directory import Entry
from mechane.actors.cells.snapshot import Snapshot
from mechane.actors.handlers.polling import Polls
from mechane.actors.runtime.mailbox import Mailbox
from mechane.config.errors import Busy

CPU, BLOCK = frozenset({"cpu"}), frozenset({"block"})
DEADLINE_S = 10.0


class Log:
    """Takes events and forgets them."""

    def append(self, event: object, /) -> None:
        return


def entry(limit: int = 4) -> Entry:
    snapshot = Snapshot(uuid="00000000-0000-4000-8000-000000000001", name="d", node="here", connection="test:///default")
    return Entry(Cell(snapshot, Log(), lambda: 0.0), Mailbox(limit, "d"), visible=True)


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(body, DEADLINE_S))


def taken(one: Entry) -> Any:
    """Take the order that waits, as the domain's actor does."""
    return one.mailbox.take_call()


async def turns(count: int = 5) -> None:
    """Let callbacks run."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_thousand_polls_leave_one_order_and_all_get_its_answer() -> None:
    async def body() -> None:
        one, polls = entry(), Polls()
        asked = [polls.ask(one, CPU, 1.0, read_only=number % 2 == 0) for number in range(1000)]
        assert len(one.mailbox) == 1
        order = taken(one)
        order.done({"cpu.time": 7})
        assert await asyncio.gather(*asked) == [{"cpu.time": 7}] * 1000
        polls.ask(one, CPU, 1.0, read_only=True)
        assert len(one.mailbox) == 1, "the next poll is not asked"

    run(body())


def test_an_order_that_nobody_waits_for_is_taken_back() -> None:
    async def body() -> None:
        one, polls = entry(), Polls()
        asked = [polls.ask(one, CPU, 1.0, read_only=True) for _ in range(3)]
        for number, future in enumerate(asked):
            assert len(one.mailbox) == 1, number
            future.cancel()
            await turns()
        assert len(one.mailbox) == 0

    run(body())


def test_who_asks_for_more_widens_the_order_that_waits() -> None:
    async def body() -> None:
        one, polls = entry(), Polls()
        first = polls.ask(one, CPU, 1.0, read_only=True)
        second = polls.ask(one, BLOCK, 1.0, read_only=True)
        third = polls.ask(one, CPU, 1.0, read_only=True)
        order = taken(one)
        assert order.args["groups"] == CPU | BLOCK and len(one.mailbox) == 0
        order.done("both")
        assert list(await asyncio.gather(first, second, third)) == ["both"] * 3

    run(body())


def test_while_one_runs_no_more_than_one_waits() -> None:
    async def body() -> None:
        one, polls = entry(), Polls()
        running = polls.ask(one, CPU, 1.0, read_only=True)
        order = taken(one)
        joined = polls.ask(one, CPU, 1.0, read_only=True)
        assert len(one.mailbox) == 0
        others = [polls.ask(one, groups, 1.0, read_only=True) for groups in (BLOCK, BLOCK | CPU, CPU)]
        assert len(one.mailbox) == 1
        order.done("old")
        assert list(await asyncio.gather(running, joined)) == ["old", "old"]
        taken(one).done("new")
        assert await asyncio.gather(*others) == ["new"] * 3

    run(body())


def test_a_full_mailbox_refuses_and_leaves_nothing() -> None:
    async def body() -> None:
        one, polls = entry(limit=1), Polls()
        one.mailbox.offer(object())
        for _ in range(3):
            assert isinstance(await polls.ask(one, CPU, 1.0, read_only=False), Busy)
        one.mailbox.take_call()
        polls.ask(one, CPU, 1.0, read_only=False)
        assert len(one.mailbox) == 1

    run(body())
