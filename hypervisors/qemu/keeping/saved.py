"""The file of a saved guest: a head that says what it is, then QEMU's own migration stream.

Layout, all numbers big-endian:

    0    16 bytes  MAGIC
    16   u32       VERSION
    20   u32       1 once all of it is on the disk, 0 before
    24   u32       length of the description
    28   u32       CRC-32 of the description
    32   u64       where the stream begins: a multiple of ALIGNMENT
    40             description: JSON, UTF-8

A file that is not complete, that another user could have written, or whose description is
damaged is refused: its XML becomes a command line. Everything here blocks and belongs on
the pool.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import threading
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ....config.errors import OperationFailed

MAGIC = b"mechane saved\n\x00\x1a"
VERSION = 1
HEAD = struct.Struct(">16sIIIIQ")
COMPLETE = 20
"""Where the word is that says that all is there."""
ALIGNMENT = 4096
DESCRIPTION_BYTES = 4 * 1024 * 1024
"""Longest description taken; the longest XML that the node stores has 512 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What was saved; `version` is the emulator's, `saved_at` in seconds since 1970."""

    uuid: str
    name: str
    version: tuple[int, int, int]
    state: str
    saved_at: float
    xml: str
    compressed: str = "no"


class SavedFile:
    """A file that a guest is being saved to. Any thread of the pool."""

    def __init__(self, path: str, description: Description) -> None:
        """Make a new file and write its head; the descriptor is left where the stream begins.

        Raises:
            OperationFailed: it exists already or cannot be written.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise OperationFailed(f"{path} cannot be made: {error.strerror}", remedy="name a new file in a folder "
                                  "that exists", path=path) from error  # fmt: skip
        try:
            text = json.dumps(asdict(description)).encode()
            start = -(-(HEAD.size + len(text)) // ALIGNMENT) * ALIGNMENT
            head = HEAD.pack(MAGIC, VERSION, 0, len(text), zlib.crc32(text), start)
            _write_all(self.fd, (head + text).ljust(start, b"\x00"))
        except OSError as error:
            self.discard()
            raise OperationFailed(f"{path} cannot be written: {error.strerror}", remedy="look at its file system",
                                  path=path) from error  # fmt: skip

    def seal(self) -> None:
        """Make the file durable, first the stream, then the word that it is complete.

        Raises:
            OperationFailed: the file system refuses it.
        """
        with self._lock:
            try:
                os.fsync(self.fd)
                os.pwrite(self.fd, struct.pack(">I", 1), COMPLETE)
                os.fsync(self.fd)
                sync_folder(str(Path(self.path).parent))
            except OSError as error:
                raise OperationFailed(f"{self.path} cannot be made durable: {error.strerror}",
                                      remedy="look at its file system", path=self.path) from error  # fmt: skip

    def close(self) -> None:
        """Close the descriptor. Calling it again does nothing."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd >= 0:
                os.close(fd)

    def discard(self) -> None:
        """Remove the file, unless another lies there by now, and close it."""
        with self._lock:
            if self.fd < 0:
                return
            mine = os.fstat(self.fd)
            with suppress(OSError):  # somebody removed it, or the folder is gone
                there = os.lstat(self.path)
                if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                    Path(self.path).unlink()
        self.close()


def check_absent(path: str) -> None:
    """Demand that nothing lies at a path yet: whatever lies there later is the file that is about to be made.

    Raises:
        OperationFailed: something does.
    """
    if os.path.lexists(path):
        raise OperationFailed(f"{path} cannot be made: File exists", remedy="name a new file in a folder that exists",
                              path=path)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A saved guest that is being restored; `start` is where its stream begins."""

    path: str
    fd: int
    start: int
    description: Description

    def rewind(self) -> None:
        """Go to the begin of the stream."""
        os.lseek(self.fd, self.start, os.SEEK_SET)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def open_saved(path: str, uuid: str) -> Source:
    """Open the saved state of a domain.

    Raises:
        OperationFailed: it is none, of another domain, not complete, or not to be trusted.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would block the open
    try:
        fd = os.open(path, flags)
    except OSError as error:
        raise _refused(path, f"cannot be opened: {error.strerror}", "name a file that domain.save wrote") from error
    try:
        _check_trust(fd, path)
        start, description = _read_head(fd, path)
        if description.uuid != uuid:
            raise _refused(path, f"was saved of another domain, {description.name} ({description.uuid})",
                           "restore that one")  # fmt: skip
    except BaseException:
        os.close(fd)
        raise
    return Source(path=path, fd=fd, start=start, description=description)


def _check_trust(fd: int, path: str) -> None:
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise _refused(path, "is no regular file", "name a file that domain.save wrote")
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & 0o022:
        raise _refused(path, "could have been written by other users than the node's",
                       "give it to the node's user with mode 0600 if you trust it")  # fmt: skip


def _read_head(fd: int, path: str) -> tuple[int, Description]:
    complete, start, description = _read(fd, path)
    if not complete:
        raise _refused(path, "is not complete: saving was interrupted", "the guest runs on, or start it anew")
    if description.compressed != "no":
        raise _refused(path, f"is compressed with {description.compressed}", "this mechane reads plain ones only")
    return start, description


def read_description(fd: int, path: str) -> tuple[bool, Description]:
    """Return whether a file is complete, and what was saved in it.

    Raises:
        OperationFailed: it holds no saved guest, or is damaged.
    """
    complete, _, description = _read(fd, path)
    return complete, description


def _read(fd: int, path: str) -> tuple[bool, int, Description]:
    nothing = _refused(path, "holds no saved guest", "name a file that domain.save wrote")
    try:
        raw = os.pread(fd, HEAD.size, 0)
        magic, version, complete, length, checksum, start = HEAD.unpack(raw)
    except (OSError, struct.error) as error:
        raise nothing from error
    if magic != MAGIC:
        raise nothing
    if version != VERSION:
        raise _refused(path, f"has format {version}, this mechane reads {VERSION}", "restore it with the mechane "
                       "that saved it")  # fmt: skip
    text = os.pread(fd, min(length, DESCRIPTION_BYTES), HEAD.size)
    if len(text) != length or zlib.crc32(text) != checksum or start < HEAD.size + length:
        raise _refused(path, "is damaged: its description does not match its checksum", "use another copy")
    try:
        values = json.loads(text)
        names = Description.__dataclass_fields__.keys() & values.keys()  # others are of versions that knew more
        found = {name: values[name] for name in names}
        description = Description(**{**found, "version": tuple(found["version"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(path, "has a description that cannot be read", "use another copy") from error
    return bool(complete), start, description


def _refused(path: str, why: str, remedy: str) -> OperationFailed:
    return OperationFailed(f"{path} {why}", remedy=remedy, path=path)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def sync_folder(path: str) -> None:
    """Make what was made or renamed in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
