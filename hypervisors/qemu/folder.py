"""A guest's own folder: its path stands in QEMU's command line, its monitor's socket lies in it.

Paths of Unix sockets have at most 107 bytes (unix(7)), so sockets are bound and connected
through /proc/self/fd/<folder>, whatever the length of the real path.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

MONITOR = "monitor.sock"
BACKLOG = 4


class GuestFolder:
    """The folder of one guest. `create`, `remove` block and belong on the pool."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, uid: int, gid: int) -> socket.socket:
        """Make the folder anew, for QEMU's user only, and return the listening monitor socket.

        Raises:
            OSError: it cannot be made.
        """
        self.remove()
        self.path.mkdir(mode=0o700, parents=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._with_socket_path(listener.bind)
            listener.listen(BACKLOG)
            if os.geteuid() == 0:
                os.chown(self.path, uid, gid)
        except OSError:
            listener.close()
            self.remove()
            raise
        return listener

    def connect(self) -> socket.socket:
        """Return a non-blocking socket, connected to the monitor; never waits.

        The kernel completes the connection as soon as somebody listens, also before QEMU
        accepts it.

        Raises:
            OSError: nobody listens, or too many wait already.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._with_socket_path(sock.connect)
        except OSError:
            sock.close()
            raise
        return sock

    def _with_socket_path(self, use: Callable[[str], None]) -> None:
        folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            use(f"/proc/self/fd/{folder}/{MONITOR}")
        finally:
            os.close(folder)

    def write_secret(self, name: str, value: str | bytes, uid: int, gid: int) -> str:
        """Write a file that only QEMU's user may read, and return its path."""
        path = self.path / name
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(value.encode() if isinstance(value, str) else value)
            if os.geteuid() == 0:
                os.fchown(fd, uid, gid)
        return str(path)

    def remove(self) -> None:
        """Remove the folder and what lies in it; nothing happens when it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)
