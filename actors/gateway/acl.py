"""Let users and groups of the host through to a socket file: a POSIX access list, which the kernel checks.

Format of the attribute `system.posix_acl_access`: include/uapi/linux/posix_acl_xattr.h and acl(5): a version,
then entries of tag, permissions and id, in the order of the tags and, within one, of the ids.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ATTRIBUTE = "system.posix_acl_access"
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
READ_WRITE = 6
"""connect(2) asks for write permission on the socket file (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Users and groups who may open a socket beside its owner and its group."""

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)


def packed(uids: Iterable[int], gids: Iterable[int]) -> bytes:
    """Return the attribute of an access list of 0660 and these users and groups."""
    entries = [
        (_USER_OBJ, READ_WRITE, _NO_ID),
        *((_USER, READ_WRITE, uid) for uid in sorted(uids)),
        (_GROUP_OBJ, READ_WRITE, _NO_ID),
        *((_GROUP, READ_WRITE, gid) for gid in sorted(gids)),
        (_MASK, READ_WRITE, _NO_ID),
        (_OTHER, 0, _NO_ID),
    ]
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in entries)


def admit(path: Path, admitted: Admitted) -> None:
    """Give a file the mode 0660 and let some more in.

    Raises:
        OSError: the file system keeps no access lists, or not so many entries.
    """
    os.setxattr(path, ATTRIBUTE, packed(admitted.uids, admitted.gids))
