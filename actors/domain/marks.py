"""Marks: what a guest's own runtime folder tells of an acknowledged start.

A mark is written before the start is answered, with all that adoption needs, and again whenever the run's record
changes. It lies beside the guest, on the file system that vanishes at a reboot as guests do: so a node whose store
was restored, moved, emptied or damaged still knows who runs. A mark outranks the store's record of the same
UUID, unless that is of the same start and no older (`StoredRun.revision`).

    <runtime folder>/c/<connection>/<uuid>/mark      HEAD, CRC-32 of the rest (u32, big-endian), MessagePack

Everything here blocks and belongs on the pool, or before the node serves.
"""

from __future__ import annotations

import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path

import msgpack

from ...config.errors import MechaneError, StoreError
from .stored import StoredRun

HEAD = b"mechane mark\n"
FILE = "mark"
FRESH = ".mark.new"
MOST_BYTES = 4 * 1024 * 1024
"""Longest mark that is read; the longest XML that the node stores has 512 KiB."""
UUID_LENGTH = 36


def write(runtime_dir: Path, uuid: str, run: StoredRun) -> None:
    """Write a guest's mark, whole and durable.

    Raises:
        OSError: the file system refuses it.
    """
    path = runtime_dir / uuid
    with suppress(FileExistsError):  # the driver made it
        path.mkdir(mode=0o700)
    body: bytes = msgpack.packb({**run.to_map(), "uuid": uuid})
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with suppress(FileNotFoundError):  # an earlier try was cut short
            os.unlink(FRESH, dir_fd=folder)
        fd = os.open(FRESH, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            file.write(HEAD + zlib.crc32(body).to_bytes(4, "big") + body)
            file.flush()
            os.fsync(file.fileno())
        os.rename(FRESH, FILE, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(runtime_dir: Path, uuid: str, start: str | None = None) -> None:
    """Remove a guest's mark, and its folder where nothing else is in it.

    Args:
        runtime_dir: the connection's folder.
        uuid: the guest's.
        start: remove only the mark of this start; None: whichever there is.
    """
    path = runtime_dir / uuid
    if start is not None:
        try:
            kept = read(runtime_dir, uuid)
        except StoreError:
            return  # a newer version's, of another start
        if kept is not None and kept.start != start:
            return
    with suppress(OSError):  # there is none
        (path / FILE).unlink()
    with suppress(OSError):  # there is more in it, or nothing at all
        path.rmdir()


def read(runtime_dir: Path, uuid: str) -> StoredRun | None:
    """Return what a guest's mark tells; None where there is none, a damaged one, or one that others could write.

    Raises:
        StoreError: a newer version wrote it; it is left alone.
    """
    try:
        folder = os.open(runtime_dir / uuid, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fd = os.open(FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
            return None
        try:
            return _checked(file.read(MOST_BYTES), uuid)
        except OSError:
            return None


def _checked(raw: bytes, uuid: str) -> StoredRun | None:
    start = len(HEAD) + 4
    body = raw[start:]
    if not raw.startswith(HEAD) or zlib.crc32(body) != int.from_bytes(raw[len(HEAD) : start], "big"):
        return None
    try:
        run = StoredRun.unpack(body)
    except MechaneError as error:
        if isinstance(error, StoreError) and "format" in error.details:
            raise  # of a newer version
        return None  # the guest is found by its folder
    if run.kept.get("uuid") != uuid or run.phase != "running":
        return None  # the folder was put in another's place
    return run


def read_all(runtime_dir: Path) -> tuple[dict[str, StoredRun], dict[str, StoreError]]:
    """Return the marks of all guests of a connection, by UUID, and why those of newer versions cannot be read."""
    found, newer = {}, {}
    with suppress(OSError):  # no guest was ever started
        for entry in os.scandir(runtime_dir):
            try:
                run = read(runtime_dir, entry.name) if len(entry.name) == UUID_LENGTH else None
            except StoreError as error:
                newer[entry.name] = error
                continue
            if run is not None:
                found[entry.name] = run
    return found, newer


def stronger(stored: StoredRun | None, mark: StoredRun | None) -> StoredRun | None:
    """Return which record of a guest counts. Pure."""
    if mark is None or stored is None:
        return mark or stored
    newer = stored.phase == "running" and stored.start == mark.start and stored.revision >= mark.revision
    return stored if newer else mark
