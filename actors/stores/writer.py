"""The store thread: one transaction for all that is queued, answers after the commit.

Guarantees:

- A group that fails by VersionMismatch does not hurt the others of its transaction: each group with several
  operations runs in a savepoint (a single statement is atomic by itself).
- Any failure of SQLite (disk full, I/O) rolls the whole transaction back, answers every group of it with
  StoreError, and the next transaction starts afresh, on a new connection if the old one cannot roll back.
- Watchers, then `done`, are called after the commit, in the order of the groups. A callback that raises
  is logged and harms nobody else.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ...config.errors import InternalError, MechaneError, VersionMismatch
from . import schema
from .database import connect_writer
from .failures import is_full, sqlite_failure
from .groups import Group, GroupQueue
from .interface import Change, Operation, Put, StoreResult
from .reserve import Reserve
from .watches import Watches

MOST_GROUPS = 1000
"""Groups in one transaction: bounds how long the first waits for the others."""

Outcome = StoreResult | MechaneError

log = logging.getLogger("mechane.store")


class Writer:
    """Apply groups to the database. Runs on the store thread."""

    def __init__(
        self, path: Path, queue: GroupQueue, watches: Watches, fault: Callable[[str], None] | None = None
    ) -> None:
        self._path = path
        self._queue = queue
        self._watches = watches
        self._fault = fault
        self._connection: sqlite3.Connection | None = None
        self._reserve = Reserve(path)

    def use(self, connection: sqlite3.Connection) -> None:
        """Take over a connection that is open already. Before the thread starts."""
        self._connection = connection
        self._reserve.fill()

    def run(self) -> None:
        """Work until the queue is closed and empty, then close the database."""
        while groups := self._queue.take(MOST_GROUPS):
            self._answer(groups, self._transact(groups))
            self._reserve.fill()
        self._drop_connection()

    def _transact(self, groups: list[Group]) -> list[Outcome]:
        """Apply and commit; return one outcome for each group."""
        try:
            connection = self._connected()
            connection.execute(schema.BEGIN)
            outcomes = [apply_group(connection, group.ops) for group in groups]
            if self._fault is not None:
                self._fault("before_commit")
            connection.execute(schema.COMMIT)
        except sqlite3.Error as cause:
            self._roll_back()
            if is_full(cause) and self._reserve.give():
                return self._transact(groups)
            log.error("the store could not commit %d changes: %s", len(groups), cause)
            return [sqlite_failure(cause, self._path, "write")] * len(groups)
        except Exception as cause:  # the edge of the store thread: it must go on for the others
            self._roll_back()
            log.exception("a bug in the store")
            return [InternalError(f"the store failed: {cause!r}")] * len(groups)
        if self._fault is not None:
            self._fault("after_commit")
        return outcomes

    def _answer(self, groups: list[Group], outcomes: list[Outcome]) -> None:
        for group, outcome in zip(groups, outcomes, strict=True):
            if isinstance(outcome, StoreResult) and self._watches:
                self._watches.tell(changes(group.ops, outcome.versions))
            try:
                group.done(outcome)
            except Exception:  # the edge of the store thread: one caller's bug is not another's
                log.exception("a caller of the store failed in its callback")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect_writer(self._path)
        return self._connection

    def _roll_back(self) -> None:
        """Leave no transaction open; after some errors SQLite has rolled back by itself."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute(schema.ROLLBACK)
        except sqlite3.Error:
            log.warning("the store could not roll back and opens its database anew")
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what was told done is safe in the WAL
                connection.close()


def apply_group(connection: sqlite3.Connection, ops: tuple[Operation, ...]) -> Outcome:
    """Apply a group inside the open transaction; a mismatch undoes this group and is returned.

    Raises: sqlite3.Error.
    """
    if len(ops) == 1:
        try:
            return StoreResult([apply_one(connection, ops[0])])
        except VersionMismatch as mismatch:
            return mismatch
    connection.execute(schema.SAVE)
    try:
        versions = [apply_one(connection, op) for op in ops]
    except VersionMismatch as mismatch:
        connection.execute(schema.UNDO)
        connection.execute(schema.RELEASE)
        return mismatch
    connection.execute(schema.RELEASE)
    return StoreResult(versions)


def apply_one(connection: sqlite3.Connection, op: Operation) -> int:
    """Apply one operation and return the key's version afterwards (0: it is not there).

    Raises: VersionMismatch, sqlite3.Error.
    """
    if isinstance(op, Put):
        if op.if_version is None:
            row = connection.execute(schema.PUT, (op.key, op.value)).fetchone()
        elif op.if_version == 0:
            row = connection.execute(schema.PUT_NEW, (op.key, op.value)).fetchone()
        else:
            row = connection.execute(schema.PUT_OVER, (op.key, op.value, op.if_version)).fetchone()
        if row is None:
            raise mismatch_of(connection, op)
        return int(row[0])
    if op.if_version is None:
        connection.execute(schema.DELETE, (op.key,))
    elif op.if_version == 0:
        if connection.execute(schema.GET_VERSION, (op.key,)).fetchone() is not None:
            raise mismatch_of(connection, op)
    elif connection.execute(schema.DELETE_OVER, (op.key, op.if_version)).rowcount != 1:
        raise mismatch_of(connection, op)
    return 0


def mismatch_of(connection: sqlite3.Connection, op: Operation) -> VersionMismatch:
    """Build the error for an operation that found another version than it expects."""
    row = connection.execute(schema.GET_VERSION, (op.key,)).fetchone()
    found = int(row[0]) if row else 0
    return VersionMismatch(
        f"the stored {op.key} has version {found}, not {op.if_version}",
        remedy="read it again, then repeat the change",
        key=op.key,
        expected=op.if_version,
        found=found,
    )


def changes(ops: tuple[Operation, ...], versions: list[int]) -> list[Change]:
    """Say what a group changed."""
    return [
        Change(op.key, op.value if isinstance(op, Put) else None, version)
        for op, version in zip(ops, versions, strict=True)
    ]
