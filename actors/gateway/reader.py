"""From the bytes of one client to calls: decoding, shapes, limits, fair turns.

This is the hot path: a pipelined call costs about 2 µs here beside the handler (measured),
so the normal way makes no objects beyond what the decoder makes and raises nothing.

Guarantees:
- A message is measured before its rest is taken: nothing above `frame_bytes` is ever kept,
  and half a message is kept for at most `half_frame_s`.
- Bytes that are no protocol end this client, with a last `session.error`, and no other.
- A client's turn ends after `TURN_S` or `MESSAGES_PER_TURN` messages, whichever comes first; only one message is
  ever served past that. Clients who are served behind others have shorter turns, so that more of them get one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgpack.exceptions import UnpackException

from ...config.errors import (
    Busy,
    InternalError,
    InvalidArgument,
    MechaneError,
    PermissionDenied,
    ProtocolError,
)
from ...protocol.wire import (
    CANCEL,
    HIGHEST_MSGID,
    NOTIFICATION,
    REQUEST,
    STREAM_CLOSE,
    STREAM_CREDIT_GRANT,
    STREAM_DATA,
    error_frame,
    unpacker,
)

if TYPE_CHECKING:
    from .session import Owner, Session

MESSAGES_PER_TURN = 256
TURN_S, TURN_BEHIND_S = 0.001, 0.00025
RECEIVE_BYTES, RECEIVE_BEHIND_BYTES = 262144, 65536
LARGE_BYTES = 65536
"""A decoder that held more than this is not used again, since its buffer never shrinks."""
MOST_DECODERS = 8
"""Decoders kept for the next client that sends something."""


class Reader:
    """Decodes what one session receives; gateway thread only."""

    __slots__ = (
        "__weakref__", "_end", "_frame_bytes", "_large", "_leftover", "_owner", "_partial_since", "_pool",
        "_position", "_scheduled", "_session", "_turn_s", "_unpacker", "_view",
    )  # fmt: skip

    def __init__(self, session: Session, owner: Owner) -> None:
        self._session = session
        self._owner = owner
        self._frame_bytes = session.limits.frame_bytes
        self._turn_s = TURN_BEHIND_S if session.behind else TURN_S
        self._view = owner.buffer[: RECEIVE_BEHIND_BYTES if session.behind else RECEIVE_BYTES]
        self._partial_since: float | None = None
        self._leftover = False
        self._scheduled = False
        self._pool = owner.decoders.setdefault((self._frame_bytes, session.limits.array_length), [])
        self._unpacker: Any = None  # msgpack has no types; None between two messages
        self._position = 0  # where the message that comes next begins in the decoder's stream
        self._end = 0  # how much the decoder was given
        self._large = False

    def _borrow(self) -> Any:
        """Take a decoder; one is 45 KiB (its stack alone 40), too much for each idle client."""
        decoder = self._pool.pop() if self._pool else unpacker(self._frame_bytes, self._session.limits.array_length)
        self._unpacker = decoder
        self._position = self._end = decoder.tell()
        return decoder

    def _give_back(self) -> None:
        """Let go of the decoder, which holds nothing now; one whose buffer grew is not kept."""
        if not self._large and len(self._pool) < MOST_DECODERS:
            self._pool.append(self._unpacker)
        self._unpacker = None
        self._large = False

    def receive(self) -> None:
        """Take what has come and serve it."""
        if self._leftover:
            return  # its turn comes with `resume`; the kernel keeps the rest
        session = self._session
        view = self._view
        try:
            size = session.receive_into(view)
        except session.again:
            return
        except OSError:
            size = 0
        if size == 0:
            session.gone()
            return
        self._take(view[:size])

    def _take(self, chunk: memoryview) -> None:
        size = len(chunk)
        try:
            decoder = self._unpacker
            if decoder is None:
                decoder = self._borrow()
            decoder.feed(chunk)
            self._end += size
            self._large = self._large or size > LARGE_BYTES
            self._serve()
        except MechaneError as error:
            self._refuse(error)
        except (ValueError, UnpackException) as error:  # all that the decoder raises
            told = f"these bytes are not MessagePack-RPC: {error or type(error).__name__}"[:300]
            self._refuse(ProtocolError(told, remedy="see docs/calls.md"))
        except Exception:
            self._owner.log.exception("gateway: serving client %d failed", self._session.id)
            self._refuse(InternalError("the node failed to serve this client", remedy="see the node's log"))

    def resume(self) -> None:
        """Go on with messages that are decoded only in part, in the next turn."""
        if self._leftover and not self._scheduled:
            self._scheduled = True
            self._session.soon(self._go_on)

    def _go_on(self) -> None:
        self._scheduled = False
        if self._leftover and not self._session.closed and not self._session.paused():
            self._leftover = False
            self._take(memoryview(b""))

    def _refuse(self, error: MechaneError) -> None:
        self._owner.count("bad_input")
        self._leftover = False
        self._unpacker = None
        self._session.refuse(error)

    def _serve(self) -> None:
        """Serve decoded messages and send the answers that are there in one piece."""
        session, decoder = self._session, self._unpacker
        tell, request, longest = decoder.tell, self._request, self._frame_bytes
        room = session.limits.outbox_pause_bytes
        position, count = self._position, 0
        clock, until = time.perf_counter, time.perf_counter() + self._turn_s
        answers: list[bytes] = []
        try:
            for message in decoder:
                end = tell()
                if end - position > longest:
                    raise self._too_long(end - position)
                position = end
                count += 1
                if type(message) is tuple and len(message) == 4:
                    answer = request(message)
                    if answer is not None:
                        answers.append(answer)
                        room -= len(answer)
                else:
                    self._notification(message)
                if count >= MESSAGES_PER_TURN or clock() >= until or room < 0 or session.closed:
                    self._leftover = True
                    break
        finally:
            self._position = position
            session.calls += count
            if answers:
                session.send(answers[0] if len(answers) == 1 else b"".join(answers))
        if self._leftover:
            session.update_mask()
            self.resume()
        else:
            self._between_turns(fresh=count > 0)

    def _between_turns(self, *, fresh: bool) -> None:
        """Measure and time the half message that is left, or let go of a large buffer.

        Args:
            fresh: a message was completed, so that what is left began just now.
        """
        pending = self._end - self._position
        if pending == 0:
            self._partial_since = None
            self._give_back()
        elif pending > self._frame_bytes:
            raise self._too_long(pending)
        elif fresh or self._partial_since is None:
            self._partial_since = self._owner.loop.clock()
            self._owner.sweep.add(self._session)
        if self._session.outbox_bytes():
            self._session.update_mask()

    def look(self, now: float) -> bool:
        """Refuse a client whose message began too long ago; return whether to look again."""
        since, limit = self._partial_since, self._session.limits.half_frame_s
        if since is None:
            return False
        waits_for_us = self._leftover or self._session.paused()  # it may have sent the rest; we do not look
        if now - since >= limit and not waits_for_us:
            told = f"a message began {now - since:.0f} s ago and is not complete"
            self._refuse(ProtocolError(told, remedy="send whole messages"))
        return True

    def _too_long(self, size: int) -> ProtocolError:
        return ProtocolError(
            f"a message has {size} bytes or more; the limit is {self._frame_bytes}",
            remedy="send less at once; session.hello tells the limits", limit=self._frame_bytes,
        )  # fmt: skip

    def _request(self, message: tuple[Any, Any, Any, Any]) -> bytes | None:
        kind, msgid, method, params = message
        if (
            kind != REQUEST or type(kind) is not int or type(msgid) is not int or type(method) is not str
            or type(params) is not tuple or len(params) > 1 or not 0 <= msgid <= HIGHEST_MSGID
        ):  # fmt: skip
            raise _shape("a request is [0, msgid, method, [arguments]]")
        arguments: dict[str, Any] = {}
        if params:
            arguments = params[0]
            if type(arguments) is not dict:
                raise _shape("params is empty or holds one map of named arguments")
            for value in arguments.values():
                if type(value) is tuple or type(value) is dict:
                    self._check_depth(value)
        session = self._session
        in_flight = session.in_flight
        if in_flight and (msgid in in_flight or len(in_flight) >= session.limits.calls_in_flight):
            return self._overlap(msgid)
        owner = self._owner
        if session.read_only and method in owner.not_read_only:
            return _not_offered(msgid, method)
        try:
            return owner.handler.call(session, msgid, method, arguments)
        except MechaneError as error:
            return error_frame(msgid, error)
        except Exception:
            owner.log.exception("gateway: call %s of client %d failed", method, session.id)
            return error_frame(
                msgid, InternalError(f"{method} failed through a bug of mechane", remedy="see the node's log")
            )

    def _overlap(self, msgid: int) -> bytes:
        session = self._session
        if msgid in session.in_flight:
            return error_frame(
                msgid,
                InvalidArgument(
                    f"msgid {msgid} belongs to a call that is still in flight", remedy="count msgids upwards",
                    path="msgid", value=msgid,
                ),
            )  # fmt: skip
        limit = session.limits.calls_in_flight
        self._owner.count("calls_refused")
        return error_frame(
            msgid,
            Busy(
                f"client {session.id} has {limit} calls in flight", remedy="await some answers first",
                what="calls_in_flight", limit=limit,
            ),
        )  # fmt: skip

    def _check_depth(self, value: Any) -> None:
        """Refuse arguments nested deeper than the limit, without recursion."""
        limit = self._session.limits.depth
        level = [value]
        for _ in range(limit):
            inside: list[Any] = []
            for container in level:
                items = container.values() if type(container) is dict else container
                inside.extend(item for item in items if type(item) is tuple or type(item) is dict)
            if not inside:
                return
            level = inside
        raise ProtocolError(
            f"arguments are nested deeper than {limit} levels", remedy="send flatter data", limit=limit
        )

    def _notification(self, message: Any) -> None:
        if type(message) is not tuple or len(message) != 3 or type(message[0]) is not int:
            raise _shape("a message is [0, msgid, method, params] or [2, method, params]")
        kind, method, params = message
        if kind != NOTIFICATION or type(method) is not str or type(params) is not tuple:
            raise _shape("a notification is [2, method, [arguments]]")
        if len(params) != 1 or type(params[0]) is not dict:
            raise _shape("a notification's params hold one map of named arguments")
        arguments = params[0]
        if method == CANCEL:
            msgid = _number(arguments, "msgid")
            if msgid in self._session.in_flight:
                self._owner.handler.cancel(self._session, msgid)
        elif method in (STREAM_DATA, STREAM_CREDIT_GRANT, STREAM_CLOSE):
            self._stream(method, arguments)
        else:
            raise _shape(f"there is no notification {method[:100]!r} from clients")

    def _stream(self, method: str, arguments: dict[str, Any]) -> None:
        number = _number(arguments, "stream")
        stream = self._session.streams.get(number)
        if stream is None:
            if self._session.had_stream(number):
                return  # closed on our side while this was under way
            raise _shape(f"there was never a stream {number}")
        if method == STREAM_DATA:
            data = arguments.get("data")
            if type(data) is not bytes:
                raise _shape("stream.data carries binary data")
            stream.take(data)
        elif method == STREAM_CREDIT_GRANT:
            stream.grant(_number(arguments, "bytes"))
        else:
            stream.close_by_client()


def _shape(rule: str) -> ProtocolError:
    return ProtocolError(f"not MessagePack-RPC as this node speaks it: {rule}", remedy="see docs/calls.md")


def _number(arguments: dict[str, Any], name: str) -> int:
    value = arguments.get(name)
    if type(value) is not int or not 0 <= value <= HIGHEST_MSGID:
        raise _shape(f"{name} is a number of at most 32 bits")
    return value


def _not_offered(msgid: int, method: str) -> bytes:
    return error_frame(
        msgid,
        PermissionDenied(
            f"{method} is not offered on the read-only socket", remedy="use mechane.sock", method=method
        ),
    )  # fmt: skip
