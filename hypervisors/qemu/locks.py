"""A lock for each UUID that QEMU's process alone inherits: whoever holds it runs that guest.

The lock belongs to the open file (flock(2)), so it lasts as long as the emulator keeps the descriptor
that it inherited, whatever becomes of the node, of its store and of the guest's folder; helpers
(swtpm, virtiofsd) do not inherit it. A lock file that nobody holds means that no emulator of this UUID
runs. Where there is no file (a guest of a version without locks, a runtime folder that was removed) the
command lines of all processes decide; see strays.py. The file goes when the guest has ended. Everything here
blocks and belongs on the pool.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = "locks"
TRIES, PAUSE_S = 5, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Which guests ran when a connection was opened; it holds as long as its folder of locks is the same."""

    folder: tuple[int, int]
    running: frozenset[str]


def _path(runtime_dir: Path, uuid: str) -> Path:
    return runtime_dir / FOLDER / uuid


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def folder(runtime_dir: Path) -> tuple[int, int]:
    """Make the folder of locks where it is missing, and name it: device and inode.

    Raises:
        OSError: it cannot be made.
    """
    path = runtime_dir / FOLDER
    path.mkdir(mode=0o700, exist_ok=True)
    info = path.stat()
    return info.st_dev, info.st_ino


def exists(runtime_dir: Path, uuid: str) -> bool:
    """Tell whether a guest has a lock file."""
    return os.path.lexists(_path(runtime_dir, uuid))


def take(runtime_dir: Path, uuid: str) -> int | None:
    """Take the lock of a guest that is about to start, and return its descriptor; None: a process holds it.

    Raises:
        OSError: the file cannot be made.
    """
    path = _path(runtime_dir, uuid)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fd = _open(path, os.O_CREAT)
    for _ in range(TRIES):
        if _try(fd):
            return fd
        time.sleep(PAUSE_S)  # somebody may just be looking (`held`)
    os.close(fd)
    return None


def held(runtime_dir: Path, uuid: str) -> bool | None:
    """Tell whether a process holds a guest's lock; None where there is no file that could tell."""
    try:
        fd = _open(_path(runtime_dir, uuid), 0)
    except OSError:
        return None
    try:
        return not _try(fd)
    finally:
        os.close(fd)  # gives back what `_try` took


def forget(runtime_dir: Path, uuid: str) -> None:
    """Remove the lock file of a domain that is undefined, or of a guest that runs without holding it."""
    with suppress(OSError):  # there is none
        _path(runtime_dir, uuid).unlink()


def forget_free(runtime_dir: Path, uuid: str) -> None:
    """Remove the lock file of a guest that has ended, unless a process holds it still."""
    if held(runtime_dir, uuid) is False:
        forget(runtime_dir, uuid)


def holds(pid: int, runtime_dir: Path, uuid: str) -> bool:
    """Tell whether a process has a guest's lock file open."""
    with suppress(OSError):  # it ended, or the file is gone
        mine = _path(runtime_dir, uuid).stat()
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # closed just now
                info = entry.stat()
                if (info.st_dev, info.st_ino) == (mine.st_dev, mine.st_ino):
                    return True
    return False
