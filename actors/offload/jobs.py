"""Calls that wait for a worker: bounded, each answered exactly once, clients in turn.

Those of clients of the read-only socket go when nobody else waits, and fill three quarters of the queue at most; one
of them fills an eighth.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...config.errors import Busy, Cancelled, DeadlineExceeded, MechaneError
from ..runtime.asker import NOBODY, Asker

Done = Callable[[Any], None]
"""Gets the result, or a MechaneError."""


class Job:
    """One call of a function."""

    __slots__ = ("asker", "cancelled", "deadline_at", "deadline_s", "done", "function", "request")

    def __init__(
        self, function: str, request: bytes, done: Done, deadline_s: float, asker: Asker = NOBODY
    ) -> None:  # fmt: skip
        self.asker = asker
        self.function = function
        self.request = request
        self.done = done
        self.deadline_s = deadline_s
        self.deadline_at = time.monotonic() + deadline_s
        self.cancelled = False

    def too_late(self, where: str) -> DeadlineExceeded:
        """Build the error for a call whose deadline passed."""
        return DeadlineExceeded(
            f"{self.function} did not finish within {self.deadline_s:g} s ({where})",
            remedy="give it more time, or smaller input",
            function=self.function,
            still_running=False,
        )


class _Lanes:
    """The jobs of one class of clients: each client's in their order, clients in turn."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self._lanes: dict[int, deque[Job]] = {}

    def waiting_of(self, client: int) -> int:
        return len(self._lanes.get(client, ()))

    def put(self, job: Job) -> None:
        self._lanes.setdefault(job.asker.client, deque()).append(job)
        self._count(job, 1)

    def take(self) -> Job:
        client = next(iter(self._lanes))
        lane = self._lanes.pop(client)
        job = lane.popleft()
        if lane:
            self._lanes[client] = lane  # behind all others
        self._count(job, -1)
        return job

    def take_all(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Take out those that are wanted, in no order."""
        found = [job for lane in self._lanes.values() for job in lane if wanted(job)]
        if found:
            gone = set(found)
            left = {client: deque(job for job in lane if job not in gone) for client, lane in self._lanes.items()}
            self._lanes = {client: lane for client, lane in left.items() if lane}
            for job in found:
                self._count(job, -1)
        return found

    def _count(self, job: Job, step: int) -> None:
        self.count += step
        self.bytes += step * len(job.request)


class JobQueue:
    """Hold jobs for the `offload` threads."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self.max_jobs = max_jobs
        self.max_bytes = max_bytes
        self.closed = False
        self._changed = threading.Condition(threading.Lock())
        self._first = _Lanes()
        self._behind = _Lanes()

    def put(self, job: Job) -> None:
        """Queue a job. Any thread; never waits.

        Raises: Busy when full, Cancelled when closed.
        """
        behind, size = job.asker.reads, len(job.request)
        part = 3 / 4 if behind else 1
        with self._changed:
            if self.closed:
                raise Cancelled("the node is stopping")
            others = self._first.bytes + self._behind.bytes
            greedy = behind and self._behind.waiting_of(job.asker.client) >= max(1, self.max_jobs // 8)
            if greedy or len(self) >= max(1, self.max_jobs * part) or others + size > self.max_bytes * part:
                raise Busy(
                    "too much waits for the worker process",
                    remedy="try again",
                    what="offload queue",
                    limit=self.max_jobs,
                    limit_bytes=self.max_bytes,
                )
            (self._behind if behind else self._first).put(job)
            self._changed.notify()

    def take(self) -> Job | None:
        """Wait for the next job; None when closed. An `offload` thread."""
        with self._changed:
            while not len(self) and not self.closed:
                self._changed.wait()
            if self.closed:
                return None
            return (self._first if self._first.count else self._behind).take()

    def take_expired(self, now: float) -> list[Job]:
        """Take out the jobs whose deadline passed while they waited. An `offload` thread."""

        def expired(job: Job) -> bool:
            return job.deadline_at <= now or job.cancelled

        with self._changed:
            return self._first.take_all(expired) + self._behind.take_all(expired)

    def close(self) -> list[Job]:
        """Accept no more, wake the threads, return what waited. Any thread."""
        with self._changed:
            self.closed = True
            left = self._first.take_all(lambda _: True) + self._behind.take_all(lambda _: True)
            self._changed.notify_all()
            return left

    def __len__(self) -> int:
        return self._first.count + self._behind.count


def stopping() -> MechaneError:
    """Build the answer for jobs that are dropped because the node stops."""
    return Cancelled("the node is stopping")
