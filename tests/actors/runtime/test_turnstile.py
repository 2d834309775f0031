"""The turnstile: one at a time, clients in turn, and nothing lost when a wait is cancelled."""

import asyncio
import random
from typing import Any

from mechane.actors.runtime.turnstile import Turnstile

DEADLINE_S = 20.0


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    order: list[tuple[int, int]] = []

    async def body() -> None:
        gate, inside = Turnstile(), 0

        async def pass_through(client: int, number: int) -> None:
            nonlocal inside
            async with gate.turn(client):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                order.append((client, number))
                inside -= 1

        calls = [(1, number) for number in range(50)] + [(2, 0), (2, 1), (3, 0)]
        await asyncio.wait_for(asyncio.gather(*(pass_through(*call) for call in calls)), DEADLINE_S)
        async with gate.turn(4):  # and it is free again
            pass

    asyncio.run(body())
    assert {*order[1:4]} == {(1, 1), (2, 0), (3, 0)}
    assert [number for client, number in order if client == 1] == list(range(50))


def test_who_stops_waiting_costs_nobody_a_turn() -> None:
    async def body() -> None:
        gate, passed = Turnstile(), 0

        async def pass_through(client: int) -> None:
            nonlocal passed
            async with gate.turn(client):
                await asyncio.sleep(0)
                passed += 1

        chance = random.Random(4)
        tasks = [asyncio.create_task(pass_through(number % 7)) for number in range(300)]
        while not all(task.done() for task in tasks):
            chance.choice(tasks).cancel()
            await asyncio.sleep(0)
        assert passed == sum(not task.cancelled() for task in tasks) > 0
        await asyncio.wait_for(pass_through(1), DEADLINE_S)

    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))


def test_timers_run_while_many_wait() -> None:
    """A deadline is kept however many calls are ready."""

    async def body() -> None:
        gate = Turnstile()
        done = 0

        async def work() -> None:
            nonlocal done
            async with gate.turn(1):
                done += 1

        rang: list[int] = []
        tasks = [asyncio.create_task(work()) for _ in range(200)]
        asyncio.get_running_loop().call_later(0, lambda: rang.append(done))
        await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE_S)
        assert rang[0] < 200

    asyncio.run(body())


def test_those_inside_use_no_more_than_their_share() -> None:
    """A clock that moves only with the work: what one uses, the next waits for four times as long."""

    async def body() -> None:
        now, pauses = 0.0, []
        loop = asyncio.get_running_loop()
        gate = Turnstile(width=2, share=0.2, clock=lambda: now)
        real = loop.call_later

        def call_later(delay: float, *args: Any) -> asyncio.TimerHandle:
            pauses.append(round(delay, 6))
            return real(0, *args)

        async def work(client: int) -> None:
            nonlocal now
            async with gate.turn(client, cost_s=0.001):
                now += 0.01 if client == 1 else 0.0

        loop.call_later = call_later  # type: ignore[assignment,method-assign]  # to see what is asked for
        await asyncio.gather(*(work(client) for client in (1, 2, 1, 3)))
        assert sorted(pauses) == [0.004, 0.004, 0.04, 0.04]

    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))


def test_as_many_are_inside_as_it_is_wide() -> None:
    async def body() -> None:
        gate, inside, most = Turnstile(width=3), 0, 0

        async def work(client: int) -> None:
            nonlocal inside, most
            async with gate.turn(client):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(work(client % 4) for client in range(40)))
        assert most == 3
        await asyncio.gather(*(work(client) for client in range(3)))

    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))
