"""A loop over file descriptors, timers and functions handed in by other threads.

Why not asyncio: a call answered from memory costs about 8 µs here; asyncio's transports,
protocols and call_soon handles take several times that for each message (measured).

Guarantees:
- `call` is the only method for other threads; everything else belongs to the loop thread.
- A handler that raises is logged, loses its descriptor, and nobody else notices.
- A socket given to `close_later` is closed after the turn, so that its number cannot be
  given to a new client while events of the old one are still in hand.
- Whoever asked for `soon` gets one go each turn, with all descriptors in between.
- Descriptors added `aside` and what was handed to `aside_soon` share a bounded part of each turn (aside.py).
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import select
from collections import deque
from collections.abc import Callable
from typing import Protocol

from .aside import Aside
from .poller import Poller

IN = select.EPOLLIN
OUT = select.EPOLLOUT
BROKEN = select.EPOLLHUP | select.EPOLLERR
EVENTS_PER_TURN = 256
LONGEST_WAIT_S = 3600.0

Handler = Callable[[int], None]
"""Called with the epoll mask of its descriptor."""


class Closable(Protocol):
    """Something whose descriptor is closed at the end of a turn."""

    def close(self) -> None: ...


class Loop:
    """See the guarantees above. Made by one thread, run by another."""

    def __init__(self, clock: Callable[[], float], log: logging.Logger) -> None:
        """Open the epoll and the wake-up descriptor.

        Args:
            clock: monotonic seconds.
            log: where a handler that raises is told.
        """
        self.clock = clock
        self._log = log
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, IN)
        self._aside = Aside(log)
        self._aside_ready = False
        self._resting = False
        self._epoll.register(self._aside, IN)
        self._handlers: dict[int, Handler] = {self._wake_fd: self._woken, self._aside.fileno(): self._aside_has}
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_asked = False
        self._ready: list[Callable[[], None]] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_number = 0
        self._closing: list[Closable] = []
        self._stopping = False
        self._closed = False

    def call(self, function: Callable[[], None]) -> None:
        """Run a function on the loop thread soon; any thread, never blocks."""
        self._calls.append(function)
        if not self._wake_asked and not self._closed:
            self._wake_asked = True
            with contextlib.suppress(OSError):  # full counter: awake already; closed: nobody to wake
                os.eventfd_write(self._wake_fd, 1)

    def add(self, fd: int, mask: int, handler: Handler, *, aside: bool = False) -> None:
        """Watch a descriptor, level-triggered; `aside`: it must not delay the others."""
        if aside:
            self._aside.add(fd, mask, handler)
            return
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        """Watch a descriptor for something else."""
        if fd in self._aside:
            self._aside.change(fd, mask)
            return
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Watch a descriptor no longer; nothing happens when it is not watched."""
        if fd in self._aside:
            self._aside.remove(fd)
        elif self._handlers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # closed by its owner: the kernel dropped it already
                self._epoll.unregister(fd)

    def close_later(self, closable: Closable) -> None:
        """Close something at the end of this turn."""
        self._closing.append(closable)

    def soon(self, function: Callable[[], None]) -> None:
        """Run a function in the next turn, after the descriptors."""
        self._ready.append(function)

    def aside_soon(self, function: Callable[[], None]) -> None:
        """Run a function in a later turn, in the share of those who must not delay the others."""
        self._aside.soon(function)

    def later(self, delay_s: float, function: Callable[[], None]) -> None:
        """Run a function once, `delay_s` seconds from now."""
        self._timer_number += 1
        heapq.heappush(self._timers, (self.clock() + delay_s, self._timer_number, function))

    def stop(self) -> None:
        """End `run` after this turn; on the loop thread (others: `call(loop.stop)`)."""
        self._stopping = True

    def close(self) -> None:
        """Close the loop's own descriptors: `run` does it, others only for a loop that never ran."""
        if not self._closed:
            self._closed = True
            self._close_all()
            self._aside.close()
            self._epoll.close()
            os.close(self._wake_fd)

    def run(self) -> None:
        """Serve until `stop`; then close the loop's own descriptors."""
        poll = Poller(self._epoll).poll
        handlers, aside = self._handlers, self._aside
        try:
            while not self._stopping:
                for fd, mask in poll(self._timeout_s(), EVENTS_PER_TURN):
                    handler = handlers.get(fd)
                    if handler is not None:
                        try:
                            handler(mask)
                        except Exception:  # noqa: BLE001 - the edge: one descriptor's bug must not end the others
                            self._failed(fd)
                if self._calls:
                    self._run_calls()
                if self._ready:
                    ready, self._ready = self._ready, []
                    self._run_all(ready)
                if self._timers:
                    self._run_timers()
                if self._aside_ready or aside.waiting or self._resting:
                    self._run_aside()
                if self._closing:
                    self._close_all()
        finally:
            self.close()

    def _timeout_s(self) -> float:
        if self._ready or self._calls:
            return 0.0
        longest = LONGEST_WAIT_S
        if self._resting:
            longest = self._aside.rest_s()
        elif self._aside.waiting:
            return 0.0
        if self._timers:
            return min(max(self._timers[0][0] - self.clock(), 0.0), longest)
        return longest

    def _run_aside(self) -> None:
        """Give those aside their share, unless they rest; while they do, their descriptors wake nobody."""
        aside = self._aside
        if not aside.rest_s():
            self._aside_ready = False
            aside.run()
        resting = aside.rest_s() > 0
        if resting is not self._resting:
            self._resting = resting
            self._epoll.modify(aside, 0 if resting else IN)

    def _aside_has(self, _mask: int) -> None:
        self._aside_ready = True

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):  # read by an earlier turn
            os.eventfd_read(self._wake_fd)
        self._wake_asked = False

    def _run_calls(self) -> None:
        """Run what other threads handed in, up to what was there when we began.

        The flag falls before the first one runs: whoever appends later wakes us anew, and
        what was appended before is in the deque already.
        """
        self._wake_asked = False
        calls = self._calls
        self._run_all([calls.popleft() for _ in range(len(calls))])

    def _run_all(self, functions: list[Callable[[], None]]) -> None:
        for function in functions:
            try:
                function()
            except Exception:  # noqa: BLE001 - the edge, as above
                self._log.exception("gateway: a function handed in failed")

    def _run_timers(self) -> None:
        now = self.clock()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        if due:
            self._run_all(due)

    def _close_all(self) -> None:
        closing, self._closing = self._closing, []
        for closable in closing:
            with contextlib.suppress(OSError):  # the peer reset it first
                closable.close()

    def _failed(self, fd: int) -> None:
        self._log.exception("gateway: the handler of descriptor %d failed; it is no longer watched", fd)
        self.remove(fd)

