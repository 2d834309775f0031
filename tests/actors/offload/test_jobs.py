"""The queue of the worker process: clients in turn, readers behind, and never all of it for them."""

import pytest

from mechane.actors.offload.jobs import Job, JobQueue
from mechane.actors.runtime.asker import Asker
from mechane.config.errors import Busy


def job(client: int, *, reads: bool = False, size: int = 1, deadline_s: float = 60.0) -> Job:
    return Job("f", b"x" * size, lambda _: None, deadline_s, Asker(client, reads))


def order(queue: JobQueue) -> list[int]:
    taken = []
    while len(queue):
        found = queue.take()
        assert found is not None
        taken.append(found.asker.client)
    return taken


def test_clients_take_turns_and_readers_come_last() -> None:
    queue = JobQueue(100, 1000)
    for client in (7, 7, 7, 8):
        queue.put(job(client, reads=True))
    for client in (1, 1, 1, 2, 0):
        queue.put(job(client))
    assert order(queue) == [1, 2, 0, 1, 1, 7, 8, 7, 7]


def test_readers_leave_a_quarter_and_one_of_them_seven_eighths() -> None:
    queue = JobQueue(32, 1000)
    for client in range(6):
        for _ in range(4):
            queue.put(job(client, reads=True))
        with pytest.raises(Busy):
            queue.put(job(client, reads=True))
    with pytest.raises(Busy):
        queue.put(job(99, reads=True))
    for _ in range(8):
        queue.put(job(100))
    with pytest.raises(Busy):
        queue.put(job(100))


def test_readers_leave_a_quarter_of_the_bytes() -> None:
    queue = JobQueue(100, 100)
    queue.put(job(1, reads=True, size=75))
    with pytest.raises(Busy):
        queue.put(job(2, reads=True))
    queue.put(job(3, size=25))


def test_what_is_late_is_taken_out_of_all_lanes_and_counted() -> None:
    queue = JobQueue(100, 1000)
    late = [job(client, reads=client > 2, deadline_s=-1) for client in (1, 3)]
    for one in (*late, job(1), job(3, reads=True)):
        queue.put(one)
    assert set(queue.take_expired(late[0].deadline_at + 0.1)) == set(late)
    assert len(queue) == 2 and order(queue) == [1, 3]
    queue.put(job(1))
    assert len(queue.close()) == 1 and queue.take() is None
