"""Opening the SQLite file: whose it is, whether it is whole, which schema it has.

The file is looked at through a read-only connection first, so that one that is damaged, foreign or newer
than this program is refused without a byte of it changed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ...config.errors import StoreError
from . import schema
from .failures import os_failure, sqlite_failure

DATABASE_NAME = "node.db"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
BUSY_TIMEOUT_S = 5.0
"""How long SQLite waits for a foreign lock (a backup tool); our own threads never hold one for long."""


def make_folder(folder: Path) -> None:
    """Create the state folder where it is missing, for its owner alone.

    Raises: StoreError.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as cause:
        raise os_failure(cause, folder, "create") from cause


def prepare(path: Path, clock: Callable[[], float] = time.time) -> sqlite3.Connection:
    """Create the database or check the one that is there, bring its schema up to date, open it for writing.

    Blocks on the disk. `clock` gives the wall time that migrations are recorded with. A file of an older schema
    is copied beside itself first (`keep_copy`).

    Raises: StoreError; a file that is refused is left as it was.
    """
    fresh = _create(path)
    try:
        version = 0 if fresh else inspect(path)
        if 0 < version < schema.NEWEST:
            keep_copy(path, version, clock())
        connection = connect_writer(path)
        try:
            for migration in schema.MIGRATIONS:
                if migration.version > version:
                    _migrate(connection, migration, clock())
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as cause:
        raise sqlite_failure(cause, path, "be opened") from cause
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the database for the one thread that writes: WAL, synced at each commit."""
    connection = _connect(path, "rw")
    try:
        (mode,) = connection.execute(schema.SET_WAL).fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"the file system does not carry write-ahead logging (it is {mode})")
        for setting in schema.WRITER_SETTINGS:
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading beside the writer."""
    connection = _connect(path, "rw")  # WAL readers write to the shared-memory index; data they cannot change
    for setting in schema.READER_SETTINGS:
        connection.execute(setting)
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # we say BEGIN and COMMIT ourselves
        check_same_thread=False,  # opened by who starts the store, then used by one thread only
    )


def _create(path: Path) -> bool:
    """Make sure that the file exists, private; return whether it is empty."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            status = os.fstat(fd)
            if status.st_mode & 0o077:
                os.fchmod(fd, FILE_MODE)
        finally:
            os.close(fd)
        if status.st_size == 0:
            sync_folder(path.parent)
    except OSError as cause:
        raise os_failure(cause, path, "open") from cause
    return status.st_size == 0


def put_in_place(made: Path, path: Path) -> None:
    """Give a file that was written beside its place that name, durably: its bytes first, then the name. Blocks.

    Raises: OSError.
    """
    fd = os.open(made, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    made.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable: a synced file whose name is lost is lost too (fsync(2))."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def inspect(path: Path) -> int:
    """Return the schema version of a file that is ours and not newer than we are.

    Raises:
        StoreError: it is another program's, or newer.
        sqlite3.Error: it is damaged.
    """
    with contextlib.closing(_connect(path, "ro")) as connection:
        connection.execute(schema.LOOK).fetchone()
        (application,) = connection.execute(schema.GET_APPLICATION_ID).fetchone()
        (version,) = connection.execute(schema.GET_SCHEMA_VERSION).fetchone()
        # A node killed between creating the file and its first commit leaves one without any table.
        if application != schema.APPLICATION_ID and (application or version or _has_tables(connection)):
            raise StoreError(
                f"{path} is a database of another program",
                remedy="choose another --state-dir",
                path=str(path),
            )
    if version > schema.NEWEST:
        raise StoreError(
            f"{path} has schema version {version}; this mechane knows up to {schema.NEWEST}",
            remedy="run the newer mechane that wrote it, or restore an older backup",
            path=str(path),
        )
    return int(version)


def _has_tables(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute(schema.LOOK).fetchone()
    return bool(count)


def _migrate(connection: sqlite3.Connection, migration: schema.Migration, now: float) -> None:
    """Apply one step in one transaction."""
    connection.execute(schema.BEGIN)
    try:
        for statement in migration.statements:
            connection.execute(statement)
        if migration.convert is not None:
            _rewrite(connection, migration.convert)
        connection.execute(schema.RECORD_MIGRATION, (migration.version, migration.name, now))
        connection.execute(schema.SET_APPLICATION_ID)
        connection.execute(schema.SET_SCHEMA_VERSION.format(version=migration.version))
        connection.execute(schema.COMMIT)
    except BaseException:
        if connection.in_transaction:
            connection.execute(schema.ROLLBACK)
        raise


def _rewrite(connection: sqlite3.Connection, convert: Callable[[str, bytes], bytes]) -> None:
    for key, value, _ in connection.execute(schema.LIST_ALL).fetchall():
        fresh = convert(key, value)
        if fresh is not value:
            connection.execute(schema.REWRITE, (key, fresh))


def keep_copy(path: Path, version: int, now: float) -> Path:
    """Write a copy of the database beside it, durable before this returns, so that one can go back.

    It holds what is in the write-ahead log, too (sqlite.org/backup.html). Blocks on the disk.

    Args:
        path: the database.
        version: its schema, which the copy's name says.
        now: wall time, for the name; an older copy is never written over.

    Returns:
        The copy: `node.db.schema-1.20261201T035800Z`.

    Raises:
        StoreError: it cannot be written.
        sqlite3.Error: it cannot be read.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    final = path.with_name(f"{path.name}.schema-{version}.{stamp}")
    part = path.with_name(f"{path.name}.copying")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        with contextlib.closing(_connect(path, "rw")) as source, contextlib.closing(_connect(part, "rw")) as target:
            source.backup(target)
            target.execute(schema.SET_ROLLBACK_JOURNAL)  # one file is all of it
        put_in_place(part, final)
    except OSError as cause:
        raise os_failure(cause, final, "write") from cause
    return final
