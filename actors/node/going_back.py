"""Go back to the version before a conversion of the store, with guests running: `mechaned --go-back COPY`.

The copy that the conversion wrote becomes node.db again. The version before ends guests that its store does not
know, and may start again one that it knows by an earlier process; so the records of all that runs now are
written into it first, in its own format. Marks and locks go: that version does not keep them, and they would tell of
times before. All that was in node.db is kept beside it.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config.errors import MechaneError, StoreError
from ..domain import marks
from ..domain.stored import DOMAIN, OWNER, RUN, WORK, XML, StoredDomain, StoredOwner, StoredRun
from ..stores import formats, schema
from ..stores.database import DATABASE_NAME, FILE_MODE, connect_reader, connect_writer, inspect, keep_copy, put_in_place
from ..stores.failures import os_failure, sqlite_failure
from ..stores.lock import FolderLock

WORK_NAME = "node.db.going-back"
LOCKS = "locks"
FIRST = 1
"""The schema that there is a way back to."""
Rows = dict[str, tuple[bytes, int]]


@dataclass(slots=True, kw_only=True)
class WentBack:
    """What was done: names of guests that run on, of definitions that were left out, and where node.db is kept."""

    running: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    kept: Path

    def __str__(self) -> str:
        """Return it for people."""
        lines = [f"went back; {len(self.running)} guests run on: {', '.join(sorted(self.running)) or 'none'}",
                 f"what was stored until now is kept in {self.kept}"]  # fmt: skip
        lines += [f"left out: {name}, whose name a guest that runs has now" for name in self.left_out]
        return "\n".join([*lines, "start the version before now"])


def go_back(state_dir: Path, runtime_dir: Path, copy: Path) -> WentBack:
    """Make a copy of an older schema the store again, with the records of what runs now. Blocks on the disk.

    Args:
        state_dir: the node's; no node may run in it.
        runtime_dir: the node's.
        copy: what a conversion left beside node.db.

    Raises:
        StoreError: a node runs, a file cannot be read, or something is not settled; nothing was changed then.
    """
    path = state_dir / DATABASE_NAME
    lock = FolderLock(state_dir)
    lock.acquire()
    try:
        _check_copy(copy)
        if inspect(path) != schema.NEWEST:
            raise StoreError(f"{path} is no store of this version", remedy="nothing is to be gone back from: start "
                             "the version before", path=str(path))  # fmt: skip
        with contextlib.closing(connect_reader(path)) as store:
            rows = {key: (value, version) for key, value, version in store.execute(schema.LIST_ALL)}
        running = _running(rows, runtime_dir)
        done = WentBack(running=[run.name for run in running.values()],
                        kept=keep_copy(path, schema.NEWEST, time.time()))  # fmt: skip
        fresh = state_dir / WORK_NAME
        done.left_out = _compose(fresh, copy, rows, running)
        _put_in_place(fresh, path, runtime_dir)
    except sqlite3.Error as cause:
        raise sqlite_failure(cause, path, "be gone back from") from cause
    except OSError as cause:
        raise os_failure(cause, path, "replace") from cause
    finally:
        lock.release()
    return done


def _check_copy(copy: Path) -> None:
    if not copy.is_file():
        raise StoreError(f"{copy} is no file", remedy="name the copy that lies beside node.db", path=str(copy))
    version = inspect(copy)
    if version != FIRST:
        raise StoreError(f"{copy} has schema {version}; the way back is to {FIRST}", remedy="name the copy of "
                         f"that schema: node.db.schema-{FIRST}.…", path=str(copy))  # fmt: skip


def _running(rows: Rows, runtime_dir: Path) -> dict[str, StoredRun]:
    """Return what runs by store and marks.

    Raises:
        StoreError: a record cannot be read, or a start or a change is under way.
    """
    unsettled = [key for key in rows if key.startswith(WORK)]
    stored: dict[str, StoredRun] = {}
    for key, (value, _) in rows.items():
        if key.startswith(RUN):
            try:
                run = stored[key.removeprefix(RUN)] = StoredRun.unpack(value)
            except MechaneError as error:
                raise StoreError(f"{key} cannot be read: {error.message}", remedy="restore that record, or shut the "
                                 "guest down, first", path=key) from error  # fmt: skip
            unsettled += [key] if run.phase != "running" else []
    if unsettled:
        raise StoreError(f"not settled: {', '.join(sorted(unsettled)[:5])}", remedy="start this version once more "
                         "until nothing is under way, stop it, and try again")  # fmt: skip
    told: dict[str, StoredRun] = {}
    for folder in _connections(runtime_dir):
        found, newer = marks.read_all(folder)
        for unread in newer.values():
            raise unread
        told |= found
    strongest = {uuid: marks.stronger(stored.get(uuid), told.get(uuid)) for uuid in {*stored, *told}}
    return {uuid: run for uuid, run in strongest.items() if run is not None}


def _connections(runtime_dir: Path) -> list[Path]:
    return sorted(path for path in runtime_dir.glob("c/*") if path.is_dir())


def _compose(fresh: Path, copy: Path, rows: Rows, running: Mapping[str, StoredRun]) -> list[str]:
    """Write the copy with the records of what runs; returns definitions that had to go."""
    fresh.unlink(missing_ok=True)
    shutil.copyfile(copy, fresh)
    fresh.chmod(FILE_MODE)
    with contextlib.closing(connect_writer(fresh)) as store:
        store.execute(schema.BEGIN)
        left_out = _make_room(store, running)
        for uuid, run in running.items():
            for key, value in _first_records(uuid, run, rows):
                version = rows[key][1] if key in rows else 1
                store.execute(schema.PUT_AT, (key, version, value))
        store.execute(schema.COMMIT)
        store.execute(schema.SET_ROLLBACK_JOURNAL)  # one file is all of it
    return left_out


def _make_room(store: sqlite3.Connection, running: Mapping[str, StoredRun]) -> list[str]:
    """Remove definitions of others that have the name of a guest that runs."""
    names = {(run.connection, run.name): uuid for uuid, run in running.items()}
    gone = []
    for key, value, _ in store.execute(schema.LIST_ALL).fetchall():
        if key.startswith(DOMAIN):
            record, uuid = StoredDomain.unpack(value), key.removeprefix(DOMAIN)
            if names.get((record.connection, record.name), uuid) != uuid:
                gone.append(f"{record.name} ({uuid})")
                for prefix in (DOMAIN, XML, OWNER, RUN):
                    store.execute(schema.DELETE, (prefix + uuid,))
    return gone


def _first_records(uuid: str, run: StoredRun, rows: Rows) -> Iterable[tuple[str, bytes]]:
    """Yield the keys and values of a guest in format 1; its definition as it is now."""
    domain, xml, owner = rows.get(DOMAIN + uuid), rows.get(XML + uuid), rows.get(OWNER + uuid)
    held: dict[str, Any] = {"node": "", "incarnation": run.incarnation, "held": True}
    if owner is not None:
        held = {**StoredOwner.unpack(owner[0]).to_map(), "held": True}
    yield OWNER + uuid, formats.first(OWNER, held)
    map_of = run.to_map()
    if domain is not None and xml is not None:
        yield DOMAIN + uuid, formats.first(DOMAIN, StoredDomain.unpack(domain[0]).to_map())
        yield XML + uuid, xml[0]
    elif not run.xml:
        map_of["xml"] = run.live_xml  # no definition: a transient domain
    yield RUN + uuid, formats.first(RUN, map_of)


def _put_in_place(fresh: Path, path: Path, runtime_dir: Path) -> None:
    for folder in _connections(runtime_dir):
        for mark in folder.glob(f"*/{marks.FILE}"):
            mark.unlink()
        shutil.rmtree(folder / LOCKS, ignore_errors=True)
    with contextlib.closing(connect_writer(path)) as store:
        store.execute(schema.SET_ROLLBACK_JOURNAL)  # takes -wal and -shm away
    put_in_place(fresh, path)
