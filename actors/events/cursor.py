"""Cursors: where in a node's stream of events a client is, as one opaque text.

Inside: the node's name, the epoch (one for each start of the node) and the event's number. The text is
base64url of "node.epoch", a dot, and the number in hexadecimal; clients must not look into it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from ...config.errors import InvalidArgument

LONGEST_CURSOR = 512
SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([0-9a-f]{1,16})")


class Position(NamedTuple):
    """What a cursor says: after which event of which epoch of which node."""

    node: str
    epoch: str
    number: int


def cursor_prefix(node: str, epoch: str) -> str:
    """Return the part that all cursors of one epoch of a node share."""
    return base64.urlsafe_b64encode(f"{node}.{epoch}".encode()).decode().rstrip("=") + "."


def decode_cursor(text: str) -> Position:
    """Read a cursor that a client sent.

    Raises: InvalidArgument when it is none.
    """
    match = SHAPE.fullmatch(text) if len(text) <= LONGEST_CURSOR else None
    if match is None:
        raise _not_a_cursor(text)
    encoded = match[1]
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        node, dot, epoch = base64.urlsafe_b64decode(padded).decode().rpartition(".")
    except (binascii.Error, UnicodeDecodeError) as cause:
        raise _not_a_cursor(text) from cause
    if not dot:
        raise _not_a_cursor(text)
    return Position(node, epoch, int(match[2], 16))


def _not_a_cursor(text: str) -> InvalidArgument:
    return InvalidArgument(
        "that is not a cursor of a mechane node",
        remedy="pass the cursor of the last event seen, or leave `since` out",
        path="params.since",
        value=text[:100],
    )
