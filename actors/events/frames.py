"""Events as frames of the wire: the only file of the events that knows MessagePack.

An event's map is packed once; what differs between subscribers, the number of the subscription, is one more
pair at the end of the map (a map's pairs follow its header, which tells their number: spec.md of msgpack).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

from ...protocol.wire import EVENT, NOTIFICATION, pack

FIXMAP = 0x80
FIXMAP_MOST = 15
MAP16 = 0xDE
HEAD = b"\x93" + pack(NOTIFICATION) + pack(EVENT) + b"\x91"
SUBSCRIPTION_KEY = pack("subscription")


def pack_event(event: Mapping[str, Any]) -> bytes:
    """Return an event packed; values that MessagePack does not know become text. Never fails."""
    try:
        packed: bytes = msgpack.packb(event, default=str, unicode_errors="replace")
    except (ValueError, TypeError):  # nested without end
        plain = {key: _plain(value) for key, value in event.items()}
        packed = msgpack.packb(plain, default=str, unicode_errors="replace")
    return packed


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return {"unpackable": type(value).__name__}


def subscription_tail(subscription: int) -> bytes:
    """Return the pair that ends each event of one subscription."""
    return SUBSCRIPTION_KEY + pack(subscription)


def event_frame(packed: bytes, tail: bytes) -> bytes:
    """Return the notification that carries a packed event to the subscription of `tail`."""
    first = packed[0]
    if FIXMAP <= first < FIXMAP + FIXMAP_MOST:
        return b"".join((HEAD, _FIXMAPS[first - FIXMAP + 1], packed[1:], tail))
    if first == MAP16:
        pairs, body = int.from_bytes(packed[1:3], "big"), packed[3:]
    else:  # the fullest short map grows into a long one
        pairs, body = FIXMAP_MOST, packed[1:]
    return b"".join((HEAD, bytes([MAP16]), (pairs + 1).to_bytes(2, "big"), body, tail))


def pack_events(events: Iterable[bytes]) -> bytes:
    """Return an array of events that are packed already."""
    bodies = list(events)
    header: bytes = msgpack.Packer().pack_array_header(len(bodies))
    return header + b"".join(bodies)


_FIXMAPS = tuple(bytes([FIXMAP + pairs]) for pairs in range(FIXMAP_MOST + 1))
