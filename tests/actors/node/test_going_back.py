"""The way back to the version before: what the store of format 1 holds then, and what is refused."""

import contextlib
import sqlite3
from pathlib import Path

import msgpack
import pytest

from mechane.actors.cells.snapshot import Size
from mechane.actors.domain import marks
from mechane.actors.domain.stored import DOMAIN, OWNER, RUN, WORK, XML, StoredDomain, StoredOwner, StoredRun, StoredWork
from mechane.actors.node.going_back import go_back
from mechane.actors.stores import schema
from mechane.actors.stores.database import connect_writer, prepare
from mechane.actors.stores.lock import FolderLock
from mechane.config.errors import StoreError

URI = "qemu:///system"
OLD, NEW, OTHER = ("00000000-0000-4000-8000-00000000000" + digit for digit in "123")
SIZE = Size(max_memory_kib=1, memory_kib=2, vcpus=3, max_vcpus=4, os_type="hvm", type="qemu")


def domain(name: str) -> bytes:
    return StoredDomain(connection=URI, name=name, size=SIZE, reach={"by": "x"}).pack()


def run(name: str, pid: int, *, start: str = "s", revision: int = 0, phase: str = "running") -> StoredRun:
    return StoredRun(connection=URI, name=name, incarnation=2, phase=phase, id=7, handle={"version": 1, "pid": pid},
                     live_xml="<domain/>", start=start, revision=revision)  # fmt: skip


def put(path: Path, rows: dict[str, bytes]) -> None:
    with contextlib.closing(connect_writer(path)) as store:
        for key, value in rows.items():
            store.execute(schema.PUT_AT, (key, 5, value))


def place(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Make a state folder with a store and the copy of an older one, and a runtime folder."""
    state, runtime = tmp_path / "s", tmp_path / "r"
    state.mkdir(mode=0o700)
    (runtime / "c" / "qemu-system" / "locks").mkdir(parents=True)
    copy = state / "node.db.schema-1.20261201T000000Z"
    with contextlib.closing(sqlite3.connect(copy)) as store:
        for statement in schema.MIGRATIONS[0].statements:
            store.execute(statement)
        store.execute(schema.SET_APPLICATION_ID)
        store.execute("PRAGMA user_version = 1")
        size = (1, 1, 1, 1, "hvm", "qemu")
        for uuid, name in ((OLD, "old"), (OTHER, "mine")):
            store.execute(schema.PUT_AT, (DOMAIN + uuid, 1, msgpack.packb((1, URI, name, "", False, size))))
        store.commit()
    prepare(state / "node.db").close()
    put(state / "node.db", {
        DOMAIN + OLD: domain("old"), XML + OLD: b"<domain/>", RUN + OLD: run("old", 1).pack(),
        OWNER + OLD: StoredOwner(node="n", incarnation=2, held=True).pack(),
        DOMAIN + NEW: domain("mine"), XML + NEW: b"<domain/>", RUN + NEW: run("mine", 2).pack(),
    })  # fmt: skip
    return state, runtime, copy


def rows(path: Path) -> dict[str, tuple[object, int]]:
    with contextlib.closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA user_version").fetchone() == (1,)
        return {key: (value, version) for key, value, version in store.execute(schema.LIST_ALL)}


def test_the_copy_learns_what_runs_now(tmp_path: Path) -> None:
    state, runtime, copy = place(tmp_path)
    folder = runtime / "c" / "qemu-system"
    marks.write(folder, OLD, run("old", 9, start="later"))  # the store was restored since: the mark outranks it
    done = go_back(state, runtime, copy)
    assert sorted(done.running) == ["mine", "old"]
    assert done.left_out == [f"mine ({OTHER})"]
    found = rows(state / "node.db")
    assert set(found) == {kind + uuid for kind in (DOMAIN, XML, OWNER, RUN) for uuid in (OLD, NEW)}
    old = found[RUN + OLD][0]
    assert isinstance(old, bytes)
    kept = msgpack.unpackb(old)
    assert (kept.pop("v"), kept["handle"]["pid"], kept["phase"]) == (1, 9, "running")
    assert not {"format", "start", "revision", "forget", "uuid"} & set(kept), "that version refuses what it lacks"
    assert found[DOMAIN + NEW][0] == msgpack.packb((1, URI, "mine", "", False, (1, 2, 3, 4, "hvm", "qemu")))
    assert found[OWNER + OLD] == (msgpack.packb((1, "n", 2, True)), 5)
    assert not list(folder.glob("*/mark")) and not (folder / "locks").exists()
    assert copy.exists() and done.kept.exists()
    assert (state / "node.db").stat().st_mode & 0o777 == 0o600
    assert not list(state.glob("node.db-*"))


@pytest.mark.parametrize("why", ["a node runs", "starting", "work", "garbage", "newer copy", "twice"])
def test_what_is_not_settled_is_refused_and_nothing_changed(tmp_path: Path, why: str) -> None:
    state, runtime, copy = place(tmp_path)
    path, lock = state / "node.db", FolderLock(state)
    work = StoredWork(connection=URI, verb="save", incarnation=2).pack()
    bad = {"starting": {RUN + OLD: run("old", 1, phase="starting").pack()}, "work": {WORK + OLD: work},
           "garbage": {RUN + OLD: b"\xc1"}}  # fmt: skip
    put(path, bad.get(why, {}))
    if why == "a node runs":
        lock.acquire()
    elif why == "newer copy":
        copy = path
    elif why == "twice":
        go_back(state, runtime, copy)
    before = path.read_bytes()
    with pytest.raises(StoreError) as refused:
        go_back(state, runtime, copy)
    lock.release()
    assert refused.value.remedy
    assert path.read_bytes() == before
    assert (runtime / "c" / "qemu-system" / "locks").exists() or why == "twice"
