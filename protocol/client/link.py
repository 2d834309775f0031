"""One connection to a node, shared by many threads.

Guarantees:
- A thread that waits for its reply reads the socket itself when nobody else does (the
  leader), hands the replies of others to them, and passes the reading on to one of them
  when its own has come. So one thread alone pays no thread switch, and many block nobody.
- Frames are written whole, under one lock. Only the leader touches the unpacker.
- When the connection breaks, everything that waits is told; nobody waits for ever.
- A frame that was not handed whole to the kernel is said to be unsent: half a frame is
  never run by the node, so such a call may safely go again.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from _thread import allocate_lock
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any, Protocol

import msgpack

from ...config.errors import InvalidArgument, MechaneError, from_wire
from .waiters import LOST, BatchWaiter, Pending, Sinks, Waiter, wake

READ_BYTES = 65536
BIG_READ_BYTES = 1 << 20
"""Size of the reads after one that was full: long lists arrive in few system calls."""
LONGEST_REPLY_BYTES = 1 << 28
TICK_S = 1.0
"""The kernel's receive timeout: how often a leader looks at its deadline."""
SEND_TIMEOUT_S = 10.0
"""How long the node may leave a full socket unread before the connection counts as lost."""
LONGEST_SLEEP_S = 3600.0
MSGID_MASK = 0xFFFFFFFF


class Transport(Protocol):
    """What a link needs of a socket; `socket.socket` has it, and `tls.TlsSocket`."""

    def send(self, data: bytes, flags: int = 0, /) -> int:
        """Write some of `data` and return how many bytes."""

    def recv(self, size: int, /) -> bytes:
        """Read; BlockingIOError when the kernel's receive timeout passes."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option of the socket below."""

    def shutdown(self, how: int, /) -> None:
        """Wake whoever reads or writes."""

    def close(self) -> None:
        """Give the descriptor back."""


