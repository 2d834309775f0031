"""A stream of bytes both ways, with credit: a guest's console, for asyncio.

The same rules as `streams`. All of it runs on the loop of its client.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from ...config.errors import ConnectionLost, DeadlineExceeded, MechaneError, NoStream, from_wire
from .link import LinkLostError
from .streams import LONGEST_CHUNK, WINDOW_BYTES
from .waiters import Sinks


class Notifier(Protocol):
    """What a stream needs of its connection."""

    broken: str | None
    sinks: Sinks

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification."""


class AsyncStream:
    """One open stream; one task may read while another writes."""

    def __init__(self, link: Notifier) -> None:
        self.device = ""
        self._link = link
        self._id = 0
        self._credit = 0
        self._chunks: deque[bytes] = deque()
        self._consumed = 0
        self._ended = False
        self._error: MechaneError | None = None
        self._changed = asyncio.Event()

    def opened(self, answer: Mapping[str, Any]) -> None:
        """Take the answer of the call that opened the stream."""
        self._id = answer["stream"]
        self.device = answer.get("device", "")
        self._credit += answer["credit"]

    def notify(self, kind: str, params: dict[str, Any]) -> None:
        """Take data, credit, or the end."""
        if kind == "data":
            self._chunks.append(params["data"])
        elif kind == "credit":
            self._credit += params["bytes"]
        elif kind == "close":
            error = params.get("error")
            self._error = from_wire(error) if error else None
            self._ended = True
        self._changed.set()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        if not self._ended:
            self._ended = True
            self._error = ConnectionLost(
                f"the connection to the node broke ({self._link.broken})", remedy="open the console again"
            )
        self._changed.set()

    async def read(self, timeout_s: float | None = None) -> bytes:
        """Return the next bytes, at least one; b"" when the stream has ended.

        Args:
            timeout_s: seconds to wait; for ever when left out.

        Raises:
            DeadlineExceeded: nothing came in time.
            MechaneError: the stream ended with that error.
        """
        await self._until(lambda: bool(self._chunks) or self._ended, timeout_s)
        if not self._chunks:
            if self._error is not None:
                raise self._error
            return b""
        data = self._chunks.popleft()
        self._consumed += len(data)
        if self._consumed >= WINDOW_BYTES // 2 and not self._ended:
            granted, self._consumed = self._consumed, 0
            with contextlib.suppress(LinkLostError):  # the next read says so
                self._link.notify("stream.credit", {"stream": self._id, "bytes": granted})
        return data

    async def write(self, data: bytes, timeout_s: float | None = None) -> None:
        """Send all of `data`, waiting for credit as needed.

        Args:
            data: the bytes.
            timeout_s: seconds to wait each time that credit has run out; for ever when left out.

        Raises:
            DeadlineExceeded: the other end took too little in time; part may have been sent.
            MechaneError: the stream has ended.
        """
        view = memoryview(data)
        while view:
            await self._until(lambda: self._credit > 0 or self._ended, timeout_s)
            if self._ended:
                raise self._error or NoStream("the stream has ended", remedy="open it again", stream=self._id)
            size = min(len(view), self._credit, LONGEST_CHUNK)
            self._credit -= size
            try:
                self._link.notify("stream.data", {"stream": self._id, "data": bytes(view[:size])})
            except LinkLostError:
                self.lost()
                continue
            view = view[size:]

    async def close(self) -> None:
        """End the stream at both ends; more than once if need be."""
        self._link.sinks.remove(("stream", self._id))
        if not self._ended:
            self._ended = True
            with contextlib.suppress(LinkLostError):  # then it is closed already
                self._link.notify("stream.close", {"stream": self._id})
        self._changed.set()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _until(self, ready: Callable[[], bool], timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not ready():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise DeadlineExceeded("nothing happened on the stream in time", stream=self._id) from error
