"""A stream of bytes both ways, with credit: a guest's console, for threads.

The node may send as many bytes as it has credit for; credit is granted again as the reader
consumes. A writer without credit waits. Numbers: 262,144 bytes each way at the start.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any

from ...config.errors import ConnectionLost, DeadlineExceeded, MechaneError, NoStream, from_wire
from .link import Link, LinkLostError
from .waiters import Waiter

WINDOW_BYTES = 262144
LONGEST_CHUNK = 32768
"""Bytes of one stream.data notification, so that calls of other threads get between them."""


class Stream:
    """One open stream; one thread may read while another writes."""

    def __init__(self, link: Link) -> None:
        self.device = ""
        self._link = link
        self._id = 0
        self._credit = 0
        self._chunks: deque[bytes] = deque()
        self._consumed = 0
        self._ended = False
        self._error: MechaneError | None = None
        self._sleepers: dict[int, Waiter] = {}
        self._lock = threading.Lock()

    def opened(self, answer: Mapping[str, Any]) -> None:
        """Take the answer of the call that opened the stream."""
        self._id = answer["stream"]
        self.device = answer.get("device", "")
        self._grow(answer["credit"])

    # Sink: called in whichever thread reads the connection

    def notify(self, kind: str, params: dict[str, Any]) -> None:
        """Take data, credit, or the end."""
        if kind == "data":
            self._chunks.append(params["data"])
        elif kind == "credit":
            self._grow(params["bytes"])
        elif kind == "close":
            error = params.get("error")
            self._error = from_wire(error) if error else None
            self._ended = True
        self._wake()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        if not self._ended:
            self._ended = True
            self._error = ConnectionLost(
                f"the connection to the node broke ({self._link.broken})", remedy="open the console again"
            )
        self._wake()

    # For its user

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return the next bytes, at least one; b"" when the stream has ended.

        Args:
            timeout_s: seconds to wait; for ever when left out.

        Raises:
            DeadlineExceeded: nothing came in time.
            MechaneError: the stream ended with that error.
        """
        deadline = monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while not self._chunks:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._sleep(deadline, lambda: bool(self._chunks) or self._ended)
        data = self._chunks.popleft()
        self._consumed += len(data)
        if self._consumed >= WINDOW_BYTES // 2 and not self._ended:
            granted, self._consumed = self._consumed, 0
            with contextlib.suppress(LinkLostError):  # the next read says so
                self._link.notify("stream.credit", {"stream": self._id, "bytes": granted})
        return data

    def write(self, data: bytes, timeout_s: float | None = None) -> None:
        """Send all of `data`, waiting for credit as needed.

        Args:
            data: the bytes.
            timeout_s: seconds to wait for credit; for ever when left out.

        Raises:
            DeadlineExceeded: the other end took too little in time; part may have been sent.
            MechaneError: the stream has ended.
        """
        deadline = monotonic() + (float("inf") if timeout_s is None else timeout_s)
        view = memoryview(data)
        while view:
            if self._ended:
                raise self._error or NoStream("the stream has ended", remedy="open it again", stream=self._id)
            if self._credit <= 0:
                self._sleep(deadline, lambda: self._credit > 0 or self._ended)
                continue
            with self._lock:
                size = min(len(view), self._credit, LONGEST_CHUNK)
                self._credit -= size
            try:
                self._link.notify("stream.data", {"stream": self._id, "data": bytes(view[:size])})
            except LinkLostError:
                self.lost()
                continue
            view = view[size:]

    def close(self) -> None:
        """End the stream at both ends; more than once if need be. Any thread."""
        self._link.sinks.remove(("stream", self._id))
        if not self._ended:
            self._ended = True
            with contextlib.suppress(LinkLostError):  # then it is closed already
                self._link.notify("stream.close", {"stream": self._id})
        self._wake()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Inside

    def _grow(self, size: int) -> None:
        with self._lock:
            self._credit += size

    def _wake(self) -> None:
        """Wake whoever sleeps in read or write."""
        while self._sleepers:
            try:
                _, waiter = self._sleepers.popitem()
            except KeyError:  # another thread took the last one
                return
            waiter.deliver([])

    def _sleep(self, deadline: float, ready: Callable[[], bool]) -> None:
        """Wait for a notification (reading the connection, if nobody does)."""
        waiter = Waiter()
        self._sleepers[id(waiter)] = waiter
        try:
            if ready():
                return
            if not self._link.wait(waiter, deadline):
                raise DeadlineExceeded("nothing happened on the stream in time", stream=self._id)
            if self._link.broken is not None:
                self.lost()
        finally:
            self._sleepers.pop(id(waiter), None)
