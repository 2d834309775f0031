"""Run pure functions in worker processes, so that their work never holds the node's interpreter lock.

Guarantees:

- Clients take turns, and those of the read-only socket go when nobody else waits (jobs.py).
- `submit` never waits; `done` is called exactly once, on an `offload` thread (a refusal: at once, on the
  caller's), with the result or a MechaneError.
- A call whose deadline passes is answered DeadlineExceeded, in the queue within 0.1 s, while running at
  once; its worker is killed and started anew.
- A worker that dies fails the call that it ran (InternalError says how it died); those that wait run on the
  next worker. A function that meets its memory limit fails alone too.
- Workers end with the node, however that ends.

One `offload` thread for each worker does all its talking; measured 180 µs for a small call and back.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ...config.errors import InternalError, InvalidArgument, MechaneError
from ..runtime.asker import asker
from ..stores.aio import settler
from .frames import frame
from .jobs import Done, Job, JobQueue, stopping
from .process import WorkerGone, WorkerProcess, gone_error
from .worker import Kind, Setup, allowed

PREFIXES = ("mechane.config", "mechane.hypervisors")
MEMORY_BYTES = 512 * 1024 * 1024
QUEUE_JOBS = 1000
QUEUE_BYTES = 64 * 1024 * 1024
NICE = 5
"""Workers give way to the node where processors are few (nice(2))."""

log = logging.getLogger("mechane.offload")


class _Stopping(Exception):
    """Raised inside a waiting `offload` thread when the node stops."""


class Offload:
    """Hand functions to worker processes."""

    def __init__(
        self,
        *,
        workers: int = 1,
        memory_bytes: int = MEMORY_BYTES,
        modules: tuple[str, ...] = (),
        prefixes: tuple[str, ...] = PREFIXES,
        queue_jobs: int = QUEUE_JOBS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Prepare nothing yet.

        Args:
            workers: how many processes.
            memory_bytes: address space of each (RLIMIT_AS).
            modules: imported by each worker when it starts, so that first calls are fast.
            prefixes: packages whose functions may be run.
            queue_jobs: most calls that wait.
            queue_bytes: most bytes of arguments that wait.
        """
        self._prefixes = prefixes
        self._setup = Setup(
            memory_bytes=memory_bytes,
            nice=NICE,
            prefixes=prefixes,
            path=[folder for folder in sys.path if folder],
            modules=modules,
        )
        self._queue = JobQueue(queue_jobs, queue_bytes)
        self._workers: dict[int, WorkerProcess] = {}
        self._restarts = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"offload-{slot}", daemon=True)
            for slot in range(workers)
        ]

    def start(self) -> None:
        """Start the threads, which start the workers in the background; returns at once."""
        for thread in self._threads:
            thread.start()

    def submit(
        self, function: str | Callable[..., Any], args: tuple[Any, ...], done: Done, deadline_s: float
    ) -> Job | None:
        """Run `function(*args)` in a worker and call `done` with the result or a MechaneError.

        Any thread; never waits. Setting `cancelled` on the job that is returned drops it if it still waits.

        Args:
            function: "module:qualname", or a function of a module's top level, below the allowed prefixes.
            args: plain data; 64 KiB there and back cost the node 0.2 ms (measured).
            done: called once; must return quickly.
            deadline_s: seconds from now, waiting included.
        """
        try:
            name = self._checked(function)
            job = Job(name, _request(name, args, deadline_s), done, deadline_s, asker())
            self._queue.put(job)
        except MechaneError as refusal:
            done(refusal)
            return None
        return job

    async def run(self, function: str | Callable[..., Any], /, *args: Any, deadline_s: float) -> Any:
        """Run a function in a worker and wait for its result. Cancelling is safe at any moment.

        Raises: DeadlineExceeded, Busy, Cancelled (the node stops), InternalError, and what the function
            raises from config.errors.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job = self.submit(function, args, settler(answer), deadline_s)
        try:
            return await answer
        finally:
            if job is not None:
                job.cancelled = True

    def pids(self) -> list[int]:
        """Return the process ids of the workers. Any thread."""
        return [worker.pid for worker in list(self._workers.values())]

    def pending(self) -> int:
        """Return how many calls wait. Any thread."""
        return len(self._queue)

    @property
    def restarts(self) -> int:
        """How often a worker was started in place of another."""
        return self._restarts

    def close(self, deadline_s: float) -> None:
        """End the workers; calls that wait or run are answered Cancelled. Waits at most `deadline_s`."""
        for job in self._queue.close():
            self._answer(job, stopping())
        deadline = time.monotonic() + deadline_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _checked(self, function: str | Callable[..., Any]) -> str:
        name = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
        module, colon, qualname = name.partition(":")
        if not colon or not allowed(module, self._prefixes) or "<" in qualname:
            raise InvalidArgument(
                f"{name} cannot run in a worker process",
                remedy=f"name a top-level function of {' or '.join(self._prefixes)}",
                value=name,
            )
        return name

    def _serve(self, slot: int) -> None:
        """Run jobs on the worker of this slot until closed. An `offload` thread."""
        self._respawn(slot)
        while (job := self._queue.take()) is not None:
            now = time.monotonic()
            if job.cancelled:
                continue
            if job.deadline_at <= now:
                self._answer(job, job.too_late("waited for the worker process"))
                continue
            self._answer(job, self._run(slot, job))
        self._end(slot)

    def _run(self, slot: int, job: Job) -> Any:
        """Run one job and return its answer; the worker is ready for the next one afterwards."""
        try:
            worker = self._workers.get(slot)
            if worker is None or not worker.alive():
                worker = self._respawn(slot)
            if worker is None:
                return InternalError("no worker process could be started", function=job.function)
            kind, value = worker.call(job.request, job.deadline_at, self._tick)
        except TimeoutError:
            self._respawn(slot)
            return job.too_late("the worker process was ended")
        except WorkerGone as gone:
            log.error("a worker process ended during %s: %s", job.function, gone)
            self._respawn(slot)
            return gone_error(job.function, gone)
        except _Stopping:
            return stopping()
        except Exception as bug:  # the edge of the offload thread: an answer that cannot be read, …
            log.exception("a bug in offload")
            self._respawn(slot)
            return InternalError(f"{job.function} failed in the worker process: {bug!r}")
        if kind is Kind.OUT_OF_MEMORY:
            self._respawn(slot)  # what it still holds is unknown
        return self._meaning(job, kind, value)

    def _meaning(self, job: Job, kind: Kind, value: Any) -> Any:
        """Turn a worker's answer into a result or an error."""
        if kind is Kind.RESULT or kind is Kind.ERROR:
            return value
        if kind is Kind.OUT_OF_MEMORY:
            limit = self._setup.memory_bytes // 1024**2
            return InternalError(
                f"{job.function} needs more memory than its limit of {limit} MiB",
                remedy="give it smaller input",
                function=job.function,
            )
        text, trace = value
        log.error("a bug in %s:\n%s", job.function, trace)
        return InternalError(f"{job.function} failed: {text}", function=job.function)

    def _tick(self) -> None:
        """Answer what expired in the queue while a job runs; give up when the node stops."""
        for job in self._queue.take_expired(time.monotonic()):
            if not job.cancelled:
                self._answer(job, job.too_late("waited for the worker process"))
        if self._queue.closed:
            raise _Stopping

    def _respawn(self, slot: int) -> WorkerProcess | None:
        """End the slot's worker, if any, and start a new one; None when that fails or the node stops."""
        if self._end(slot):
            self._restarts += 1
        if self._queue.closed:
            return None
        try:
            worker = self._workers[slot] = WorkerProcess(self._setup)
        except OSError:
            log.exception("a worker process cannot be started")
            return None
        return worker

    def _end(self, slot: int) -> bool:
        worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.end()
        return worker is not None

    def _answer(self, job: Job, outcome: Any) -> None:
        try:
            job.done(outcome)
        except Exception:  # the edge of the offload thread: one caller's bug is not another's
            log.exception("a caller of %s failed in its callback", job.function)


def _request(name: str, args: tuple[Any, ...], deadline_s: float) -> bytes:
    try:
        return frame((name, args, deadline_s))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as cause:
        raise InvalidArgument(f"the arguments of {name} are no plain data: {cause}", value=name) from cause
