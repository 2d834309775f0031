"""Where a node listens, and how one gets a socket to it.

A Unix socket's path has at most 107 bytes (unix(7)); longer ones are reached through a
descriptor of their folder and /proc/self/fd.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...config.errors import ConnectionLost, PermissionDenied

if TYPE_CHECKING:
    from pathlib import Path

SOCKET_VARIABLE = "MECHANE_SOCKET"
SYSTEM_SOCKET = "/run/mechane/mechane.sock"
READ_ONLY_NAME = "mechane-ro.sock"
LONGEST_PATH = 107


def socket_path(named: str | Path | None = None, read_only: bool = False) -> str:
    """Return the socket to use.

    Args:
        named: the one that the caller names; left out: MECHANE_SOCKET, else the user's node
            when its socket is there, else the system's.
        read_only: the read-only socket beside it instead, however it is called: never the other.
    """
    path = str(named) if named else os.environ.get(SOCKET_VARIABLE) or SYSTEM_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and path is SYSTEM_SOCKET:
        own = f"{runtime}/mechane/mechane.sock"
        if os.path.exists(own):
            path = own
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{READ_ONLY_NAME}" if read_only else path


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """Give a path of at most 107 bytes that leads to the same socket, while the block lasts."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


def refused(path: str, error: OSError) -> ConnectionLost | PermissionDenied:
    """Say in our words why nobody answers at `path`."""
    if isinstance(error, PermissionError):
        return PermissionDenied(
            f"the node's socket {path} may not be opened",
            remedy="ask for a grant or for membership of the group mechane, or use mechane-ro.sock to read",
            socket=path,
        )
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    what = "there is no socket" if missing else f"no node answers ({error.strerror or error})"
    return ConnectionLost(
        f"{what} at {path}",
        remedy="start the node with mechaned, or name its socket with --socket or MECHANE_SOCKET",
        socket=path,
        sent=False,
    )


def open_unix(path: str, timeout_s: float) -> socket.socket:
    """Connect to a Unix socket within `timeout_s`; the socket that comes back blocks.

    Raises:
        ConnectionLost: nobody listens there.
        PermissionDenied: the socket may not be opened.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        with reachable(path) as short:
            sock.connect(short)
        sock.settimeout(None)
    except OSError as error:
        sock.close()
        raise refused(path, error) from error
    except BaseException:
        sock.close()
        raise
    return sock
