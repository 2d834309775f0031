"""Bytes both ways between a descriptor (a console's pty or socket) and a client, with credit.

Guarantees:
- At most the credit is under way in each direction, so memory is bounded: the node reads
  the descriptor only while the client granted credit and reads its answers, and a client
  that sends beyond its credit loses the stream.
- The channel is closed exactly once: when either side closes, or the session ends.
- Everything but `start` and `abort` runs on the gateway thread, which never blocks: the descriptor is
  non-blocking and watched by the gateway's loop.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...config.errors import MechaneError, OperationFailed, ProtocolError
from ...protocol.wire import STREAM_CLOSE, STREAM_CREDIT_GRANT, STREAM_DATA, notification_frame
from .loop import BROKEN, IN, OUT, Loop

if TYPE_CHECKING:
    from .session import Session

CHUNK_BYTES = 32768
DRAIN_S = 5.0
"""How long what a client sent before it closed may take to be written."""
HIGHEST_CREDIT = 16 * 1024 * 1024
HANG_UPS = (errno.EIO, errno.ECONNRESET, errno.EPIPE)
"""How a pty (EIO, pty(7)) or a socket says that the other end is gone."""


class Channel(Protocol):
    """An open descriptor that a stream takes over."""

    @property
    def device(self) -> str:
        """Which device of the guest it is."""
        ...

    @property
    def fd(self) -> int:
        """The non-blocking descriptor."""
        ...

    @property
    def close(self) -> Callable[[], None]:
        """What closes the descriptor and lets go of what belongs to it."""
        ...


class Stream:
    """One stream of one client."""

    __slots__ = (
        "_allowed", "_begun", "_channel", "_closing", "_credit", "_inbox", "_loop", "_mask", "_owed",
        "_session", "credit", "ended", "id",
    )  # fmt: skip

    def __init__(self, session: Session, loop: Loop, number: int, channel: Channel) -> None:
        self.id = number
        self.credit = session.limits.stream_credit_bytes
        """What the client may send at first, as its answer says; the node starts with as much."""
        self.ended = False
        self._session = session
        self._loop = loop
        self._channel = channel
        self._credit = self.credit  # what we may send to the client
        self._allowed = self.credit  # what the client may send to us
        self._owed = 0  # written to the descriptor, not yet granted anew
        self._inbox = bytearray()
        self._mask = 0
        self._begun = False
        self._closing = False

    @property
    def device(self) -> str:
        """Return which device of the guest it is."""
        return self._channel.device

    def start(self) -> None:
        """Begin to carry bytes; any thread, after the answer with the number was sent."""
        self._loop.call(self._begin)

    def _begin(self) -> None:
        if not self.ended:
            self._begun = True
            self.update()

    def take(self, data: bytes) -> None:
        """Take bytes from the client for the descriptor."""
        if len(data) > self._allowed:
            self.finish(
                ProtocolError(
                    f"stream {self.id}: {len(data)} bytes came where {self._allowed} were allowed",
                    remedy="send only what stream.credit granted", stream=self.id,
                )
            )  # fmt: skip
            return
        if self.ended or self._closing:
            return
        self._allowed -= len(data)
        self._inbox += data
        if self._begun:
            self._write()
            self.update()

    def grant(self, size: int) -> None:
        """Take the client's leave to send it `size` more bytes."""
        self._credit = min(self._credit + size, HIGHEST_CREDIT)
        self.update()

    def close_by_client(self) -> None:
        """Write what the client sent before it closed, then close."""
        if self.ended or self._closing:
            return
        self._closing = True
        if not self._inbox:
            self.finish(None)
        else:
            self._loop.later(DRAIN_S, lambda: self.finish(None))
            self.update()

    def abort(self, error: MechaneError) -> None:
        """Close the stream and tell the client why; any thread."""
        self._loop.call(lambda: self.finish(error))

    def finish(self, error: MechaneError | None) -> None:
        """Close the stream and tell the client."""
        if not self.ended:
            wire = None if error is None else error.to_wire()
            self._session.send(notification_frame(STREAM_CLOSE, {"stream": self.id, "error": wire}))
            self.end()

    def end(self) -> None:
        """Close the channel and forget the stream, without a word."""
        if self.ended:
            return
        self.ended = True
        self._unwatch()
        self._session.streams.pop(self.id, None)
        self._inbox.clear()
        self._session.close_channel(self._channel)

    def update(self) -> None:
        """Watch the descriptor for what can be carried now; not at all when nothing can.

        A pty without its other end reports a hang-up for ever, asked or not: so a stream
        that may not read it must not watch it.
        """
        if self.ended or not self._begun:
            return
        mask = (IN if self._may_read() else 0) | (OUT if self._inbox else 0)
        if mask == self._mask:
            return
        try:
            if mask == 0:
                self._unwatch()
            elif self._mask == 0:
                self._loop.add(self._channel.fd, mask, self._on_event)
            else:
                self._loop.change(self._channel.fd, mask)
            self._mask = mask
        except OSError as error:
            self.finish(_broken(self, error))

    def _unwatch(self) -> None:
        if self._mask:
            self._loop.remove(self._channel.fd)
            self._mask = 0

    def _may_read(self) -> bool:
        return self._credit > 0 and not self._closing and not self._session.paused()

    def _on_event(self, mask: int) -> None:
        if mask & OUT and not mask & BROKEN:
            self._write()
        if mask & (IN | BROKEN) and not self.ended:
            if self._may_read():
                self._read()
            elif mask & BROKEN:
                self._inbox.clear()  # nobody is there to read it
        if self._closing and not self._inbox:
            self.finish(None)
        self.update()

    def _read(self) -> None:
        try:
            data = os.read(self._channel.fd, min(CHUNK_BYTES, self._credit))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.finish(None if error.errno in HANG_UPS else _broken(self, error))
            return
        if not data:
            self.finish(None)
            return
        self._credit -= len(data)
        self._session.send(notification_frame(STREAM_DATA, {"stream": self.id, "data": data}))

    def _write(self) -> None:
        while self._inbox:
            try:
                written = os.write(self._channel.fd, self._inbox[:CHUNK_BYTES])
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.finish(None if error.errno in HANG_UPS else _broken(self, error))
                return
            del self._inbox[:written]
            self._owed += written
        if self._owed >= self.credit // 4:
            self._allowed += self._owed
            self._session.send(
                notification_frame(STREAM_CREDIT_GRANT, {"stream": self.id, "bytes": self._owed})
            )
            self._owed = 0


def _broken(stream: Stream, error: OSError) -> OperationFailed:
    with contextlib.suppress(AttributeError):  # a channel whose device went away with its domain
        return OperationFailed(
            f"stream {stream.id} of {stream.device}: {error.strerror}", remedy="open it again",
            stream=stream.id, errno=error.errno or 0,
        )  # fmt: skip
    return OperationFailed(f"stream {stream.id}: {error}", remedy="open it again", stream=stream.id)
