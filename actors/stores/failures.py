"""What to say, and to advise, when SQLite or the file system fails."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from ...config.errors import StoreError

DAMAGED = "the file is damaged: restore node.db from a backup, or move it away to start empty"

# Primary result codes by name (sqlite.org/rescode.html); extended names start with the primary one.
REMEDIES = (
    ("SQLITE_FULL", "free space on its file system; nothing of the failed change was kept"),
    ("SQLITE_READONLY", "make the state folder and its files writable for the node"),
    ("SQLITE_CANTOPEN", "make the state folder readable and writable for the node"),
    ("SQLITE_PERM", "make the state folder readable and writable for the node"),
    ("SQLITE_CORRUPT", DAMAGED),
    ("SQLITE_NOTADB", DAMAGED),
    ("SQLITE_BUSY", "another program holds the database open for writing: end it"),
    ("SQLITE_LOCKED", "another program holds the database open for writing: end it"),
    ("SQLITE_IOERR", "see the kernel log for errors of the disk below the state folder"),
)
OS_REMEDIES = {
    errno.EROFS: "the file system is read-only: mount it writable or choose another --state-dir",
    errno.EACCES: "give the node's user access to the state folder or choose another --state-dir",
    errno.EPERM: "give the node's user access to the state folder or choose another --state-dir",
    errno.ENOSPC: "free space on its file system",
    errno.EDQUOT: "the node's user is over its quota: free space",
    errno.ENOTDIR: "a part of the path is a file: choose another --state-dir",
    errno.ELOOP: "the path must not be a symbolic link",
}


def sqlite_failure(cause: sqlite3.Error, path: Path, doing: str) -> StoreError:
    """Build the error for a failure of SQLite while `doing` something to the file `path`."""
    name = str(getattr(cause, "sqlite_errorname", "") or type(cause).__name__)
    remedy = next((text for code, text in REMEDIES if name.startswith(code)), "")
    error = StoreError(f"the store {path} could not {doing}: {cause} [{name}]", remedy=remedy)
    error.details.update(path=str(path), sqlite=name)
    return error


def is_full(cause: sqlite3.Error) -> bool:
    """Tell whether SQLite found no room on the disk."""
    return str(getattr(cause, "sqlite_errorname", "")).startswith("SQLITE_FULL")


def os_failure(cause: OSError, path: Path, doing: str) -> StoreError:
    """Build the error for a failure of the file system while `doing` something to `path`."""
    remedy = OS_REMEDIES.get(cause.errno or 0, "")
    error = StoreError(f"the store could not {doing} {path}: {cause.strerror or cause}", remedy=remedy)
    error.details.update(path=str(path), errno=cause.errno)
    return error
