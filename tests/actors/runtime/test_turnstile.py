"""The turnstile: one at a time, clients in turn, and nothing lost when a wait is cancelled."""

import asyncio
import random

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
