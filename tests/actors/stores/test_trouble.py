"""Disk full, read-only folders, damaged and foreign files: clear errors, and the store is unharmed."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mechane.actors.stores.interface import Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import StoreError
from mechane.tests.actors.stores.blocking import TIMEOUT_S, apply, run_child

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-euc")


def filled(folder: Path) -> Path:
    """Make a store with something in it and return its file."""
    store = SqliteStore(folder).open()
    apply(store, *(Put(f"domain/{number}", bytes(1000)) for number in range(100)))
    store.close(TIMEOUT_S)
    return folder / "node.db"


@pytest.mark.root
def test_a_full_disk_fails_the_change_and_not_the_store(tmp_path: Path) -> None:
    tmpfs = 'mount -t tmpfs -o size=600k,mode=0700 none "$0"; exec "$@"'
    child = run_child("on_limited_disk", tmp_path, "full", prefix=(*PRIVATE_MOUNTS, tmpfs, str(tmp_path)))
    assert child.stdout.startswith("ok SQLITE_FULL"), child


@pytest.mark.root
def test_a_store_goes_on_while_others_fill_its_disk(tmp_path: Path) -> None:
    tmpfs = 'mount -t tmpfs -o size=24m,mode=0700 none "$0"; exec "$@"'
    child = run_child("on_full_disk", tmp_path, prefix=(*PRIVATE_MOUNTS, tmpfs, str(tmp_path)))
    assert child.stdout == "ok", child


def test_a_file_size_limit_fails_the_change_and_not_the_store(tmp_path: Path) -> None:
    child = run_child("on_limited_disk", tmp_path, "fsize")
    assert child.stdout.startswith("ok "), child


@pytest.mark.root
@pytest.mark.parametrize("fresh", [True, False])
def test_a_read_only_folder_is_refused(tmp_path: Path, fresh: bool) -> None:
    if not fresh:
        filled(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bind = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'
    child = run_child("open_once", tmp_path, prefix=(*PRIVATE_MOUNTS, bind, str(tmp_path)))
    assert "Read-only file system" in child.stdout, child
    assert "--state-dir" in child.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def smash_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"not a database at all")


def smash_schema(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)  # the b-tree header of the page that holds the schema (sqlite.org/fileformat2.html)
        file.write(bytes([255]) * 3000)


def cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(5000)


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    path.chmod(0o600)


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("harm", "word", "remedy"),
    [
        (smash_header, "not a database", "backup"),
        (smash_schema, "malformed", "backup"),
        (cut_short, "malformed", "backup"),
        (foreign, "another program", "--state-dir"),
        (newer, "schema version 99", "newer mechane"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_left_alone(
    tmp_path: Path, harm: Callable[[Path], None], word: str, remedy: str
) -> None:
    path = filled(tmp_path)
    harm(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(StoreError, match=word) as refused:
        SqliteStore(tmp_path).open()
    assert remedy in refused.value.remedy
    assert str(path) in refused.value.message
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    with pytest.raises(StoreError, match=word):  # and the lock was given back
        SqliteStore(tmp_path).open()


def test_damage_in_the_data_is_said_when_it_is_read(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes([255]) * (path.stat().st_size - 4096))
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="backup"):
        store.open().list("domain/")
    store.close(TIMEOUT_S)


def test_an_empty_file_is_made_a_store(tmp_path: Path) -> None:
    (tmp_path / "node.db").touch()  # a node killed before its first commit
    store = SqliteStore(tmp_path).open()
    assert apply(store, Put("a", b"")) == [1]
    store.close(TIMEOUT_S)


def test_a_state_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="create"):
        SqliteStore(tmp_path / "state").open()
