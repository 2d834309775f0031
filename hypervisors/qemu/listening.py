"""Unix sockets that the node listens on for a guest, and what becomes of those that were left.

A socket is replaced or removed only when nobody listens on it any more: it is never another service's.
Everything here blocks and belongs on the pool.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import nullcontext, suppress
from pathlib import Path

from ..reach.acting import acting_as
from ..reach.walk import walk
from .holding import is_held
from .identity import Identity


def listen_at(path: Path, identity: Identity) -> int:
    """Listen at a path of any length; a socket that an earlier run left there is replaced.

    What a limited client has named is made as QEMU's user (`holding.py` holds its folder).

    Raises:
        OSError: something lies there, or it cannot be made.
    """
    limited = is_held(str(path))
    place = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with acting_as(identity.uid, identity.gid, identity.groups) if limited else nullcontext():
            _remove_left(place, path.name)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
                sock.bind(f"/proc/self/fd/{place}/{path.name}")
                sock.listen(1)
                return sock.detach()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(place)


def remove_socket(path: Path) -> None:
    """Remove a Unix socket that nobody listens on; whatever else lies there stays."""
    with suppress(OSError), walk(str(path)) as place:  # nothing is there, or a link that others laid
        _remove_left(place.folder, place.leaf)


def _remove_left(folder: int, name: str) -> None:
    """Remove a socket that an earlier run left in a folder.

    Raises:
        OSError: somebody listens on it.
    """
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(info.st_mode):
        raise FileExistsError(errno.EEXIST, "something else lies there", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(f"/proc/self/fd/{folder}/{name}")
        except ConnectionRefusedError:
            os.unlink(name, dir_fd=folder)
            return
        except OSError as error:
            raise OSError(errno.EADDRINUSE, "another program uses the socket there", name) from error
    raise OSError(errno.EADDRINUSE, "another program listens there", name)
