"""Walk to a path one step at a time, by descriptors, and follow only links that nobody but root could have laid.

A link is followed where root (or the node's user) owns it, in a folder that only they can write: /dev/VG/LV,
/dev/disk/by-id, folders of images that an administrator linked. Other links, and everything in /proc, are
refused. What was found is held by a descriptor, so that nothing that happens to the path later matters.

Everything here blocks and belongs on the pool.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LINKS = 20
"""Links that one path may hold."""
STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class NotTrusted(OSError):
    """A path leads through what others than root may have laid."""


@dataclass(slots=True)
class Place:
    """Where a path leads. Close it."""

    real: str
    """The path without links."""
    folder: int
    """The folder that it lies in, or -1 for the root."""
    leaf: str
    fd: int
    """What lies there (O_PATH), -1 where nothing does."""
    steady: bool
    """Whether nobody but root could put something else there."""
    info: os.stat_result | None = None

    def close(self) -> None:
        """Close what is still ours."""
        for fd in (self.folder, self.fd):
            if fd >= 0:
                with suppress(OSError):  # closed already
                    os.close(fd)
        self.folder = self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def walk(path: str) -> Place:
    """Return where an absolute path leads; its last part need not be there.

    Raises:
        NotTrusted: a link on the way that others may have laid, or /proc.
        OSError: a folder on the way is not there.
    """
    return _Walk(path).go()


class _Walk:
    """One walk: the folders above, by name and descriptor, and the parts that are still to go."""

    def __init__(self, path: str) -> None:
        if not path.startswith("/") or "\0" in path:
            raise NotTrusted(errno.EINVAL, "is no absolute path", path)
        self.path = path
        self.todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        self.names: list[str] = []
        self.fds = [os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        self.steady = [True]
        self.links = 0
        self.process_files = os.stat("/proc").st_dev

    def go(self) -> Place:
        try:
            while self.todo:
                place = self.step(self.todo.pop())
                if place is not None:
                    return place
            top = os.dup(self.fds[-1])
            folder = os.dup(self.fds[-2]) if len(self.fds) > 1 else -1
            leaf = self.names[-1] if self.names else ""
            return Place(real="/" + "/".join(self.names), folder=folder, leaf=leaf, fd=top,
                         steady=all(self.steady), info=os.fstat(top))  # fmt: skip
        finally:
            for fd in self.fds:
                os.close(fd)

    def step(self, part: str) -> Place | None:
        """Go one part on; return the place once it is reached."""
        if part == "..":  # of a link: what the user wrote has none
            if len(self.fds) > 1:
                os.close(self.fds.pop())
                self.names.pop()
                self.steady.pop()
            return None
        above = os.fstat(self.fds[-1])
        if above.st_dev == self.process_files:
            raise NotTrusted(errno.EPERM, "leads through /proc", self.path)
        try:
            fd = os.open(part, STEP, dir_fd=self.fds[-1])
        except FileNotFoundError:
            if self.todo:
                raise
            return Place(real="/" + "/".join([*self.names, part]), folder=os.dup(self.fds[-1]), leaf=part, fd=-1,
                         steady=all(self.steady) and _only_root(above))  # fmt: skip
        info = os.fstat(fd)
        if stat.S_ISLNK(info.st_mode):
            self.follow(part, fd, info, above)
            return None
        steady = _kept(info, above)
        if stat.S_ISDIR(info.st_mode):
            self.fds.append(fd)
            self.names.append(part)
            self.steady.append(steady)
            return None
        if self.todo:
            os.close(fd)
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", self.path)
        return Place(real="/" + "/".join([*self.names, part]), folder=os.dup(self.fds[-1]), leaf=part, fd=fd,
                     steady=all(self.steady) and steady, info=info)  # fmt: skip

    def follow(self, part: str, fd: int, info: os.stat_result, above: os.stat_result) -> None:
        """Put the parts of a link's target before those that are left."""
        try:
            target = os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)
        self.links += 1
        if info.st_uid not in _trusted() or not _only_root(above) or not all(self.steady):
            raise NotTrusted(errno.EPERM, f"the link {'/'.join(['', *self.names, part])} is not followed: others than "
                             "root may have laid it", self.path)  # fmt: skip
        if self.links > LINKS:
            raise NotTrusted(errno.ELOOP, "holds too many links", self.path)
        if target.startswith("/"):
            for old in self.fds[1:]:
                os.close(old)
            self.fds, self.names, self.steady = self.fds[:1], [], [True]
        self.todo += [step for step in reversed(target.split("/")) if step not in ("", ".")]


def _trusted() -> tuple[int, ...]:
    return (0, os.geteuid())


def _only_root(folder: os.stat_result) -> bool:
    """Tell whether nobody but root can write a folder."""
    return folder.st_uid in _trusted() and not folder.st_mode & 0o022


def _kept(info: os.stat_result, above: os.stat_result) -> bool:
    """Tell whether nobody but root can put something else in the place of an entry of a folder."""
    if _only_root(above):
        return True
    sticky = bool(above.st_mode & stat.S_ISVTX)
    return sticky and above.st_uid in _trusted() and info.st_uid in _trusted()
