"""Documents while the store hangs: nobody else waits for a turn that somebody holds for the store."""

import asyncio
from types import SimpleNamespace
from typing import Any

from mechane.actors.handlers.objects import _in_turn
from mechane.actors.runtime.turnstile import Turnstile

DEADLINE_S = 10.0


def test_a_document_that_waits_for_the_store_holds_up_no_other() -> None:
    async def body() -> None:
        supervisor: Any = SimpleNamespace(documents=Turnstile())
        back = asyncio.Event()

        def call(number: int) -> Any:
            return SimpleNamespace(client=SimpleNamespace(id=number, paused=lambda: False))

        async def hung() -> str:
            await back.wait()
            return "late"

        async def at_once() -> str:
            return "early"

        async def show(text: str) -> str:
            return text

        late = [asyncio.ensure_future(_in_turn(supervisor, call(number), hung, show)) for number in range(3)]
        assert await _in_turn(supervisor, call(9), at_once, show) == "early"
        late.pop().cancel()
        back.set()
        assert await asyncio.gather(*late) == ["late", "late"]
        assert await _in_turn(supervisor, call(9), at_once, show) == "early"

    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))
