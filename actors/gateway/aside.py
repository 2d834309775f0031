"""Descriptors and functions of clients who must not delay the others: readers, and those with some grants only.

They have an epoll of their own inside the loop's, and in each turn of the loop, after everybody else, they get
`SHARE_S` together: one step of each client after the other, and whoever had no step goes first in the next turn. So
whatever two hundred of them send, a call of an administrator waits for a share and for one step that overran it. When a
share is used up they rest as long as it took, so that other threads have the interpreter for half of the time.

Guarantees: clients go in rounds, nobody has two steps in one; a step that raises is logged, loses its descriptor, and
nobody else notices. Loop's thread only.
"""

from __future__ import annotations

import contextlib
import logging
import select
import time
from collections import deque
from collections.abc import Callable
from functools import partial

SHARE_S = 0.001
"""Of each turn of the loop, for all of them together."""
LONGEST_REST_S = 0.005
MOST_AT_ONCE = 256
"""Descriptors looked at for one round."""

Handler = Callable[[int], None]
Step = Callable[[], None]


class Aside:
    """See the module."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.perf_counter) -> None:
        """Open the epoll.

        Args:
            log: where a step that raises is told.
            clock: seconds, of a fine clock.
        """
        self._log = log
        self._clock = clock
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._round: deque[Step] = deque()
        self._next: list[Step] = []
        self.waiting = False
        """Whether any step waits for its turn."""
        self._rested_at = 0.0

    def fileno(self) -> int:
        """Return the descriptor that is readable while any of them has something."""
        return self._epoll.fileno()

    def __contains__(self, fd: int) -> bool:
        return fd in self._handlers

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch a descriptor, level-triggered."""
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        """Watch a descriptor for something else."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Watch a descriptor no longer."""
        del self._handlers[fd]
        with contextlib.suppress(OSError):  # closed by its owner: the kernel dropped it already
            self._epoll.unregister(fd)

    def soon(self, step: Step) -> None:
        """Take a step in the next round."""
        self._next.append(step)
        self.waiting = True

    def rest_s(self) -> float:
        """Return for how long they rest from now on; 0.0 when they do not."""
        return max(self._rested_at - self._clock(), 0.0)

    def run(self) -> None:
        """Take steps for `SHARE_S`, at most one round."""
        self._take_steps()
        self.waiting = bool(self._round or self._next)

    def _take_steps(self) -> None:
        steps, clock = self._round, self._clock
        began = clock()
        until = began + SHARE_S
        if not steps:
            self._gather()
        while steps:
            step = steps.popleft()
            try:
                step()
            except Exception:  # noqa: BLE001 - the edge: one client's bug must not end the others
                self._log.exception("gateway: a client's turn failed")
            now = clock()
            if now >= until:
                self._rested_at = now + min(now - began, LONGEST_REST_S)
                return

    def close(self) -> None:
        """Close the epoll."""
        self._epoll.close()

    def _gather(self) -> None:
        steps, handlers = self._round, self._handlers
        steps.extend(self._next)
        self._next.clear()
        for fd, mask in self._epoll.poll(0, MOST_AT_ONCE):
            handler = handlers.get(fd)
            if handler is not None:
                steps.append(partial(self._handle, fd, handler, mask))

    def _handle(self, fd: int, handler: Handler, mask: int) -> None:
        """Hand an event on, unless its descriptor belongs to somebody else by now."""
        if self._handlers.get(fd) is not handler:
            return
        try:
            handler(mask)
        except Exception:  # noqa: BLE001 - the edge, as above
            self._log.exception("gateway: the handler of descriptor %d failed; it is no longer watched", fd)
            if fd in self._handlers:
                self.remove(fd)
