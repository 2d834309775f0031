"""Files of saves that were broken off: whether they are ours, how far they are, and their end. Blocks; on the pool.

A file is the one that was begun when its description has the domain's UUID and the moment that the note tells; or
when it has none yet: nothing lay at its path when the note was written.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from ....config.errors import OperationFailed
from .saved import ALIGNMENT, DESCRIPTION_BYTES, MAGIC, read_description, sync_folder
from .saved import COMPLETE as COMPLETE_AT

HEAD_BYTES = ALIGNMENT + DESCRIPTION_BYTES
STRANGE, PARTIAL, COMPLETE = "strange", "partial", "complete"


def progress_of(path: str, uuid: str, saved_at: float) -> str:
    """Return how far a save got: STRANGE where the file is none of ours, or there is none."""
    try:
        fd = _open(path)
    except OSError:
        return STRANGE
    try:
        return _progress(fd, path, uuid, saved_at)
    finally:
        os.close(fd)


def seal(path: str, uuid: str, saved_at: float) -> None:
    """Make a state that QEMU has written to its end durable, and say in it that it is complete.

    Raises:
        OperationFailed: the file system refuses it.
    """
    try:
        fd = _open(path)
        try:
            if _progress(fd, path, uuid, saved_at) == PARTIAL:
                os.fsync(fd)
                os.pwrite(fd, struct.pack(">I", 1), COMPLETE_AT)
                os.fsync(fd)
                sync_folder(str(Path(path).parent))
        finally:
            os.close(fd)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be made durable: {error.strerror}", remedy="look at its file system",
                              path=path) from error  # fmt: skip


def discard(path: str, uuid: str, saved_at: float) -> None:
    """Remove a file that is not complete."""
    if progress_of(path, uuid, saved_at) == PARTIAL:
        with suppress(OSError):  # it went meanwhile, or its folder did
            Path(path).unlink()


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _progress(fd: int, path: str, uuid: str, saved_at: float) -> str:
    try:
        complete, description = read_description(fd, path)
    except OperationFailed:
        return PARTIAL if _is_begun(fd) else STRANGE
    if (description.uuid, description.saved_at) != (uuid, saved_at):
        return STRANGE
    return COMPLETE if complete else PARTIAL


def _is_begun(fd: int) -> bool:
    """Tell whether a file is one that the node had just made: its head is not there, or not all of it."""
    info, head = os.fstat(fd), os.pread(fd, len(MAGIC), 0)
    mine = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and stat.S_IMODE(info.st_mode) == 0o600
    return mine and info.st_size < HEAD_BYTES and MAGIC.startswith(head)
