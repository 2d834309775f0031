"""What older versions stored is read, what newer ones stored is kept, and one can go back."""

import sqlite3
from pathlib import Path

import msgpack
import pytest

from mechane.actors.cells.snapshot import Size
from mechane.actors.domain.stored import StoredDomain, StoredOwner, StoredRun
from mechane.actors.stores import schema
from mechane.actors.stores.database import prepare
from mechane.actors.stores.sqlite import SqliteStore
from mechane.config.errors import StoreError
from mechane.tests.actors.stores.blocking import TIMEOUT_S

UUID = "00000000-0000-4000-8000-000000000001"
OLD_DOMAIN = (1, "qemu:///system", "web", "a title", True, (2048, 1024, 2, 4, "hvm", "kvm"))
OLD_OWNER = (1, "node1", 7, True)
OLD_RUN = {
    "v": 1, "connection": "qemu:///system", "name": "web", "incarnation": 7, "phase": "running", "id": 3,
    "handle": {"version": 1, "pid": 5}, "state": "running", "reason": "booted", "live_xml": "<domain/>", "xml": "",
    "size": None, "title": "", "autodestroy": False, "started_at": 1.5,
}  # fmt: skip
"""As commit a67ee85 wrote them."""


def older(folder: Path, **more: bytes) -> Path:
    """Make a state file of schema 1."""
    folder.mkdir(exist_ok=True)
    path = folder / "node.db"
    with sqlite3.connect(path) as connection:
        for statement in schema.MIGRATIONS[0].statements:
            connection.execute(statement)
        connection.execute(schema.RECORD_MIGRATION, (1, "entries", 1.0))
        connection.execute(schema.SET_APPLICATION_ID)
        connection.execute(schema.SET_SCHEMA_VERSION.format(version=1))
        for key, value in {"domain/": OLD_DOMAIN, "owner/": OLD_OWNER, "run/": OLD_RUN}.items():
            connection.execute("INSERT INTO entries VALUES (?, 4, ?)", (key + UUID, msgpack.packb(value)))
        for key, raw in more.items():
            connection.execute("INSERT INTO entries VALUES (?, 1, ?)", (f"domain/{key}", raw))
    path.chmod(0o600)
    return path


def test_records_of_the_first_format_are_read() -> None:
    size = Size(max_memory_kib=2048, memory_kib=1024, vcpus=2, max_vcpus=4, os_type="hvm", type="kvm")
    domain = StoredDomain(connection="qemu:///system", name="web", title="a title", size=size, autostart=True)
    assert StoredDomain.unpack(msgpack.packb(OLD_DOMAIN)) == domain
    assert StoredOwner.unpack(msgpack.packb(OLD_OWNER)) == StoredOwner(node="node1", incarnation=7, held=True)
    run = StoredRun.unpack(msgpack.packb(OLD_RUN))
    assert (run.phase, run.handle, run.started_at, run.kept) == ("running", {"version": 1, "pid": 5}, 1.5, {})
    for record in (domain, run):
        assert type(record).unpack(record.pack()) == record


def test_fields_of_other_versions_survive_rewriting() -> None:
    for record in (
        StoredDomain.unpack(msgpack.packb(OLD_DOMAIN)),
        StoredOwner.unpack(msgpack.packb(OLD_OWNER)),
        StoredRun.unpack(msgpack.packb({**OLD_RUN, "soon": 1})),
    ):
        later = msgpack.packb({**record.to_map(), "later": [1, {"a": b"\xff"}]})
        again = msgpack.unpackb(type(record).unpack(later).pack())
        assert again == msgpack.unpackb(later)
    assert again["soon"] == 1


@pytest.mark.parametrize(
    "value",
    [
        b"\xc1garbage", b"", b"\x93\x01\x02", msgpack.packb([1, "x"]), msgpack.packb({**OLD_RUN, "v": 9}),
        msgpack.packb({**OLD_RUN, "handle": 5}), msgpack.packb({"format": 2}), msgpack.packb({"format": 3}),
        msgpack.packb({"format": 2, "size": 7}), msgpack.packb({1: 2}), msgpack.packb((1, "a", "b", "c", True, 5)),
        msgpack.packb({"format": True}), msgpack.packb(7),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(value: bytes) -> None:
    for kind in (StoredDomain, StoredOwner, StoredRun):
        with pytest.raises(StoreError):
            kind.unpack(value)


def test_a_newer_format_is_named() -> None:
    with pytest.raises(StoreError, match="format 9") as refused:
        StoredRun.unpack(msgpack.packb({**OLD_RUN, "v": 9}))
    assert "newer" in refused.value.remedy


def test_an_older_file_is_converted_and_its_copy_kept(tmp_path: Path) -> None:
    path = older(tmp_path / "state", garbage=b"\xc1")
    before = sqlite3.connect(path).execute("SELECT * FROM entries").fetchall()
    store = SqliteStore(tmp_path / "state", clock=lambda: 86400.0).open()
    entries = {entry.key: entry for entry in store.list("")}
    store.close(TIMEOUT_S)
    assert entries["domain/garbage"].value == b"\xc1", "what cannot be read stays as it is"
    for prefix in ("domain/", "owner/", "run/"):
        assert msgpack.unpackb(entries[prefix + UUID].value)["format"] == 2
        assert entries[prefix + UUID].version == 4, "the version of owner/ is a token"
    copy = tmp_path / "state" / "node.db.schema-1.19700102T000000Z"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(item.name for item in copy.parent.glob("node.db.*")) == [copy.name]
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT * FROM entries").fetchall() == before


def test_a_copy_that_cannot_be_written_stops_the_migration(tmp_path: Path) -> None:
    path = older(tmp_path / "state")
    (tmp_path / "state" / "node.db.copying").mkdir()
    with pytest.raises(StoreError, match="could not write"):
        prepare(path)
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (1,)


def test_a_file_of_this_schema_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        SqliteStore(tmp_path).open().close(TIMEOUT_S)
    assert not list(tmp_path.glob("node.db.schema*"))
