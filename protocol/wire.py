"""The frames of MessagePack-RPC, and the constants that both ends share.

Format: github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md. A request is
[0, msgid, method, params], a response [1, msgid, error, result], a notification
[2, method, params]; `params` is empty or holds one map of named arguments. An error is
nil or the map of `MechaneError.to_wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

import msgpack

from ..config.errors import MechaneError
from .limits import LimitRow as LimitRow
from .limits import Limits as Limits
from .limits import limit_rows as limit_rows

PROTOCOL = 1
"""The version of what this protocol adds to MessagePack-RPC."""
REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2
HIGHEST_MSGID = 0xFFFFFFFF
"""A msgid has 32 bits (msgpack-rpc spec.md)."""
STREAM_CREDIT = 262144
"""Bytes of a stream that may be under way in one direction before the taker grants more."""

CANCEL = "cancel"
STREAM_DATA = "stream.data"
STREAM_CREDIT_GRANT = "stream.credit"
STREAM_CLOSE = "stream.close"
EVENT = "events.event"
SESSION_ERROR = "session.error"
"""The last thing that a node says to a client whose input it cannot take."""

_ARRAY4, _NIL, _UINT32 = 0x94, 0xC0, 0xCE  # formats of spec.md of msgpack
_RESPONSE_HEAD = Struct(">BBBIB").pack


def pack(value: Any) -> bytes:
    """Return a value packed as MessagePack; any thread."""
    packed: bytes = msgpack.packb(value)
    return packed


NIL = b"\xc0"
"""The packed result of a call that has nothing to say."""


def response_frame(msgid: int, packed_result: bytes) -> bytes:
    """Return the response to a request from its result, packed already.

    The msgid always takes five bytes: one call of struct is faster than choosing (measured).
    """
    return _RESPONSE_HEAD(_ARRAY4, RESPONSE, _UINT32, msgid, _NIL) + packed_result


def error_frame(msgid: int, error: MechaneError) -> bytes:
    """Return the response to a request that failed; details that cannot be packed become text."""
    packed: bytes = msgpack.packb(
        (RESPONSE, msgid, error.to_wire(), None), default=str, unicode_errors="replace"
    )
    return packed


def notification_frame(method: str, arguments: Mapping[str, Any]) -> bytes:
    """Return a notification with its named arguments."""
    packed: bytes = msgpack.packb((NOTIFICATION, method, (arguments,)))
    return packed


def notification_frame_packed(method: str, packed_arguments: bytes) -> bytes:
    """Return a notification whose map of arguments is packed already."""
    return b"\x93\x02" + pack(method) + b"\x91" + packed_arguments


def session_error_frame(error: MechaneError) -> bytes:
    """Return the notification that precedes the end of a session."""
    packed: bytes = msgpack.packb(
        (NOTIFICATION, SESSION_ERROR, (error.to_wire(),)), default=str, unicode_errors="replace"
    )
    return packed


def request_frame(msgid: int, method: str, arguments: Mapping[str, Any]) -> bytes:
    """Return a request with its named arguments."""
    packed: bytes = msgpack.packb((REQUEST, msgid, method, (arguments,)))
    return packed


def unpacker(frame_bytes: int, array_length: int, *, use_list: bool = False) -> msgpack.Unpacker:
    """Return a decoder of a byte stream that refuses what exceeds its limits.

    Args:
        frame_bytes: longest string or binary; whole messages are measured by the reader,
            since the decoder lets go of what it has read of an unfinished message.
        array_length: items of one array, pairs of one map: an array costs 8 bytes for each
            item that it announces before any of them came.
        use_list: arrays as lists instead of tuples.

    The buffer starts small: the default would take 1 MiB for each client.
    """
    return msgpack.Unpacker(
        use_list=use_list,
        raw=False,
        read_size=min(16384, frame_bytes),
        max_buffer_size=2 * frame_bytes + 262144,
        max_str_len=frame_bytes,
        max_bin_len=frame_bytes,
        max_array_len=array_length,
        max_map_len=array_length,
        max_ext_len=0,
    )
