"""A guest's own folder: its path stands in QEMU's command line, its monitor's socket lies in it.

The folder is the node's: QEMU passes it and cannot change what lies in it, so no guest can put another's
socket into the place of its own. What QEMU makes itself (sockets of displays, files of memory) goes into the folder
below, `own`. A node that is not root has one user for all, and a guest of an earlier version owns its
folder: so links are never followed, and who listens at a monitor's socket is asked of the kernel.

Paths of Unix sockets have at most 107 bytes (unix(7)), so sockets are bound and connected
through /proc/self/fd, whatever the length of the real path.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import struct
from pathlib import Path

MONITOR = "monitor.sock"
OWN = "q"
"""QEMU's part of a folder; short, because paths of sockets are."""
BACKLOG = 4
PEER = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""


class GuestFolder:
    """The folder of one guest. `create`, `remove` block and belong on the pool."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def own(self) -> Path:
        """Return where QEMU may make files: all of it, where an earlier version made the folder. One lstat."""
        below = self.path / OWN
        return self.path if self.path.is_dir() and not below.is_dir() else below

    def create(self, uid: int, gid: int) -> socket.socket:
        """Make the folder anew and return the listening monitor socket.

        Raises:
            OSError: it cannot be made.
        """
        self.remove()
        self.path.mkdir(mode=0o700, parents=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._bind(listener)
            listener.listen(BACKLOG)
            (self.path / OWN).mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(self.path / OWN, uid, gid)
                os.chown(self.path, 0, gid)
                self.path.chmod(0o710)
        except OSError:
            listener.close()
            self.remove()
            raise
        return listener

    def _bind(self, listener: socket.socket) -> None:
        folder = self._open()
        try:
            listener.bind(f"/proc/self/fd/{folder}/{MONITOR}")
        finally:
            os.close(folder)

    def _open(self) -> int:
        return os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def connect(self, pid: int) -> socket.socket:
        """Return a non-blocking socket, connected to the monitor; never waits.

        The kernel completes the connection as soon as somebody listens, also before QEMU accepts it. Who listens is
        the process that called listen(2) last: QEMU does that for the socket that it inherits, and before
        that it is the node itself.

        Args:
            pid: the guest's process.

        Raises:
            OSError: nobody listens, too many wait already, a link lies there, or another process listens.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._connect(sock)
            peer, _, _ = PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
            if peer not in (pid, os.getpid()):
                raise OSError(errno.EPERM, f"process {peer} listens there instead of {pid}", str(self.path / MONITOR))
        except OSError:
            sock.close()
            raise
        return sock

    def _connect(self, sock: socket.socket) -> None:
        folder = self._open()
        try:
            there = os.open(MONITOR, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            if not stat.S_ISSOCK(os.fstat(there).st_mode):
                raise OSError(errno.ENOTSOCK, "what lies there is no socket", str(self.path / MONITOR))
            sock.connect(f"/proc/self/fd/{there}")
        finally:
            os.close(there)

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
