"""Room for the store on a disk that others fill: a file of the state folder that is there to be given up.

When a change finds the disk full, the reserve gives its blocks to the write-ahead log, so that changes go on while
somebody makes room; SQLite reads the log by its frames and takes no notice of what lies behind them
(sqlite.org/walformat.html). When there is room again the reserve is made anew. All of it runs on the store thread,
but `fill` before that starts.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NAME = "reserve"
BYTES = 16 * 1024 * 1024
LEAST_BYTES = 1024 * 1024
"""Below that a reserve is no help: one change takes some 12 KiB of the log (measured)."""
SHARE = 8
"""The part of the free space that a reserve takes at most, where the file system is small."""
AGAIN_S = 10.0
"""Seconds between two looks whether there is room for it again."""

log = logging.getLogger("mechane.store")


class Reserve:
    """The reserve of one store."""

    def __init__(self, database: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = database.with_name(NAME)
        self._wal = database.with_name(f"{database.name}-wal")
        self._clock = clock
        self._looked = -AGAIN_S

    def fill(self) -> None:
        """Make the reserve where it is missing or short and there is room; seldom more than a look. Blocks."""
        now = self._clock()
        if now - self._looked < AGAIN_S:
            return
        self._looked = now
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            log.warning("the store has no reserve: %s", error)
            return
        try:
            room = os.fstatvfs(fd)
            there = os.fstat(fd).st_size
            wanted = min(BYTES, there + room.f_bavail * room.f_frsize // SHARE)
            if wanted >= max(LEAST_BYTES, there + 1):
                os.posix_fallocate(fd, 0, wanted)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, 0)  # what was had of it would be missing elsewhere
        finally:
            os.close(fd)

    def give(self) -> bool:
        """Give half of what is left to the write-ahead log; False when nothing is left. Blocks."""
        try:
            size = self._path.stat().st_size
            if not size:
                return False
            given = size if size < 2 * LEAST_BYTES else size // 2
            wal = os.open(self._wal, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            behind = os.fstat(wal).st_size
            os.truncate(self._path, size - given)
            with suppress(OSError):  # somebody was quicker: there is the rest
                os.posix_fallocate(wal, behind, given)
        except OSError as error:
            log.warning("the store's reserve cannot be had: %s", error)
            return False
        finally:
            os.close(wal)
        self._looked = self._clock()
        log.error("the disk of %s is full: the store lives on its reserve, of which %d KiB are left", self._path.parent,
                  (size - given) // 1024)  # fmt: skip
        return True
