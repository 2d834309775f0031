"""Sockets that wait for clients: made with care, and kept alive when descriptors run out.

Guarantees:
- A Unix socket appears with mode 0600 and gets its group and mode only afterwards: nobody
  gets in during the moment between.
- A socket file is removed only when it is a socket that nobody listens on, and at the end
  only when it is still ours.
- Without free descriptors accepting pauses for a second, instead of spinning.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.errors import Conflict, OperationFailed
from .acl import Admitted, admit
from .loop import IN, Loop

if TYPE_CHECKING:
    import logging

LONGEST_PATH = 107
"""Bytes of sun_path without the final zero (unix(7))."""
BACKLOG = 512
ACCEPTS_PER_TURN, ACCEPTS_ASIDE = 64, 8
PAUSE_S = 1.0


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of `path` that fits into a socket address, also where the path is too long.

    A long one goes through the descriptor of its folder: /proc/self/fd/N/name (proc(5)).

    Raises:
        OperationFailed: even the last part alone is too long.
    """
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(short)) > LONGEST_PATH:
            raise OperationFailed(f"the socket name {path.name} is too long", remedy="choose a shorter name")
        yield short
    finally:
        os.close(folder)


def bind_unix(
    path: Path, *, mode: int, gid: int | None, admitted: Admitted | None = None, log: logging.Logger | None = None
) -> socket.socket:  # fmt: skip
    """Return a listening socket at `path`; may block on the file system, so only while starting.

    Args:
        path: where; its folder must exist.
        mode: permissions of the socket file.
        gid: its group; left as it is when None.
        admitted: who else may open it; where the file system keeps no access lists everybody may then, and the
            gateway alone refuses those without a grant.
        log: where the latter is told.

    Raises:
        Conflict: somebody listens there, or it is no socket.
        OperationFailed: the system refuses.
    """
    remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(sock.fileno(), 0o600)  # bind gives the file the mode of the socket (unix_bind in Linux)
        with short_path(path) as name:
            sock.bind(name)
        if gid is not None:
            os.chown(path, -1, gid)
        path.chmod(mode)
        if admitted:
            _admit(path, admitted, log)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise OperationFailed(
            f"cannot listen on {path}: {error.strerror or error}", remedy="check the folder and its owner",
            path=str(path),
        ) from error  # fmt: skip
    return sock


def _admit(path: Path, admitted: Admitted, log: logging.Logger | None) -> None:
    try:
        admit(path, admitted)
    except OSError as error:
        path.chmod(0o666)
        if log is not None:
            log.warning("gateway: %s can be opened by everybody: no access list there: %s; who has no grant is "
                        "refused after connecting", path, error.strerror)  # fmt: skip


def remove_stale(path: Path) -> None:
    """Remove a socket file that a node left behind when it was killed.

    Raises:
        Conflict: somebody listens there, or it is no socket.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise Conflict(f"{path} exists and is no socket", remedy="move it away", path=str(path))
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with probe, short_path(path) as name:
        try:
            probe.connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full backlog (EAGAIN) or no permission: somebody lives there
    raise Conflict(
        f"somebody listens on {path} already", remedy="stop the other node, or choose another runtime folder",
        path=str(path),
    )  # fmt: skip


class Listener:
    """A listening socket within the loop; hands each accepted socket to `accepted`."""

    def __init__(
        self, sock: socket.socket, accepted: Callable[[socket.socket], None], loop: Loop, log: logging.Logger,
        *, name: str, path: Path | None = None, aside: bool = False,
    ) -> None:  # fmt: skip
        """Prepare; `open` starts accepting.

        Args:
            sock: listening, non-blocking; owned from now on.
            accepted: takes over each client's non-blocking socket.
            loop: of the gateway.
            log: where exhaustion is told, once for each time.
            name: for messages.
            path: the socket file, removed at the end while it is ours.
            aside: its clients must not delay those of others.
        """
        self.name = name
        self.sock = sock
        self._accepted = accepted
        self._loop = loop
        self._log = log
        self._path = path
        self._aside = aside
        self._inode = path.stat().st_ino if path else 0
        self._paused = False
        self._open = False

    def open(self) -> None:
        """Begin to accept; gateway thread."""
        self._open = True
        self._loop.add(self.sock.fileno(), IN, self._on_event, aside=self._aside)

    def close(self) -> None:
        """Stop accepting and remove the socket file; gateway thread, or any when never opened."""
        if self._open:
            self._open = False
            self._loop.remove(self.sock.fileno())
        self.sock.close()
        if self._path is not None:
            with contextlib.suppress(OSError):  # removed by somebody, or the folder is gone
                if self._path.lstat().st_ino == self._inode:
                    self._path.unlink()

    def _on_event(self, _mask: int) -> None:
        for _ in range(ACCEPTS_ASIDE if self._aside else ACCEPTS_PER_TURN):
            try:
                client, _address = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM, or what a filter forbids: accept(2)
                self._pause(error)
                return
            self._paused = False
            try:
                client.setblocking(False)
                self._accepted(client)
            except Exception:  # noqa: BLE001 - the edge: one client that fails must not end the listener
                self._log.exception("gateway: a client of %s could not be taken in", self.name)
                self._loop.close_later(client)

    def _pause(self, error: OSError) -> None:
        if not self._paused:
            self._log.error("gateway: %s cannot accept: %s; trying each second", self.name, error.strerror)
        self._paused = True
        self._loop.remove(self.sock.fileno())
        self._loop.later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.add(self.sock.fileno(), IN, self._on_event, aside=self._aside)
