"""One client: its identity and grants, its calls in flight, and what waits to be sent.

Guarantees:
- `send` never blocks, from any thread, and frames never mix: a frame goes out whole under
  the session's lock, or waits its turn in the outbox.
- What waits is bounded: above `outbox_pause_bytes` no more calls of this client are read,
  above `outbox_bytes` the client is disconnected.
- After `closed` turned true nothing is sent but what waited before, and the handler hears
  `closed` exactly once, on the gateway thread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import Busy, ConnectionLost, MechaneError
from ...protocol.identity import Identity
from ...protocol.limits import Limits
from ...protocol.permissions import Grants
from ...protocol.wire import session_error_frame
from ..runtime.memory import Freed
from .loop import BROKEN, IN, OUT, Loop
from .reader import Reader
from .stream import Channel, Stream
from .sweep import Sweep

if TYPE_CHECKING:
    import logging

JOIN_BYTES = 131072
"""Small frames that wait are joined up to this size for one system call."""
TURN_BYTES = 128 * 1024
"""At most this much is sent to one client in one turn: some 20 µs, so that many long lists delay nobody."""
LINGER_S = 2.0
"""How long a client that is being closed may take to read the last error."""
AGAIN: tuple[type[Exception], ...] = (BlockingIOError, InterruptedError)


class CallHandler(Protocol):
    """Who answers calls (the router)."""

    def call(self, session: Session, msgid: int, method: str, params: dict[str, Any]) -> bytes | None:
        """Answer inline with the packed response frame, or later through `session.send`; gateway thread."""
        ...

    def cancel(self, session: Session, msgid: int) -> None:
        """Give up a call in flight; gateway thread."""
        ...

    def closed(self, session: Session) -> None:
        """Let go of everything of a session, once; gateway thread."""
        ...


class Owner(Protocol):
    """What a session needs of the gateway."""

    loop: Loop
    sweep: Sweep
    log: logging.Logger
    handler: CallHandler
    buffer: memoryview
    decoders: dict[tuple[int, int], list[Any]]
    not_read_only: frozenset[str]
    freed: Freed

    def forget(self, session: Session) -> None:
        """Take a session off the list; gateway thread."""

    def count(self, what: str) -> None:
        """Count something for the administrator; gateway thread."""


class Session:
    """A connected client. Attributes without a leading underscore may be read by any thread."""

    __slots__ = (
        "_drained", "_flush_asked", "_linger_until", "_lingering",
        "_lock", "_mask", "_outbox", "_outbox_size", "_owner",
        "_reader", "_sock", "_stream_number", "behind", "calls", "client_name", "closed", "connected_at", "grants",
        "id", "identity", "in_flight", "limits", "read_only", "soon", "streams", "transport",
    )  # fmt: skip
    direct = True
    """Whether any thread may write to the socket; not with TLS, whose objects have one owner."""
    again = AGAIN
    """What the socket raises when it would have to wait."""

    def __init__(
        self, owner: Owner, sock: socket.socket, number: int, *, transport: str, identity: Identity,
        grants: Grants, limits: Limits, connected_at: float,
    ) -> None:  # fmt: skip
        """Take over a connected non-blocking socket; gateway thread; `open` starts it.

        Args:
            owner: the gateway.
            sock: the socket, owned from now on.
            number: unique among all sessions of this node process.
            transport: unix, unix-ro or tls.
            identity: who it is.
            grants: what it may do.
            limits: of its socket.
            connected_at: seconds since 1970.
        """
        self.id = number
        self.transport = transport
        self.read_only = transport == "unix-ro"
        self.behind = self.read_only or not grants.everything
        """Whether it is served after those who may do everything, and shares their leisure with its like."""
        self.soon = owner.loop.aside_soon if self.behind else owner.loop.soon
        self.identity = identity
        self.grants = grants
        self.limits = limits
        self.connected_at = connected_at
        self.client_name = ""
        self.calls = 0
        self.in_flight: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.closed = False
        self._owner = owner
        self._sock = sock
        self._lock = threading.Lock()
        self._outbox: deque[bytes | memoryview] = deque()
        self._outbox_size = 0
        self._flush_asked = False
        self._drained: list[Callable[[], None]] = []
        self._stream_number = 0
        self._mask = IN
        self._lingering = False
        self._linger_until = 0.0
        self._reader: Reader | None = Reader(self, owner)

    def open(self) -> None:
        """Begin to serve the client; gateway thread."""
        self._owner.loop.add(self._sock.fileno(), self._mask, self._on_event, aside=self.behind)

    def send(self, frame: bytes) -> None:
        """Send a frame, now or when the client has read what waits; any thread, never blocks."""
        with self._lock:
            if self.closed:
                return
            waiting = self._outbox_size
            rest: bytes | memoryview = frame
            if not waiting and self.direct:
                try:
                    sent = self._sock.send(frame)
                except AGAIN:
                    sent = 0
                except OSError:  # the client is gone; the loop sees the hang-up as well
                    self._owner.loop.call(self.gone)
                    return
                if sent == len(frame):
                    return
                rest = memoryview(frame)[sent:]
            elif waiting and waiting + len(frame) > self.limits.outbox_bytes:
                self._owner.loop.call(self._overflowed)
                return
            self._outbox.append(rest)
            self._outbox_size = waiting + len(rest)
            if self._flush_asked:
                return
            self._flush_asked = True
        self._owner.loop.call(partial(self.soon, self._flush) if self.behind else self._flush)

    def __str__(self) -> str:
        return f"client {self.id} ({self.identity})"

    def send_parts(self, parts: Sequence[bytes]) -> None:
        """Send one long frame that comes in parts, without joining it: a copy of megabytes would hold the GIL.

        Any thread, never blocks; no other frame gets between the parts.
        """
        size = sum(map(len, parts))
        with self._lock:
            if self.closed:
                return
            if self._outbox_size and self._outbox_size + size > self.limits.outbox_bytes:
                self._owner.loop.call(self._overflowed)
                return
            self._outbox.extend(parts)
            self._outbox_size += size
            if self._flush_asked:
                return
            self._flush_asked = True
        self._owner.loop.call(partial(self.soon, self._flush) if self.behind else self._flush)

    def outbox_bytes(self) -> int:
        """Return the bytes that wait to be read by the client; any thread."""
        return self._outbox_size

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call back once, on the gateway thread, when little waits in the outbox; any thread.

        Little means a quarter of `outbox_pause_bytes`; when so little waits already, soon.
        """
        with self._lock:
            self._drained.append(callback)
        self._owner.loop.call(self._run_drained)

    def open_stream(self, channel: Channel) -> Stream:
        """Tie a non-blocking descriptor to a new stream of this client; any thread.

        The channel is the stream's from now on, also when this raises. Call the stream's
        `start` after the answer with its number was sent.

        Raises:
            ConnectionLost: the client is gone.
            Busy: it has as many streams as it may.
        """
        with self._lock:
            refusal: MechaneError | None = None
            if self.closed:
                refusal = ConnectionLost(f"client {self.id} is gone", remedy="connect again")
            elif len(self.streams) >= self.limits.streams:
                refusal = Busy(
                    f"client {self.id} has {len(self.streams)} open streams", remedy="close one first",
                    what="streams", limit=self.limits.streams,
                )  # fmt: skip
            else:
                self._stream_number += 1
                stream = Stream(self, self._owner.loop, self._stream_number, channel)
                self.streams[stream.id] = stream
        if refusal is not None:
            channel.close()
            raise refusal
        return stream

    def had_stream(self, number: int) -> bool:
        """Return whether this client ever had a stream of that number."""
        return 1 <= number <= self._stream_number

    def disconnect(self, error: MechaneError | None = None) -> None:
        """End the session, with a last `session.error` when there is an error; any thread."""
        self._owner.loop.call(lambda: self.refuse(error))

    # What follows runs on the gateway thread only.

    def refuse(self, error: MechaneError | None) -> None:
        """Send what waits and the error, stop listening, and close when the client read it."""
        if self.closed:
            return
        with self._lock:
            self.closed = True
            if error is not None:
                self._outbox.append(session_error_frame(error))
                self._outbox_size += len(self._outbox[-1])
        self._tell_closed()
        self._lingering = True
        self._linger_until = self._owner.loop.clock() + LINGER_S
        self._owner.sweep.add(self)
        self._flush()

    def gone(self) -> None:
        """Forget the client at once."""
        with self._lock:
            if self._mask < 0:
                return
            first = not self.closed
            self.closed = True
            self._mask = -1
            self._outbox.clear()
            self._owner.freed.count(self._outbox_size)
            self._outbox_size = 0
        self._owner.sweep.discard(self)
        self._owner.loop.remove(self._sock.fileno())
        self._owner.loop.close_later(self._sock)
        if first:
            self._tell_closed()
        self._reader = None  # it knows us: together we would wait for the garbage collector
        self._owner.forget(self)

    def look(self, now: float) -> bool:
        """Act on a half message or a last read that takes too long; return whether to look again."""
        if not self._lingering:
            return self._reader is not None and self._reader.look(now)
        if now >= self._linger_until:
            self.gone()
        return True

    def _tell_closed(self) -> None:
        for stream in list(self.streams.values()):
            stream.end()
        self._drained.clear()
        try:
            self._owner.handler.closed(self)
        except Exception:
            self._owner.log.exception("gateway: letting go of client %d failed", self.id)

    def close_channel(self, channel: Channel) -> None:
        """Close a stream's channel, whatever its owner's code does."""
        try:
            channel.close()
        except Exception:
            self._owner.log.exception("gateway: closing a channel of client %d failed", self.id)

    def _overflowed(self) -> None:
        if not self.closed:
            self._owner.count("overflowed")
            self._owner.log.info("gateway: %s does not read; disconnected", self)
        self.gone()

    def _on_event(self, mask: int) -> None:
        if mask & OUT:
            self.soon(self._flush)  # calls that came in this turn go before what is long
        if mask & IN:
            if self._lingering:
                self._discard()
            elif self._reader is not None:
                self._reader.receive()
        elif mask & BROKEN:
            self.gone()

    def receive_into(self, view: memoryview) -> int:
        """Receive what has come; 0 at the end; raises one of `again` when there is nothing."""
        return self._sock.recv_into(view)

    def paused(self) -> bool:
        """Return whether no calls are to be read because answers wait unread."""
        return self._outbox_size > self.limits.outbox_pause_bytes

    def _flush(self) -> None:
        """Send what waits, as far as the socket takes it now."""
        with self._lock:
            self._flush_asked = False
            if self._mask < 0:
                return
            try:
                self._send_waiting()
            except self.again:
                pass  # the rest goes out when the socket takes more
            except OSError:
                self._owner.loop.call(self.gone)
                return
        if self._lingering and not self._outbox:
            with contextlib.suppress(OSError):  # gone meanwhile
                self._sock.shutdown(socket.SHUT_WR)
        self.update_mask()
        if self._drained or self.streams:
            self._run_drained()

    def _send_waiting(self) -> None:
        outbox = self._outbox
        budget = TURN_BYTES
        while outbox and budget > 0:
            head = outbox.popleft()
            if outbox and len(head) < JOIN_BYTES // 4:
                head = self._joined(head)
            sent = 0
            try:
                sent = self._sock.send(head if len(head) <= budget else memoryview(head)[:budget])
            finally:
                if sent < len(head):
                    outbox.appendleft(memoryview(head)[sent:])
            self._outbox_size -= sent
            budget -= sent

    def _joined(self, head: bytes | memoryview) -> bytes:
        parts, size = [head], len(head)
        outbox = self._outbox
        while outbox and size + len(outbox[0]) <= JOIN_BYTES:
            parts.append(outbox.popleft())
            size += len(parts[-1])
        return b"".join(parts)

    def update_mask(self) -> None:
        """Watch the socket for what is wanted of it now, and go on reading where we stopped."""
        if self._mask < 0:
            return
        paused = self.paused() and not self._lingering
        mask = (0 if paused else IN) | (OUT if self._outbox else 0)
        if mask != self._mask:
            self._mask = mask
            self._owner.loop.change(self._sock.fileno(), mask)
        if not paused and self._reader is not None:
            self._reader.resume()

    def _run_drained(self) -> None:
        if self.closed or self._outbox_size > self.limits.outbox_pause_bytes // 4:
            return
        with self._lock:
            callbacks, self._drained = self._drained, []
        for callback in callbacks:
            callback()
        for stream in list(self.streams.values()):
            stream.update()

    def _discard(self) -> None:
        """Read and drop what a client that is being closed still sends, until it closes too."""
        try:
            if self.receive_into(self._owner.buffer) == 0:
                self.gone()
        except self.again:
            return
        except OSError:
            self.gone()
