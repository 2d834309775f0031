"""The lock that lets one node at a time use a state folder.

flock(2) on `<state_dir>/lock`: the kernel drops it with the node, however that ends, so there is no stale
lock. The file is never unlinked (two nodes could then lock two files of the same name).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ...config.errors import StoreError
from .failures import os_failure

LOCK_NAME = "lock"
FILE_MODE = 0o600


class FolderLock:
    """Hold a state folder for this process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock and write our pid into it; never waits.

        Raises: StoreError when another process holds it (`details.pid`) or the folder is not writable.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        except OSError as cause:
            raise os_failure(cause, self.path, "create") from cause
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as cause:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise self._held(pid) from cause
        except OSError as cause:
            os.close(fd)
            raise os_failure(cause, self.path, "lock") from cause
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):  # the pid is for people; the lock goes with the descriptor
            os.ftruncate(fd, 0)
        os.close(fd)

    def _held(self, pid: str) -> StoreError:
        holder = f"process {pid}" if pid else "another process"
        return StoreError(
            f"the state folder {self.path.parent} is in use by {holder}",
            remedy="end that node first, or give this one another --state-dir",
            path=str(self.path),
            pid=int(pid) if pid.isdigit() else None,
        )
