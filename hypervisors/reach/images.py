"""What an image names by itself: the image below it, and a file of data beside it.

Source: QEMU's docs/interop/qcow2.txt: header, header extensions. Everything here blocks.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass

MAGIC = b"QFI\xfb"
BACKING_FORMAT = 0xE2792ACA
EXTERNAL_DATA = 1 << 2
"""Bit of the incompatible features: the data lie in another file."""
HEADER_BYTES = 64 * 1024
LONGEST_NAME = 1023
_PROTOCOL = re.compile(r"[^/]*:")
"""What QEMU takes for a protocol: all before a colon, unless a slash comes first (path_has_protocol of its block.c)."""


class BadImage(Exception):
    """An image that names what nobody can check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The image below one, as its header names it."""

    path: str
    format: str


def below(fd: int, real: str) -> Below | None:
    """Return the image below a qcow2 image that is held by a descriptor (O_PATH), None where there is none.

    Args:
        fd: the image.
        real: its path, from which a relative name counts.

    Raises:
        BadImage: it is no qcow2 image, has its data elsewhere, or names what is no file, or of no format.
        OSError: it cannot be read.
    """
    with open(f"/proc/self/fd/{fd}", "rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < 72 or head[:4] != MAGIC:
        raise BadImage("is no qcow2 image")
    version, start, size = struct.unpack_from(">IQI", head, 4)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 and len(head) >= 80 else 0
    if features & EXTERNAL_DATA:
        raise BadImage("keeps its data in another file")
    if not start or not size:
        return None
    if size > LONGEST_NAME or start + size > len(head):
        raise BadImage("has a damaged header")
    name = head[start : start + size].decode("utf-8", "surrogateescape")
    if _PROTOCOL.match(name) or "\0" in name:
        raise BadImage(f"lies over {name[:80]!r}, which is no plain file")
    image_format = _format(head, version)
    if not image_format:
        raise BadImage(f"does not say of what format {name[:80]!r} is (qemu-img rebase -u -F says it)")
    path = os.path.normpath(os.path.join(os.path.dirname(real), name))
    return Below(path=path, format=image_format)


def _format(head: bytes, version: int) -> str:
    """Return the format of the image below, as the header extension says it."""
    at = struct.unpack_from(">I", head, 100)[0] if version >= 3 and len(head) >= 104 else 72
    while at + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, at)
        if kind == 0:
            return ""
        if kind == BACKING_FORMAT:
            return head[at + 8 : at + 8 + length].decode("ascii", "replace")
        at += 8 + -(-length // 8) * 8
    return ""