class LinkLostError(Exception):
    """The connection broke; `sent` says whether the node may have seen the call."""

    def __init__(self, cause: str, sent: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.sent = sent


class Link:
    """A connection: calls and notifications out, responses and notifications in."""

    def __init__(self, transport: Transport) -> None:
        self.broken: str | None = None
        self.last_error: MechaneError | None = None
        """What the node said last before it closed the connection (session.error)."""
        self.sinks = Sinks()
        self._transport = transport
        self._packer = msgpack.Packer()
        self._unpacker = msgpack.Unpacker(max_buffer_size=LONGEST_REPLY_BYTES, strict_map_key=False)
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._send_lock = threading.Lock()
        self._lead: dict[int, Waiter] = {}
        """Under 0 the waiter whose thread reads: a lock that knows its owner, taken by setdefault (atomic)."""
        self._followers: dict[int, Waiter] = {}
        self._tick_s = 0.0
        self._read_bytes = READ_BYTES
        self._nobody = Waiter()
        self._disposed = False
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_TIMEOUT_S))

    # Sending

    def request(self, method: str, params: Mapping[str, Any], deadline: float, waiter: Waiter) -> bool:
        """Call `method` and wait for the response in `waiter.reply`.

        Args:
            method: wire name.
            params: named arguments.
            deadline: monotonic time after which to give up; the node is told to cancel.
            waiter: a new waiter.

        Returns whether the response (or LOST) came in time. Any thread.

        Raises:
            InvalidArgument: arguments that cannot be packed.
            LinkLostError: the connection was or is broken.
        """
        msgid = self.post(method, params, waiter)
        try:
            if self.wait(waiter, deadline):
                if waiter.reply is LOST:
                    raise LinkLostError(self.broken or "closed", sent=True)
                return True
            self.abandon(msgid)
            return False
        except BaseException as error:
            if not isinstance(error, LinkLostError):  # Ctrl-C, or another signal's exception
                self._interrupted(msgid)
            raise

    def post(self, method: str, params: Mapping[str, Any], waiter: Pending) -> int:
        """Send a call and return its msgid; the response will be delivered to `waiter`."""
        pending = self._pending
        with self._send_lock:
            msgid = next(self._ids) & MSGID_MASK
            while msgid in pending:
                msgid = next(self._ids) & MSGID_MASK
            try:
                frame = self._packer.pack([0, msgid, method, [params]])
            except (TypeError, ValueError, OverflowError) as error:
                raise unpackable(method, error) from error
            pending[msgid] = waiter
            try:
                self._write(frame)
            except BaseException:
                pending.pop(msgid, None)
                raise
        return msgid

    def post_batch(self, calls: Iterable[tuple[str, Mapping[str, Any]]], waiter: BatchWaiter) -> list[int]:
        """Send many calls in one write and return their msgids, in order.

        Raises:
            InvalidArgument: arguments that cannot be packed; nothing was sent.
            LinkLostError: the connection is or gets broken.
        """
        pending, ids, packer = self._pending, self._ids, self._packer
        msgids: list[int] = []
        frames: list[bytes] = []
        with self._send_lock:
            for method, params in calls:
                msgid = next(ids) & MSGID_MASK
                while msgid in pending:
                    msgid = next(ids) & MSGID_MASK
                try:
                    frames.append(packer.pack([0, msgid, method, [params]]))
                except (TypeError, ValueError, OverflowError) as error:
                    raise unpackable(method, error) from error
                msgids.append(msgid)
            if self.broken is not None:
                raise LinkLostError(self.broken, sent=False)
            pending.update(dict.fromkeys(msgids, waiter))
            try:
                self._write(b"".join(frames))
            except LinkLostError as lost:  # whole frames may have gone before it broke
                raise LinkLostError(lost.cause, sent=True) from lost
        return msgids

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification.

        Raises:
            LinkLostError: the connection is broken.
        """
        with self._send_lock:
            self._write(self._packer.pack([2, method, [params]]))

    def abandon(self, msgid: int) -> None:
        """Stop waiting for a call and tell the node to cancel it, if it can still be told."""
        if self._pending.pop(msgid, None) is not None:
            try:
                self.notify("cancel", {"msgid": msgid})
            except LinkLostError:
                return  # the node sees the closed connection and drops the call by itself

    def forget(self, msgids: Iterable[int]) -> None:
        """Stop waiting for calls without telling the node."""
        for msgid in msgids:
            self._pending.pop(msgid, None)

    def _write(self, frame: bytes) -> None:
        """Write a whole frame, under the send lock."""
        if self.broken is not None:
            raise LinkLostError(self.broken, sent=False)
        send = self._transport.send
        done = 0
        try:
            done = send(frame, socket.MSG_NOSIGNAL)
            while done < len(frame):
                done += send(frame[done:], socket.MSG_NOSIGNAL)
        except OSError as error:
            timed_out = isinstance(error, BlockingIOError)
            cause = "the node does not read" if timed_out else error.strerror or str(error)
            self.fail(cause)
            raise LinkLostError(cause, sent=False) from error
        except BaseException:
            if done != len(frame):
                self.fail("interrupted in the middle of a frame")
            raise

    # Waiting

    def wait(self, waiter: Waiter, deadline: float) -> bool:
        """Wait until `waiter.reply` is set; False when the deadline passes first. Any thread.

        Reads the socket meanwhile, if nobody else does.
        """
        if waiter.reply is not None:
            return True
        lead = self._lead
        try:  # entered before the lead is taken: an interrupt in between would leave it taken for ever
            if lead.setdefault(0, waiter) is waiter:
                return self._read_until(waiter, deadline)
        finally:
            if lead.get(0) is waiter:
                self._leave_lead()
        return self._follow(waiter, deadline)

    def _follow(self, waiter: Waiter, deadline: float) -> bool:
        """Sleep until another thread delivers, or hands over the reading."""
        # The lock is in place before the lead is tried: whoever gives up the lead after that sees it.
        lock = waiter.lock = allocate_lock()
        lock.acquire()
        key = id(waiter)
        try:
            while waiter.reply is None and not self._disposed:
                self._followers[key] = waiter
                if self._lead.setdefault(0, waiter) is waiter:
                    return self._read_until(waiter, deadline)
                remaining_s = deadline - monotonic()
                if remaining_s <= 0:
                    return False
                if waiter.reply is None and not self._disposed:
                    lock.acquire(timeout=min(remaining_s, LONGEST_SLEEP_S))
            return True
        finally:
            self._followers.pop(key, None)
            waiter.lock = None
            if self._lead.get(0) is waiter:
                self._leave_lead()
            else:
                self._hand_over()  # leaving without a reply: the hand-over may have come here

    def _leave_lead(self) -> None:
        """Give up reading: to a sleeper, or for good when the connection is broken."""
        self._lead.pop(0, None)
        if self.broken is not None:
            self._dispose()
        elif self._followers:
            self._hand_over()

    def _hand_over(self) -> None:
        """Wake one sleeper to read, unless somebody reads."""
        while self._followers and not self._lead:
            try:
                _, waiter = self._followers.popitem()
            except KeyError:  # another thread took the last one
                return
            lock = waiter.lock
            if waiter.reply is None and lock is not None:
                wake(lock)
                return

    def _read_until(self, waiter: Waiter, deadline: float) -> bool:
        """Read and dispatch until the waiter has its reply. The leader only."""
        recv = self._transport.recv
        while waiter.reply is None:
            if self.broken is not None:
                self.fail(self.broken)
                return True
            remaining_s = deadline - monotonic()
            if remaining_s <= 0:
                return False
            if remaining_s < self._tick_s or self._tick_s < TICK_S:
                self._set_tick(min(max(remaining_s, 0.001), TICK_S))
            try:
                data = recv(self._read_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                self.fail(error.strerror or str(error))
                continue
            if not data:
                self.fail("the node closed the connection")
                continue
            self._read_bytes = BIG_READ_BYTES if len(data) == self._read_bytes else READ_BYTES
            self._dispatch(data)
        return True

    def _dispatch(self, data: bytes) -> None:
        """Decode what was read and deliver it. The leader only."""
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

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        if method == "session.error":
            self.last_error = from_wire(params)
        else:
            self.sinks.notify(method, params)

    def _set_tick(self, tick_s: float) -> None:
        if tick_s != self._tick_s:
            self._tick_s = tick_s
            self._transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(tick_s))

    # Ending

    def _interrupted(self, msgid: int) -> None:
        """Cancel a call whose thread was interrupted.

        The signal may have come between the kernel and us, with bytes in hand that are lost
        now. Alone, give up the connection (the next call opens another); with others
        waiting, go on: should bytes be missing, their deadlines hold.
        """
        self.abandon(msgid)
        if not self._pending and not self.sinks:
            self.fail("interrupted")

    def fail(self, cause: str) -> None:
        """Mark the connection broken, wake all that wait, and tell the sinks. Any thread."""
        if self.broken is None:
            self.broken = cause
            try:
                self._transport.shutdown(socket.SHUT_RDWR)
            except OSError:
                cause = self.broken  # it was closed at the other end already
        while self._pending:
            try:
                _, pending = self._pending.popitem()
            except KeyError:  # another thread took the last one
                break
            pending.deliver(LOST)
        self.sinks.lost()

    def close(self) -> None:
        """Close the connection; calls that wait get `LOST`. Any thread, more than once if need be."""
        self.fail("closed by this client")
        self._dispose()

    def _dispose(self) -> None:
        """Give the descriptor back, when no thread can be inside a system call on it.

        Takes the lead for good; a leader that is still reading does this when it leaves.
        """
        if self._lead.setdefault(0, self._nobody) is not self._nobody:
            return
        with self._send_lock:
            if not self._disposed:
                self._disposed = True
                self._transport.close()
        while self._followers:
            try:
                _, waiter = self._followers.popitem()
            except KeyError:  # another thread took the last one
                return
            if waiter.lock is not None:
                wake(waiter.lock)


def _timeval(seconds: float) -> bytes:
    """Return a struct timeval for SO_RCVTIMEO and SO_SNDTIMEO (socket(7))."""
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))


def unpackable(method: str, error: Exception) -> InvalidArgument:
    """Return the error for arguments that MessagePack cannot carry."""
    return InvalidArgument(
        f"an argument of {method} cannot be sent: {error}",
        remedy="use text, bytes, numbers, booleans, None, lists and maps of them",
        path="params",
    )
