"""Guests under a store that does not know them, or cannot be read: none is ended, none is started twice."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from mechane.actors.domain import marks
from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import leftovers
from mechane.tests.support.rpc import RpcError
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.qemu
MARK = "-no-user-config"


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    """Give a node of QEMU that is started."""
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        yield node.start()


def emulators(node: NodeProcess) -> set[int]:
    """Return the processes of guests, by their folder on the command line."""
    return {
        pid for pid, words in leftovers(node.folder).items() if MARK in words and "-uuid" in words
    }  # fmt: skip


def started(node: NodeProcess, *names: str) -> dict[str, str]:
    uuids = {}
    with node.connect() as rpc:
        for name in names:
            uuids[name] = rpc.call("domain.define_xml", xml=idle_xml(name))["uuid"]
            rpc.call("domain.start", domain=name)
    return uuids


def taken_up(node: NodeProcess, *names: str) -> None:
    """Wait until guests are adopted, whether a record knew them or not."""
    for name in names:
        told = (f"adopted {name} ", f"took up {name} ")
        wait_until(lambda told=told: any(text in node.log.read_text() for text in told), 20, f"{name} again")  # type: ignore[misc]


def states(node: NodeProcess) -> dict[str, str]:
    with node.connect() as rpc:
        return {one["name"]: one["state"] for one in rpc.call("domain.list")}


def put(node: NodeProcess, key: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change a record of the store behind the node's back; returns what is there now."""
    with sqlite3.connect(node.folder / "s" / "node.db") as db:
        (value,) = db.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        fresh = change(value)
        db.execute("UPDATE entries SET value = ? WHERE key = ?", (fresh, key))
    return fresh


def without_marks(node: NodeProcess) -> None:
    for mark in (node.runtime_dir / "c" / "qemu-system").glob("*/mark"):
        mark.write_bytes(mark.read_bytes()[:-3] + b"xyz")


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("store", ["older", "gone"])
def test_a_store_that_does_not_know_its_guests(node: NodeProcess, store: str, marked: bool) -> None:
    uuids = started(node, "old")
    node.stop()
    shutil.copy(node.folder / "s" / "node.db", node.folder / "backup.db")
    node.start()
    uuids |= started(node, "new")
    with node.connect() as rpc:
        rpc.call("domain.destroy", domain="old", grace_s=0)
        rpc.call("domain.start", domain="old")
    before = emulators(node)
    node.kill()
    for file in (node.folder / "s").glob("node.db*"):
        file.unlink()
    if store == "older":
        shutil.copy(node.folder / "backup.db", node.folder / "s" / "node.db")
    if not marked:
        without_marks(node)
    node.log.write_text("")
    node.start()
    taken_up(node, "old", "new")
    assert states(node) == {"old": "running", "new": "running"}
    assert emulators(node) == before
    with node.connect() as rpc:
        shown = {one["name"]: one for one in rpc.call("domain.list")}
        assert {name: one["uuid"] for name, one in shown.items()} == uuids
        assert (shown["old"]["persistent"], shown["new"]["persistent"]) == (store == "older", False)
        for name in uuids:
            assert uuids[name] in rpc.call("domain.get_xml", domain=name)
            rpc.call("domain.suspend", domain=name)
            rpc.call("domain.resume", domain=name)
            rpc.call("domain.destroy", domain=name, grace_s=0)
    wait_until(lambda: not emulators(node), 10, "the end of both")


def garbage(value: bytes) -> bytes:
    return b"\xc1garbage"


def newer(value: bytes) -> bytes:
    return bytes(msgpack.packb({**msgpack.unpackb(value), "format": 99}))


def newer_handle(value: bytes) -> bytes:
    run = msgpack.unpackb(value)
    return bytes(msgpack.packb({**run, "handle": {**run["handle"], "version": 99}, "revision": 1000}))


