"""A guest's log: a file that QEMU itself appends to, never a pipe to the node.

The file is opened with O_APPEND, so it may be emptied under QEMU's hands: what is rotated
is a copy (tooling/logkeeper.py).  The guest's helpers write to it, too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..tooling.logkeeper import rotate

TAIL_BYTES = 4096
"""Most of QEMU's words that an error carries."""


class GuestLog:
    """One guest's log file; every method blocks and belongs on the pool."""

    __slots__ = ("_files", "_limit", "path")

    def __init__(self, path: Path, *, limit_bytes: int, files: int) -> None:
        """Name the log.

        Args:
            path: the file.
            limit_bytes: size from which it is rotated; 0: never.
            files: rotated files that are kept: path.0 is the newest.
        """
        self.path = path
        self._limit = limit_bytes
        self._files = files

    def open(self, header: str) -> tuple[int, int]:
        """Open the log for a start, after a rotation if it is due.

        Returns:
            A descriptor to append to, and the offset where this start's output begins.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rotate()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o600)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S%z")
        os.write(fd, f"{stamp}: {header}\n".encode(errors="surrogateescape"))
        return fd, os.fstat(fd).st_size

    def tail(self, offset: int) -> str:
        """Return the end of what was written from `offset` on, at most TAIL_BYTES."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = offset if offset <= size else 0  # it was emptied by a rotation meanwhile
                file.seek(max(begin, size - TAIL_BYTES))
                return file.read(TAIL_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    def rotate(self) -> bool:
        """Move the content away when there is too much; returns whether that was so."""
        return rotate(self.path, limit_bytes=self._limit, files=self._files)
