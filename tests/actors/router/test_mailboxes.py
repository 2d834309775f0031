"""The router's mailboxes: fair lanes, order for each client, no call forgotten."""

import threading
import types
from typing import Any

import pytest

from mechane.actors.router.executors import Executors
from mechane.actors.router.mailboxes import PriorityMailbox
from mechane.actors.router.router import Router
from mechane.config.errors import Busy
from mechane.tests.support.wait import wait_until


class Client:
    """A client with a number."""

    def __init__(self, number: int, *, behind: bool = False) -> None:
        self.id = number
        self.behind = behind


class Call:
    """A call of a client."""

    done = False

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.number = number


def test_nobody_guesses_what_a_long_name_was_meant_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object) -> list[str]:
        raise AssertionError("difflib on a long name")

    router: Any = types.SimpleNamespace(_routes={"session.ping": None})
    assert Router._unknown(router, "session.pin").remedy == "did you mean session.ping?"
    monkeypatch.setattr("difflib.get_close_matches", refuse)
    assert Router._unknown(router, "session.pin" * 6).remedy == "session.list_calls lists them"


def test_clients_take_turns() -> None:
    box = PriorityMailbox("low", 100)
    noisy, quiet = Client(1), Client(2)
    for number in range(5):
        box.put(Call(noisy, number))  # type: ignore[arg-type]  # a double with what the mailbox reads
    box.put(Call(quiet, 0))  # type: ignore[arg-type]  # as above
    order = []
    while (taken := box.take()) is not None:
        lane, call = taken
        order.append(call.client.id)
        box.give_back(lane)
    assert order == [1, 2, 1, 1, 1, 1]
    assert not box.holds(1) and not box.holds(2)


def test_a_lane_is_handed_on_by_one_executor_at_a_time() -> None:
    box = PriorityMailbox("low", 100)
    client = Client(1)
    box.put(Call(client, 0))  # type: ignore[arg-type]  # as above
    box.put(Call(client, 1))  # type: ignore[arg-type]  # as above
    taken = box.take()
    assert taken is not None
    assert box.take() is None
    assert box.give_back(taken[0])
    assert box.take() is not None


def test_a_full_mailbox_says_so() -> None:
    box = PriorityMailbox("low", 1)
    box.put(Call(Client(1), 0))  # type: ignore[arg-type]  # as above
    with pytest.raises(Busy) as refused:
        box.put(Call(Client(2), 0))  # type: ignore[arg-type]  # as above
    assert refused.value.details["what"] == "low"


def test_who_reads_goes_behind_who_administers() -> None:
    box = PriorityMailbox("high", 100)
    for number in range(3):
        box.put(Call(Client(number, behind=True), 0))  # type: ignore[arg-type]  # as above
    first = box.take()
    assert first is not None and first[1].client.id == 0
    assert box.take() is None, "readers had more than their executor"
    box.put(Call(Client(9), 0))  # type: ignore[arg-type]  # as above
    second = box.take()
    assert second is not None and second[1].client.id == 9, "a reader went first"
    assert not box.give_back(second[0])
    assert box.give_back(first[0]), "nobody is told that the next reader may go"
    third = box.take()
    assert third is not None and third[1].client.id == 1


def test_readers_leave_a_quarter_of_the_mailbox() -> None:
    box = PriorityMailbox("high", 8)
    for number in range(6):
        box.put(Call(Client(number, behind=True), 0))  # type: ignore[arg-type]  # as above
    with pytest.raises(Busy):
        box.put(Call(Client(7, behind=True), 0))  # type: ignore[arg-type]  # as above
    box.put(Call(Client(8), 0))  # type: ignore[arg-type]  # as above


def test_executors_serve_every_reader_in_the_end() -> None:
    served: list[tuple[int, int]] = []
    pool = Executors(
        PriorityMailbox("high", 10**6), PriorityMailbox("low", 10**6),
        lambda call: served.append((call.client.id, call.number)),  # type: ignore[attr-defined]  # a double's number
        prio_workers=3, min_workers=2, max_workers=2,
    )  # fmt: skip
    pool.start()
    try:
        for number in range(200):
            for reader in range(20):
                pool.submit_high(Call(Client(reader, behind=reader % 5 != 0), number))  # type: ignore[arg-type]  # as above
        wait_until(lambda: len(served) == 4000, 20, "all calls")
        for reader in range(20):
            assert [number for who, number in served if who == reader] == list(range(200))
    finally:
        pool.stop()


def test_executors_keep_each_clients_order_and_lose_nothing() -> None:
    seen: dict[int, list[int]] = {number: [] for number in range(10)}

    def handle(call: Any) -> None:
        seen[call.client.id].append(call.number)

    pool = Executors(
        PriorityMailbox("high", 10**6), PriorityMailbox("low", 10**6), handle, prio_workers=2, min_workers=3,
        max_workers=6,
    )  # fmt: skip
    pool.start()
    clients = [Client(number) for number in range(10)]
    try:
        for number in range(500):
            for client in clients:
                call: Any = Call(client, number)
                (pool.submit_high if client.id % 2 else pool.submit_low)(call)
        wait_until(lambda: all(len(calls) == 500 for calls in seen.values()), 20)
    finally:
        pool.stop()
    assert all(calls == list(range(500)) for calls in seen.values())


def test_reserved_executors_serve_high_while_ordinary_ones_are_stuck() -> None:
    gate, served = threading.Event(), threading.Event()

    def handle(call: Any) -> None:
        if call.number < 0:
            gate.wait(20)
        else:
            served.set()

    pool = Executors(
        PriorityMailbox("high", 100), PriorityMailbox("low", 100), handle, prio_workers=1, min_workers=1,
        max_workers=2,
    )  # fmt: skip
    pool.start()
    try:
        for number in range(8):
            stuck: Any = Call(Client(number), -1)
            pool.submit_low(stuck)

        def two_are_busy() -> bool:
            pool.tend()
            return pool.busy >= 2

        wait_until(two_are_busy, 10)
        call: Any = Call(Client(99), 1)
        pool.submit_high(call)
        assert served.wait(10)
    finally:
        gate.set()
        pool.stop()


def test_a_bug_in_an_executor_is_survived() -> None:
    done = threading.Event()

    def handle(call: Any) -> None:
        if call.number == 0:
            raise RuntimeError("bug")
        done.set()

    pool = Executors(
        PriorityMailbox("high", 100), PriorityMailbox("low", 100), handle, prio_workers=1, min_workers=1,
        max_workers=1,
    )  # fmt: skip
    pool.start()
    try:
        first: Any = Call(Client(1), 0)
        second: Any = Call(Client(1), 1)
        pool.submit_low(first)
        pool.submit_low(second)
        assert done.wait(10)
        wait_until(lambda: pool.describe()["present"] == 1, 5)
    finally:
        pool.stop()
