"""The two-lane mailbox: order, bounds, closing."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.actors.runtime.mailbox import Mailbox
from mechane.config.errors import Busy, NoDomain


def test_calls_leave_in_order_and_control_is_never_refused() -> None:
    box: Mailbox[int] = Mailbox(2, "domain a")
    box.offer(1)
    box.offer(2)
    with pytest.raises(Busy) as refused:
        box.offer(3)
    assert refused.value.details["limit"] == 2
    for number in range(1000):
        box.post(number)
    assert [box.take_control() for _ in range(1001)] == [*range(1000), None]
    assert [box.take_call(), box.take_call(), box.take_call()] == [1, 2, None]


def test_readers_leave_room_for_those_who_administer() -> None:
    box: Mailbox[int] = Mailbox(8, "domain a")
    for number in range(6):
        box.offer(number, read_only=True)
    with pytest.raises(Busy) as refused:
        box.offer(6, read_only=True)
    assert refused.value.details["limit"] == 6
    box.offer(7)
    box.offer(8)
    with pytest.raises(Busy):
        box.offer(9)
    one: Mailbox[int] = Mailbox(1, "domain b")
    one.offer(1, read_only=True)


def test_own_work_goes_first_even_when_full_or_closed() -> None:
    box: Mailbox[str] = Mailbox(1, "domain a")
    box.offer("call")
    box.urge("clean")
    assert box.close() == ["clean", "call"]
    box.urge("clean")
    assert box.take_call() == "clean"
    with pytest.raises(NoDomain):
        box.offer("call")


def test_a_waker_that_comes_late_hears_of_what_waits() -> None:
    box: Mailbox[int] = Mailbox(4, "domain a")
    box.offer(1)
    woken: list[int] = []
    box.connect(lambda: woken.append(1))
    box.post("x")
    assert woken == [1, 1]
    box.connect(None)
    box.offer(2)
    assert woken == [1, 1]


@given(st.lists(st.sampled_from(["offer", "take", "remove"]), max_size=60))
def test_it_behaves_as_a_bounded_queue(steps: list[str]) -> None:
    box: Mailbox[int] = Mailbox(5, "domain a")
    model: list[int] = []
    for number, step in enumerate(steps):
        if step == "offer":
            if len(model) < 5:
                box.offer(number)
                model.append(number)
            else:
                with pytest.raises(Busy):
                    box.offer(number)
        elif step == "take":
            assert box.take_call() == (model.pop(0) if model else None)
        elif model:
            assert box.remove(model[len(model) // 2])
            del model[len(model) // 2]
        assert len(box) == len(model)
        assert box.waiting() == model


def test_many_threads_never_pass_the_bound() -> None:
    box: Mailbox[int] = Mailbox(50, "domain a")
    taken: list[int] = []
    refused: list[int] = []

    def work(base: int) -> None:
        for number in range(base, base + 100):
            try:
                box.offer(number)
                taken.append(number)
            except Busy:
                refused.append(number)

    threads = [threading.Thread(target=work, args=(base * 100,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(taken) == 50
    assert len(refused) == 750


class Call:
    """A call of a client."""

    def __init__(self, client: object, *, done: bool = False) -> None:
        self.client = client
        self.done = done


def test_a_full_mailbox_lets_go_of_what_nobody_waits_for() -> None:
    box: Mailbox[Call] = Mailbox(4, "d")
    for _ in range(3):
        box.offer(Call("gave up", done=True))
    box.offer(Call("waits"))
    box.offer(Call("new"))
    assert [call.client for call in box.waiting()] == ["waits", "new"]


def test_one_reader_fills_an_eighth() -> None:
    box: Mailbox[Call] = Mailbox(64, "d")
    for reader in range(2):
        for _ in range(8):
            box.offer(Call(reader), read_only=True)
        with pytest.raises(Busy):
            box.offer(Call(reader), read_only=True)
    for _ in range(30):
        box.offer(Call("administrator"))
