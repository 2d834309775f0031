"""Calls that wait for a worker: bounded, first come first served, each answered exactly once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...config.errors import Busy, Cancelled, DeadlineExceeded, MechaneError

Done = Callable[[Any], None]
"""Gets the result, or a MechaneError."""


class Job:
    """One call of a function."""

    __slots__ = ("cancelled", "deadline_at", "deadline_s", "done", "function", "request")

    def __init__(self, function: str, request: bytes, done: Done, deadline_s: float) -> None:
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


class JobQueue:
    """Hold jobs for the `offload` threads."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self.max_jobs = max_jobs
        self.max_bytes = max_bytes
        self.closed = False
        self._changed = threading.Condition(threading.Lock())
        self._jobs: deque[Job] = deque()
        self._bytes = 0

    def put(self, job: Job) -> None:
        """Queue a job. Any thread; never waits.

        Raises: Busy when full, Cancelled when closed.
        """
        with self._changed:
            if self.closed:
                raise Cancelled("the node is stopping")
            if len(self._jobs) >= self.max_jobs or self._bytes + len(job.request) > self.max_bytes:
                raise Busy(
                    "too much waits for the worker process",
                    remedy="try again",
                    what="offload queue",
                    limit=self.max_jobs,
                    limit_bytes=self.max_bytes,
                )
            self._jobs.append(job)
            self._bytes += len(job.request)
            self._changed.notify()

    def take(self) -> Job | None:
        """Wait for the next job; None when closed. An `offload` thread."""
        with self._changed:
            while not self._jobs and not self.closed:
                self._changed.wait()
            if self.closed:
                return None
            job = self._jobs.popleft()
            self._bytes -= len(job.request)
            return job

    def take_expired(self, now: float) -> list[Job]:
        """Take out the jobs whose deadline passed while they waited. An `offload` thread."""
        with self._changed:
            expired = [job for job in self._jobs if job.deadline_at <= now or job.cancelled]
            if expired:
                self._jobs = deque(job for job in self._jobs if not (job.deadline_at <= now or job.cancelled))
                self._bytes -= sum(len(job.request) for job in expired)
            return expired

    def close(self) -> list[Job]:
        """Accept no more, wake the threads, return what waited. Any thread."""
        with self._changed:
            self.closed = True
            left, self._jobs = list(self._jobs), deque()
            self._bytes = 0
            self._changed.notify_all()
            return left

    def __len__(self) -> int:
        return len(self._jobs)


def stopping() -> MechaneError:
    """Build the answer for jobs that are dropped because the node stops."""
    return Cancelled("the node is stopping")