@pytest.mark.parametrize(
    ("prefix", "change"),
    [("run/", garbage), ("run/", newer), ("run/", newer_handle), ("domain/", garbage), ("domain/", newer),
     ("owner/", garbage)],
)  # fmt: skip
def test_a_record_that_cannot_be_read_quarantines_its_domain_alone(
    node: NodeProcess, prefix: str, change: Callable[[bytes], bytes]
) -> None:
    uuids = started(node, "bad", "good")
    before = emulators(node)
    node.stop()
    key = prefix + uuids["bad"]
    kept: list[bytes] = []

    def noted(value: bytes) -> bytes:
        kept.append(value)
        return change(value)

    fresh = put(node, key, noted)
    node.log.write_text("")
    node.start()
    taken_up(node, "good")
    with node.connect() as rpc:
        (bad,) = wait_until(lambda: rpc.call("node.get_health")["quarantined"], 20, "the quarantined domain")
        assert (bad["name"], bad["uuid"]) == ("bad", uuids["bad"])
        assert "99" in bad["cause"] or "unpack" in bad["cause"]
        assert "bad" in states(node)
        for method in ("domain.start", "domain.suspend"):
            with pytest.raises(RpcError, match="quarantined"):
                rpc.call(method, domain="bad")
        rpc.call("domain.suspend", domain="good")
        if change is not newer_handle:
            with pytest.raises(RpcError):
                rpc.call("node.reattach", domain="bad")
    node.stop()
    assert emulators(node) == before
    assert put(node, key, lambda value: value) == fresh, "its bytes are kept"
    put(node, key, lambda value: kept[0])
    node.start()
    wait_until(lambda: states(node)["bad"] == "running", 20, "the mended domain")
    assert emulators(node) == before


def test_a_mark_says_which_start_was_acknowledged(node: NodeProcess) -> None:
    """The commit after the start was lost with the write-ahead log: the record says `starting`."""
    uuids = started(node, "one")
    before = emulators(node)
    node.kill()
    put(node, "run/" + uuids["one"], lambda v: bytes(msgpack.packb({**msgpack.unpackb(v), "phase": "starting"})))
    node.start()
    assert states(node) == {"one": "running"}
    assert emulators(node) == before


def test_a_start_that_was_not_acknowledged_is_ended(node: NodeProcess) -> None:
    uuids = started(node, "one")
    node.kill()
    put(node, "run/" + uuids["one"], lambda v: bytes(msgpack.packb({**msgpack.unpackb(v), "phase": "starting"})))
    without_marks(node)
    node.start()
    assert states(node) == {"one": "shutoff"}
    wait_until(lambda: not emulators(node), 10, "its end")


def test_marks_of_others_are_not_believed(tmp_path: Path) -> None:
    from mechane.actors.domain.stored import StoredRun

    uuid, other = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01", "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd02"
    run = StoredRun(connection="c", name="n", incarnation=1, phase="running", id=1, handle={"pid": 7}, start="a")
    marks.write(tmp_path, uuid, run)
    kept = marks.read(tmp_path, uuid)
    assert kept is not None and kept.handle == {"pid": 7}
    marks.remove(tmp_path, uuid, "b")
    assert list(marks.read_all(tmp_path)[0]) == [uuid]
    (tmp_path / uuid).rename(tmp_path / other)
    assert marks.read_all(tmp_path) == ({}, {}), "its folder was put in another's place"
    (tmp_path / other).rename(tmp_path / uuid)
    mark = tmp_path / uuid / "mark"
    mark.chmod(0o622)
    assert marks.read(tmp_path, uuid) is None, "others could write it"
    mark.chmod(0o600)
    mark.rename(tmp_path / "elsewhere")
    mark.symlink_to(tmp_path / "elsewhere")
    assert marks.read(tmp_path, uuid) is None, "a link"
    mark.unlink()
    for damaged in (b"", b"mechane mark\n", b"\x00" * 100, (tmp_path / "elsewhere").read_bytes()[:-1]):
        mark.write_bytes(damaged)
        mark.chmod(0o600)
        assert marks.read(tmp_path, uuid) is None
    os.mkfifo(tmp_path / "pipe")
    mark.unlink()
    (tmp_path / "pipe").rename(mark)
    assert marks.read(tmp_path, uuid) is None, "a pipe"
    marks.remove(tmp_path, uuid)
    assert not (tmp_path / uuid).exists()


def test_a_killed_probe_is_swept(node: NodeProcess) -> None:
    """A stand-in for an emulator that a killed node left behind, in a probe's folder."""
    folder = node.runtime_dir / "c" / "qemu-system" / "probe-left"
    folder.mkdir()
    node.kill()
    left = subprocess.Popen([sys.executable, "-c", "input()", MARK, "-L", str(folder)], stdin=subprocess.PIPE)
    try:
        node.start()
        wait_until(lambda: left.poll() is not None, 10, "the end of what the probe left")
        wait_until(lambda: not folder.exists(), 10, "the end of its folder")
    finally:
        left.kill()
        left.communicate()
