"""One connection to a node on an asyncio loop, shared by many tasks.

All of it runs on the loop's thread. The same guarantees as `link`: frames are written whole,
and when the connection breaks everything that waits is told.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import msgpack

from ...config.errors import MechaneError, from_wire
from .link import LONGEST_REPLY_BYTES, MSGID_MASK, LinkLostError, unpackable
from .waiters import LOST, Pending, Reply, Sinks


class Answer:
    """A call's wait on the loop: the future that gets the response."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Reply] = loop.create_future()

    def deliver(self, reply: Reply) -> None:
        """Take the response; LOST where there will be none."""
        if not self.future.done():
            self.future.set_result(reply)


class AsyncLink(asyncio.Protocol):
    """A connection: calls and notifications out, responses and notifications in."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self.last_error: MechaneError | None = None
        self.sinks = Sinks()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._packer = msgpack.Packer()
        self._unpacker = msgpack.Unpacker(max_buffer_size=LONGEST_REPLY_BYTES, strict_map_key=False)
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Decode what was read and deliver it."""
        unpacker, pop = self._unpacker, self._pending.pop
        try:
            unpacker.feed(data)
            for message in unpacker:
                if message[0] == 1:
                    pending = pop(message[1], None)
                    if pending is not None:
                        pending.deliver(message)
                elif message[0] == 2:
                    self._notified(message[1], message[2][0] if message[2] else {})
        except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
            self.fail(f"the node sent what is not the protocol: {error}")

    def pause_writing(self) -> None:
        """Let callers wait: the node reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let callers go on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all that wait."""
        self.fail(str(exc) if exc else "the node closed the connection")

    # For the client

    async def request(self, method: str, params: Mapping[str, Any], timeout_s: float) -> Reply | None:
        """Call `method` and return the response frame; None when the deadline passes first.

        Being cancelled, or late, tells the node to cancel.

        Raises:
            InvalidArgument: arguments that cannot be packed.
            LinkLostError: the connection was or is broken.
        """
        answer = Answer(self._loop)
        msgid = self.post(method, params, answer)
        return await self.finish(msgid, answer, timeout_s)

    async def finish(self, msgid: int, answer: Answer, timeout_s: float) -> Reply | None:
        """Wait for the response of a call that was sent; as `request`."""
        late = self._loop.call_later(timeout_s, self._late, msgid, answer)
        try:
            if not self._writable.is_set():
                await self._writable.wait()
            reply = await answer.future
        except asyncio.CancelledError:
            self._abandon(msgid)
            raise
        finally:
            late.cancel()
        if reply is LOST:
            raise LinkLostError(self.broken or "closed", sent=True)
        return reply or None

    def post(self, method: str, params: Mapping[str, Any], pending: Pending) -> int:
        """Send a call and return its msgid; the response will be delivered to `pending`."""
        msgid = next(self._ids) & MSGID_MASK
        while msgid in self._pending:
            msgid = next(self._ids) & MSGID_MASK
        try:
            frame = self._packer.pack([0, msgid, method, [params]])
        except (TypeError, ValueError, OverflowError) as error:
            raise unpackable(method, error) from error
        self._write(frame)
        self._pending[msgid] = pending
        return msgid

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification.

        Raises:
            LinkLostError: the connection is broken.
        """
        self._write(self._packer.pack([2, method, [params]]))

    def fail(self, cause: str) -> None:
        """Mark the connection broken and tell all that wait."""
        if self.broken is None:
            self.broken = cause
            if self._transport is not None:
                self._transport.abort()
        self._writable.set()
        pending, self._pending = self._pending, {}
        for one in pending.values():
            one.deliver(LOST)
        self.sinks.lost()

    def _write(self, frame: bytes) -> None:
        if self.broken is not None or self._transport is None:
            raise LinkLostError(self.broken or "not connected", sent=False)
        self._transport.write(frame)

    def _late(self, msgid: int, answer: Answer) -> None:
        self._abandon(msgid)
        answer.deliver([])

    def _abandon(self, msgid: int) -> None:
        """Stop waiting for a call and tell the node to cancel it, if it can still be told."""
        if self._pending.pop(msgid, None) is not None and self.broken is None:
            self.notify("cancel", {"msgid": msgid})

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        if method == "session.error":
            self.last_error = from_wire(params)
        else:
            self.sinks.notify(method, params)
