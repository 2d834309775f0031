"""What a store promises: versions, atomic groups, order, watching, limits, closing."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.actors.stores.interface import MAX_VALUE_BYTES, Change, Delete, Put, StoreResult
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import Busy, InvalidArgument, MechaneError, StoreError, VersionMismatch
from mechane.tests.actors.stores.blocking import TIMEOUT_S, apply, attempt, read, submit_all


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "state").open()
    yield opened
    opened.close(TIMEOUT_S)


class Held:
    """Hold the store thread in the first commit until told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, point: str) -> None:
        if point == "before_commit":
            self.reached.set()
            assert self.go_on.wait(TIMEOUT_S)


def test_versions_grow_from_one(store: SqliteStore) -> None:
    assert apply(store, Put("a", b"1")) == [1]
    assert apply(store, Put("a", b"2")) == [2]
    assert apply(store, Put("a", b"3", 2)) == [3]
    assert read(store, "a") == ("a", b"3", 3)
    assert apply(store, Delete("a", 3)) == [0]
    assert read(store, "a") is None
    assert apply(store, Put("a", b"4", 0)) == [1]


@pytest.mark.parametrize(
    ("op", "found"),
    [(Put("a", b"x", 0), 1), (Put("a", b"x", 2), 1), (Put("b", b"x", 1), 0), (Delete("a", 2), 1), (Delete("a", 0), 1)],
)
def test_mismatch_says_what_is_there(store: SqliteStore, op: Put | Delete, found: int) -> None:
    apply(store, Put("a", b"1"))
    outcome = attempt(store, op)
    assert isinstance(outcome, VersionMismatch)
    assert outcome.details == {"key": op.key, "expected": op.if_version, "found": found}
    assert read(store, "a") == ("a", b"1", 1)


def test_delete_of_what_is_not_there_is_no_error(store: SqliteStore) -> None:
    assert apply(store, Delete("a"), Delete("a", 0)) == [0, 0]


def test_list_is_ordered_and_keeps_to_the_prefix(store: SqliteStore) -> None:
    apply(store, *(Put(key, key.encode()) for key in ("b/2", "b/1", "a/1", "b", "b0", "c/1", "b/\u00e9")))
    assert [entry.key for entry in store.list("b/")] == ["b/1", "b/2", "b/\u00e9"]
    assert [entry.key for entry in store.list("")] == sorted(["b/2", "b/1", "a/1", "b", "b0", "c/1", "b/\u00e9"])
    assert store.list("x") == []


def test_a_failing_group_leaves_nothing_and_hurts_no_other(tmp_path: Path) -> None:
    hold = Held()
    store = SqliteStore(tmp_path, fault=hold).open()
    first: list[object] = []
    store.submit([Put("first", b"")], first.append)
    assert hold.reached.wait(TIMEOUT_S)  # what comes now is one transaction
    hold.go_on.set()
    answers = submit_all(
        store,
        [
            [Put("a", b"1", 0), Put("b", b"1", 0)],
            [Put("c", b"2"), Put("a", b"2", 0), Put("d", b"2")],
            [Put("a", b"3", 1), Delete("b", 1)],
            [Put("b", b"4", 7)],
        ],
    )
    assert isinstance(answers[1], VersionMismatch)
    assert isinstance(answers[3], VersionMismatch)
    assert [answers[0], answers[2]] == [StoreResult([1, 1]), StoreResult([2, 0])]
    assert [entry.key for entry in store.list("")] == ["a", "first"]
    store.close(TIMEOUT_S)


def test_watchers_hear_before_the_caller_and_in_order(store: SqliteStore) -> None:
    heard: list[object] = []
    unwatch = store.watch("a/", heard.append)
    answered = threading.Event()

    def done(outcome: StoreResult | MechaneError) -> None:
        heard.append(outcome)
        answered.set()

    store.submit([Put("a/1", b"x"), Put("b/1", b"y"), Delete("a/0")], done)
    assert answered.wait(TIMEOUT_S)
    assert heard == [Change("a/1", b"x", 1), Change("a/0", None, 0), StoreResult([1, 1, 0])]
    attempt(store, Put("a/1", b"z", 5))
    unwatch()
    apply(store, Put("a/2", b"x"))
    assert len(heard) == 3


