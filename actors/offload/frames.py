"""Frames between the node and its worker: four bytes of length (big endian), then a pickle.

Pickle is right here and nowhere else: both ends are this program, on a socket pair that nobody else has.
"""

from __future__ import annotations

import pickle
import socket
from struct import Struct
from typing import Any

LENGTH = Struct(">I")
CHUNK = 65536
LONGEST_FRAME = 256 * 1024 * 1024
PROTOCOL = pickle.HIGHEST_PROTOCOL


def frame(value: Any) -> bytes:
    """Return a value as one frame.

    Raises: whatever pickle raises for what it cannot take (PicklingError, TypeError, AttributeError, …).
    """
    body = pickle.dumps(value, PROTOCOL)
    return LENGTH.pack(len(body)) + body


class FrameReader:
    """Collect frames from a socket; a timeout in mid-frame loses nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parts = bytearray()

    def receive(self) -> Any:
        """Return the next value. Blocks as long as the socket's timeout says.

        Raises: TimeoutError (call again to go on), EOFError when the other end is gone.
        """
        while True:
            parts = self._parts
            if len(parts) >= LENGTH.size:
                (length,) = LENGTH.unpack_from(parts)
                end = LENGTH.size + length
                if length > LONGEST_FRAME:
                    raise EOFError(f"a frame of {length} bytes")
                if len(parts) >= end:
                    with memoryview(parts) as view:
                        value = pickle.loads(view[LENGTH.size : end])  # from our own worker only
                    del parts[:end]
                    return value
            try:
                chunk = self._sock.recv(CHUNK)
            except ConnectionError as cause:
                raise EOFError(str(cause)) from cause
            if not chunk:
                raise EOFError("the other end is gone")
            parts += chunk
