"""Keeps the logs of guests within their bounds while they are written: one thread for all of a connection.

A guest's program appends to its log itself (O_APPEND), so nothing is lost while no node runs, and the file can be
emptied under its hands. The thread sleeps until a log changes (inotify(7)); one that has become too long is kept as a
rotated copy, at most one in COPY_EVERY_S, and emptied. What comes faster is dropped, and the log says so. Between
two looks a program can write what its disk takes in PAUSE_S; the store has a reserve for that (actors/stores).
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import stat
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

IN_MODIFY, IN_Q_OVERFLOW = 0x2, 0x4000
IN_CLOEXEC, IN_NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
"""Numbers of linux/inotify.h."""
EVENT = struct.Struct("iIII")
ENDING = ".log"
PAUSE_S = 0.01
"""Seconds between two looks at logs that are written without end."""
LOOK_S = 30.0
"""Seconds between two looks at all logs: what is written through a mapping tells nobody."""
COPY_EVERY_S = 10.0
BLOCK_BYTES = 512
READ_BYTES = 1 << 16


def rotate(path: Path, *, limit_bytes: int, files: int, copy: bool = True) -> bool:
    """Empty a log that is too long, and keep its end as PATH.0; returns whether it was. Blocks.

    Args:
        path: the log, which somebody appends to.
        limit_bytes: the length, or space on the disk, from which it is too long.
        files: copies that are kept: PATH.0 is the newest.
        copy: keep one of what is there now; else it is dropped.

    Raises:
        OSError: it cannot be emptied.
    """
    try:
        info = path.lstat()
    except FileNotFoundError:
        return False
    used = max(info.st_size, info.st_blocks * BLOCK_BYTES)  # reserved space counts: posix_fallocate(3)
    if not limit_bytes or used < limit_bytes or not stat.S_ISREG(info.st_mode):
        return False
    if copy and files:
        try:
            _keep(path, info.st_size, limit_bytes, files)
        except OSError:  # no room for it: the log itself is what must go
            _numbered(path, 0).unlink(missing_ok=True)
    os.truncate(path, 0)
    if not copy:
        _say(path, f"{used} bytes were dropped: too much is written")
    return True


def _keep(path: Path, size: int, most: int, files: int) -> None:
    for number in range(files - 1, 0, -1):
        with suppress(FileNotFoundError):
            _numbered(path, number - 1).replace(_numbered(path, number))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with path.open("rb") as source, open(os.open(_numbered(path, 0), flags, 0o600), "wb") as target:
        source.seek(max(0, size - most))
        left = most
        while left > 0 and (data := source.read(min(left, READ_BYTES))):
            target.write(data)
            left -= len(data)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _say(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, f"{time.strftime('%Y-%m-%d %H:%M:%S%z')}: {text}\n".encode())
    finally:
        os.close(fd)


class LogKeeper:
    """See the module. `start` and `close` belong to one thread, the rest to the keeper's own."""

    def __init__(
        self, folder: Path, *, limit_bytes: int, files: int, log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._limit = limit_bytes
        self._files = files
        self._log = log
        self._clock = clock
        self._copied: dict[str, float] = {}
        self._end = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the folder's logs from now on; does nothing where they have no limit."""
        if self._limit and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let the thread end; it does so by itself."""
        if self._thread is not None:
            os.eventfd_write(self._end, 1)

    def _run(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            notices = self._watch()
        except OSError as error:
            self._log.error("the logs in %s are not kept within their bounds: %s", self._folder, error)
            return
        try:
            self._look(self._all())
            while not self._ended(notices):
                self._look(self._changed(notices))
        finally:
            os.close(notices)

    def _watch(self) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK))
        if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(self._folder), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self._folder))
        return fd

    def _ended(self, notices: int) -> bool:
        """Wait for a change, or for LOOK_S; tell whether it is over."""
        if select.select([self._end], [], [], PAUSE_S)[0]:
            return True
        return self._end in select.select([notices, self._end], [], [], LOOK_S)[0]

    def _changed(self, notices: int) -> set[str]:
        """Return the names of logs that may be too long."""
        names: set[str] = set()
        data = b""
        with suppress(BlockingIOError):
            data = os.read(notices, READ_BYTES)
        at = 0
        while at < len(data):
            _, mask, _, length = EVENT.unpack_from(data, at)
            name = os.fsdecode(data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0"))
            at += EVENT.size + length
            if mask & IN_Q_OVERFLOW:
                return self._all()
            names.add(name)
        return names or self._all()

    def _all(self) -> set[str]:
        with suppress(OSError):  # somebody removed the folder
            return {path.name for path in self._folder.iterdir()}
        return set()

    def _look(self, names: set[str]) -> None:
        for name in names:
            if not name.endswith(ENDING):
                continue
            copy = self._clock() - self._copied.get(name, -COPY_EVERY_S) >= COPY_EVERY_S
            try:
                if rotate(self._folder / name, limit_bytes=self._limit, files=self._files, copy=copy) and copy:
                    self._copied[name] = self._clock()
            except OSError as error:
                self._log.warning("the log %s cannot be rotated: %s", self._folder / name, error)
