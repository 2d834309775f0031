"""The reader's thread: look-ups beside the writer, answered in order of arrival."""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from pathlib import Path

from ...config.errors import Busy, MechaneError, StoreError
from . import schema
from .database import connect_reader
from .failures import sqlite_failure
from .interface import Entry, ReadDone

log = logging.getLogger("mechane.store")


class Reader:
    """Queue look-ups and answer them."""

    def __init__(self, path: Path, max_reads: int) -> None:
        self._path = path
        self._max_reads = max_reads
        self._lock = threading.Lock()
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[str, ReadDone] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None

    def put(self, key: str, done: ReadDone) -> None:
        """Queue a look-up. Any thread; never waits.

        Raises: Busy, StoreError when closed.
        """
        with self._lock:  # so that nothing is queued behind the end mark
            if self._closed:
                raise StoreError("the store is closed", remedy="the node is stopping")
            if self._queue.qsize() >= self._max_reads:
                raise Busy("too many reads of the store", what="store reads", limit=self._max_reads)
            self._queue.put((key, done))

    def close(self) -> None:
        """Accept no more look-ups and end after those queued. Any thread."""
        with self._lock:
            self._closed = True
            self._queue.put(None)

    def run(self) -> None:
        """Answer until closed. Reader thread."""
        while (item := self._queue.get()) is not None:
            key, done = item
            try:
                done(self._look_up(key))
            except Exception:  # the edge of the reader thread: one caller's bug is not another's
                log.exception("a caller of the store failed in its callback")
        self._drop_connection()

    def _look_up(self, key: str) -> Entry | MechaneError | None:
        try:
            if self._connection is None:
                self._connection = connect_reader(self._path)
            row = self._connection.execute(schema.GET, (key,)).fetchone()
        except sqlite3.Error as cause:
            self._drop_connection()
            return sqlite_failure(cause, self._path, f"read {key}")
        return None if row is None else Entry._make(row)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # it only reads: there is nothing to lose
                connection.close()
