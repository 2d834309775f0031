"""One answer for all who ask the same at the same time."""

import asyncio

import pytest

from mechane.actors.runtime.sharing import MOST, Sharing
from mechane.config.errors import Busy, NoDomain


def test_one_question_runs_for_all_and_whoever_waits_may_leave() -> None:
    async def body() -> None:
        sharing, go, begun = Sharing(), asyncio.Event(), []

        async def question() -> int:
            begun.append(1)
            await go.wait()
            return 7

        first, second = (asyncio.ensure_future(sharing.ask("host", question)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert await second == 7 and begun == [1]
        assert await sharing.ask("host", question) == 7 and begun == [1, 1]

    asyncio.run(body())


def test_a_failure_is_everybodys_and_the_next_asks_anew() -> None:
    async def body() -> None:
        sharing, begun = Sharing(), []

        async def question() -> None:
            begun.append(1)
            raise NoDomain("none")

        asked = [asyncio.ensure_future(sharing.ask("host", question)) for _ in range(2)]
        for each in asked:
            with pytest.raises(NoDomain):
                await each
        with pytest.raises(NoDomain):
            await sharing.ask("host", question)
        assert begun == [1, 1]

    asyncio.run(body())


def test_different_questions_are_bounded() -> None:
    async def body() -> None:
        sharing = Sharing()
        for number in range(MOST):
            asyncio.ensure_future(sharing.ask(number, asyncio.Event().wait))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await sharing.ask("one more", asyncio.Event().wait)
        sharing.close()

    asyncio.run(body())
