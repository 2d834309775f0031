"""All SQL of the SQLite store.

The file's `application_id` says whose it is, `user_version` which schema it has; the table `migrations`
tells when each step was applied. A schema is changed only by adding a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .formats import converted

APPLICATION_ID = 0x6D656368
"""ASCII "mech" (sqlite.org/pragma.html#pragma_application_id)."""


class Migration(NamedTuple):
    """One step: the schema version it leads to, a name, its statements, and what each value becomes."""

    version: int
    name: str
    statements: tuple[str, ...] = ()
    convert: Callable[[str, bytes], bytes] | None = None
    """Gives a key's value in the step's format; versions of keys stay, because they are tokens."""


# WITHOUT ROWID keeps entries of one prefix side by side: listing 5,000 domains reads neighbouring pages
# only; values above about 1 KiB (XML) go to overflow pages and do not lie between them.
MIGRATIONS = (
    Migration(
        1,
        "entries",
        (
            "CREATE TABLE entries (key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL,"
            " value BLOB NOT NULL) WITHOUT ROWID",
            "CREATE TABLE migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,"
            " applied_at REAL NOT NULL)",
        ),
    ),
    Migration(2, "records are maps", convert=converted),
)
NEWEST = MIGRATIONS[-1].version

GET_APPLICATION_ID = "PRAGMA application_id"
SET_APPLICATION_ID = f"PRAGMA application_id = {APPLICATION_ID}"
GET_SCHEMA_VERSION = "PRAGMA user_version"
SET_SCHEMA_VERSION = "PRAGMA user_version = {version:d}"
RECORD_MIGRATION = "INSERT INTO migrations (version, name, applied_at) VALUES (?, ?, ?)"
REWRITE = "UPDATE entries SET value = ?2 WHERE key = ?1"
LOOK = "SELECT count(*) FROM sqlite_master"

SET_ROLLBACK_JOURNAL = "PRAGMA journal_mode = DELETE"
SET_WAL = "PRAGMA journal_mode = WAL"
# Each commit syncs the WAL: an acknowledged group survives power loss (sqlite.org/pragma.html).
WRITER_SETTINGS = ("PRAGMA synchronous = FULL", "PRAGMA journal_size_limit = 4194304")
READER_SETTINGS = ("PRAGMA query_only = ON",)

BEGIN = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
SAVE = "SAVEPOINT grp"
UNDO = "ROLLBACK TO grp"
RELEASE = "RELEASE grp"

PUT = (
    "INSERT INTO entries (key, version, value) VALUES (?1, 1, ?2)"
    " ON CONFLICT (key) DO UPDATE SET version = version + 1, value = excluded.value RETURNING version"
)
PUT_NEW = "INSERT INTO entries (key, version, value) VALUES (?1, 1, ?2) ON CONFLICT (key) DO NOTHING RETURNING version"
PUT_OVER = "UPDATE entries SET version = version + 1, value = ?2 WHERE key = ?1 AND version = ?3 RETURNING version"
PUT_AT = "INSERT OR REPLACE INTO entries (key, version, value) VALUES (?1, ?2, ?3)"
DELETE = "DELETE FROM entries WHERE key = ?1"
DELETE_OVER = "DELETE FROM entries WHERE key = ?1 AND version = ?2"
GET_VERSION = "SELECT version FROM entries WHERE key = ?1"
GET = "SELECT key, value, version FROM entries WHERE key = ?1"
LIST = "SELECT key, value, version FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key"
LIST_ALL = "SELECT key, value, version FROM entries ORDER BY key"