def test_values_and_keys_are_checked(store: SqliteStore) -> None:
    assert apply(store, Put("a", bytes(MAX_VALUE_BYTES))) == [1]
    assert isinstance(attempt(store, Put("b", b""), Put("a", bytes(MAX_VALUE_BYTES + 1))), InvalidArgument)
    assert isinstance(attempt(store, Put("", b"")), InvalidArgument)
    assert isinstance(attempt(store, Put("k" * 513, b"")), InvalidArgument)
    assert read(store, "b") is None


@pytest.mark.parametrize(("groups", "size"), [(3, 10**6), (100, 3000)])
def test_a_full_queue_is_busy_at_once(tmp_path: Path, groups: int, size: int) -> None:
    hold = Held()
    store = SqliteStore(tmp_path, fault=hold, queue_groups=groups, queue_bytes=size).open()
    answers: list[object] = []
    store.submit([Put("first", b"")], answers.append)
    assert hold.reached.wait(TIMEOUT_S)
    for number in range(4):
        store.submit([Put(f"k{number}", bytes(1000))], answers.append)
    assert isinstance(answers[0], Busy)
    assert len(answers) == 1
    assert store.pending() == 3
    hold.go_on.set()
    store.close(TIMEOUT_S)
    assert len(answers) == 5


def test_close_commits_what_is_queued_and_then_refuses(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path).open()
    answers: list[object] = []
    for number in range(500):
        store.submit([Put(f"k{number:03}", b"v")], answers.append)
    store.close(TIMEOUT_S)
    assert answers == [StoreResult([1])] * 500
    assert isinstance(attempt(store, Put("late", b"")), StoreError)
    with pytest.raises(StoreError):
        read(store, "k000")
    with SqliteStoreOpened(tmp_path) as again:
        assert len(again.list("k")) == 500


def test_close_gives_up_at_its_deadline(tmp_path: Path) -> None:
    hold = Held()
    store = SqliteStore(tmp_path, fault=hold).open()
    store.submit([Put("a", b"")], lambda outcome: None)
    assert hold.reached.wait(TIMEOUT_S)
    with pytest.raises(StoreError):
        store.close(0.01)
    hold.go_on.set()
    store.close(TIMEOUT_S)


def test_a_caller_that_fails_in_its_callback_harms_nobody(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    def broken(outcome: object) -> None:
        raise ValueError("a bug of the caller")

    store.watch("a", broken)
    with caplog.at_level(logging.ERROR):
        store.submit([Put("a", b"1")], broken)
        store.read("a", broken)
        assert apply(store, Put("a", b"2")) == [2]
        assert read(store, "a") == ("a", b"2", 2)
    assert caplog.text.count("a bug of the caller") >= 3


def test_files_are_private(store: SqliteStore, tmp_path: Path) -> None:
    apply(store, Put("a", b"1"))
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == dict.fromkeys(["node.db", "node.db-wal", "node.db-shm", "lock", "reserve"], 0o600)


def test_schema_is_recorded(tmp_path: Path) -> None:
    SqliteStore(tmp_path, clock=lambda: 12.5).open().close(TIMEOUT_S)
    with sqlite3.connect(tmp_path / "node.db") as connection:
        assert connection.execute("SELECT * FROM migrations").fetchall() == [
            (1, "entries", 12.5), (2, "records are maps", 12.5)
        ]  # fmt: skip
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


class SqliteStoreOpened:
    """A store for the time of a block."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder)

    def __enter__(self) -> SqliteStore:
        return self.store.open()

    def __exit__(self, *exception: object) -> None:
        self.store.close(TIMEOUT_S)
