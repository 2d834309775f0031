"""Who is at the other end of a Unix socket, from the kernel alone."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from ...protocol.identity import Identity

SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h, Linux 4.13; not in Python's socket module
MOST_BYTES = 1024  # what Python's getsockopt takes: 256 groups
NGROUPS_MAX = 65536  # include/uapi/linux/limits.h
_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


class LoginNames:
    """Login names from the passwd file, read anew when it changes.

    The name service is never asked: it may wait for a server, and the gateway may not.
    """

    def __init__(self, passwd: Path = Path("/etc/passwd")) -> None:
        self._passwd = passwd
        self._stamp: tuple[int, int] = (0, 0)
        self._names: dict[int, str] = {}

    def __call__(self, uid: int) -> str:
        """Return the login name of a uid, or "" where the file has none; gateway thread."""
        try:
            status = self._passwd.stat()
        except OSError:
            return ""
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp = stamp
            self._names = self._read()
        return self._names.get(uid, "")

    def _read(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for line in self._passwd.read_text(errors="replace").splitlines():
            fields = line.split(":")
            if len(fields) >= 3 and fields[2].isdecimal():
                names.setdefault(int(fields[2]), fields[0])
        return names


def unix_identity(sock: socket.socket, login_name: Callable[[int], str]) -> Identity:
    """Return who connected, by SO_PEERCRED and SO_PEERGROUPS (socket(7)); memory only.

    Raises:
        OSError: the peer is gone already.
    """
    pid, uid, gid = _CREDENTIALS.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return Identity(kind="unix", uid=uid, gid=gid, pid=pid, gids=_groups(sock), user=login_name(uid))


def _groups(sock: socket.socket) -> tuple[int, ...]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:  # a kernel before 4.13: only the main group counts
            return ()
        raw = _many_groups(sock.fileno())
    return struct.unpack(f"{len(raw) // 4}I", raw[: len(raw) // 4 * 4])


def _many_groups(fd: int) -> bytes:
    """Ask getsockopt(2) itself, whose buffer may be as large as the kernel's longest list."""
    import ctypes  # takes 5 ms, and hardly anybody is in more than 256 groups

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(NGROUPS_MAX * 4)
    size = ctypes.c_uint32(len(buffer))
    if libc.getsockopt(fd, socket.SOL_SOCKET, SO_PEERGROUPS, buffer, ctypes.byref(size)) != 0:
        return b""
    return buffer.raw[: size.value]
