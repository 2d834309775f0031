"""A bounded mailbox with two lanes.

Guarantees: `post` (control: exits, monitor facts, timers, aborts, supervision) is never
refused and never waits; `offer` (calls) never waits and answers `Busy` at the limit.
Calls leave in the order in which they were offered. The mailbox belongs to the directory
entry, not to the actor, so it outlives a crash of the actor. After `close` no call gets
in, and whoever closed it holds the calls that were waiting.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ...config.errors import Busy, NoDomain

C = TypeVar("C")


class Mailbox(Generic[C]):
    """Two lanes, one lock, one waker."""

    __slots__ = ("_calls", "_closed", "_control", "_lock", "_wake", "limit", "what")

    def __init__(self, limit: int, what: str) -> None:
        self.limit = limit
        self.what = what
        self._calls: deque[C] = deque()
        self._control: deque[Any] = deque()
        self._lock = threading.Lock()
        self._wake: Callable[[], object] | None = None
        self._closed = False

    def connect(self, wake: Callable[[], object] | None) -> None:
        """Set what is called (from any thread, must not wait) when something arrives."""
        with self._lock:
            self._wake = wake
            pending = bool(self._calls or self._control)
        if pending and wake is not None:
            wake()

    def offer(self, call: C, *, read_only: bool = False) -> None:
        """Queue a call.

        Args:
            call: what to queue.
            read_only: it comes from the read-only socket, whose clients fill three quarters at most:
                anybody on the host may be one, and shall not lock out those who administer. One of them fills
                an eighth.

        Raises:
            Busy: the mailbox is full.
            NoDomain: the mailbox is closed, its domain is being removed.
        """
        limit = max(1, self.limit * 3 // 4) if read_only else self.limit
        with self._lock:
            if self._closed:
                raise NoDomain(f"{self.what} is being removed")
            if len(self._calls) >= limit:
                self._calls = deque(waiting for waiting in self._calls if not _over(waiting))
            greedy = read_only and self._waiting_like(call) >= max(1, self.limit // 8)
            if greedy or len(self._calls) >= limit:
                raise Busy(
                    f"the mailbox of {self.what} is full",
                    remedy="wait for earlier calls, or look with domain.get_control_info at what holds it",
                    what="mailbox", limit=limit,
                )  # fmt: skip
            self._calls.append(call)
            wake = self._wake
        if wake is not None:
            wake()

    def _waiting_like(self, call: C) -> int:
        """Return how many calls of the same client wait. Under the lock."""
        client = getattr(call, "client", None)
        return 0 if client is None else sum(getattr(one, "client", None) is client for one in self._calls)

    def urge(self, call: C) -> None:
        """Queue work of mechane's own before all calls; never refused, also when closed."""
        with self._lock:
            self._calls.appendleft(call)
            wake = self._wake
        if wake is not None:
            wake()

    def post(self, message: Any) -> None:
        """Queue a control message; never refused."""
        with self._lock:
            self._control.append(message)
            wake = self._wake
        if wake is not None:
            wake()

    def take_control(self) -> Any | None:
        """Return the next control message, or None."""
        return self._control.popleft() if self._control else None

    def take_call(self) -> C | None:
        """Return the next call, or None."""
        with self._lock:
            return self._calls.popleft() if self._calls else None

    def remove(self, call: C) -> bool:
        """Take a waiting call out (it expired or was cancelled); False if it already left."""
        with self._lock:
            try:
                self._calls.remove(call)
            except ValueError:
                return False
            return True

    def close(self) -> list[C]:
        """Refuse calls from now on and return those that waited."""
        with self._lock:
            self._closed = True
            waiting = list(self._calls)
            self._calls.clear()
            return waiting

    def waiting(self) -> list[C]:
        """Return a copy of the calls that wait."""
        with self._lock:
            return list(self._calls)

    def __len__(self) -> int:
        return len(self._calls)


def _over(call: object) -> bool:
    """Whether a call that waits was answered already: given up by its client, or by a deadline."""
    return getattr(call, "done", None) is True
