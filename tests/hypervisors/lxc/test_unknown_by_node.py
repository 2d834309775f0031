"""Stores that are older than the containers, or gone: none is ended, none is started twice, all are shown."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator

import msgpack
import pytest

from mechane.hypervisors.lxc.processes import Process, first_process
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc]

UUIDS = {name: f"5ca1ab1e-0000-4000-8000-00000000000{digit}" for digit, name in enumerate(("kept", "later", "passing"))}


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with boxes.playground() as place:
        (place / "others").mkdir()
        with NodeProcess(place, [f"lxc:///system?paths={place / 'others'}"]) as made:
            try:
                yield made.start()
            finally:
                boxes.end_all(place)


def xml(node: NodeProcess, name: str) -> str:
    return boxes.xml(UUIDS[name], name, node.folder / "root", init="/sbin/quick")


def processes(node: NodeProcess) -> dict[str, tuple[int, int]]:
    """Return each container's monitor and first process."""
    found = {}
    for name, pid in boxes.monitors(node.folder).items():
        monitor = Process.of(pid)
        init = first_process(monitor) if monitor is not None else None
        found[name] = (pid, init.pid if init is not None else 0)
    return found


def copy_store(node: NodeProcess) -> None:
    source, copy = sqlite3.connect(node.folder / "s/node.db"), sqlite3.connect(node.folder / "backup.db")
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy)
    (node.folder / "backup.db").chmod(0o600)


def bring_up(node: NodeProcess) -> dict[str, tuple[int, int]]:
    """Start three containers; a backup of the store knows one of them, by a process before."""
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=xml(node, "kept"))
        rpc.call("domain.start", domain="kept")
        copy_store(node)
        rpc.call("domain.destroy", domain="kept", grace_s=0)
        rpc.call("domain.start", domain="kept")
        rpc.call("domain.define_xml", xml=xml(node, "later"))
        rpc.call("domain.start", domain="later")
        rpc.call("domain.create_xml", xml=xml(node, "passing"))
    return processes(node)


def without_store(node: NodeProcess) -> None:
    for file in (node.folder / "s").glob("node.db*"):
        file.unlink()


def older(node: NodeProcess) -> None:
    without_store(node)
    shutil.copy(node.folder / "backup.db", node.folder / "s/node.db")


def emptied(node: NodeProcess) -> None:
    without_store(node)
    (node.folder / "s/node.db").touch(mode=0o600)


def moved_state(node: NodeProcess) -> None:
    """All of it, definitions too."""
    (node.folder / "s").rename(node.folder / "was")


def without_marks(node: NodeProcess) -> None:
    for folder in (node.runtime_dir / "c").glob("lxc-*"):
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def without_runtime(node: NodeProcess) -> None:
    shutil.rmtree(node.runtime_dir)


def older_without_marks(node: NodeProcess) -> None:
    older(node)
    without_marks(node)


def edit_runs(node: NodeProcess, change: Callable[[bytes], bytes]) -> None:
    with contextlib.closing(sqlite3.connect(node.folder / "s/node.db")) as db:
        for key, value in db.execute("SELECT key, value FROM entries WHERE key LIKE 'run/%'").fetchall():
            db.execute("UPDATE entries SET value = ? WHERE key = ?", (change(value), key))
        db.commit()


def garbage(node: NodeProcess) -> None:
    edit_runs(node, lambda value: b"\xc1")


def starting_before(node: NodeProcess) -> None:
    """Restored from a backup that was made in the middle of a start; the marks of the node are gone, LXC's are not."""
    older(node)
    edit_runs(node, lambda value: bytes(msgpack.packb({**msgpack.unpackb(value), "phase": "starting"})))
    for mark in (node.runtime_dir / "c").glob("*/*/mark"):
        mark.unlink()


QUICK = (older, moved_state, starting_before)
HARMS = (*QUICK, without_store, emptied, without_marks, without_runtime, older_without_marks, garbage)
CASES = [
    pytest.param(harm, end, id=f"{harm.__name__}-{end}",
                 marks=[] if harm in QUICK and end == "kill" else [pytest.mark.slow])
    for harm in HARMS for end in ("kill", "stop")
]  # fmt: skip


def states(rpc: Rpc) -> dict[str, str]:
    return {each["name"]: each["state"] for each in rpc.call("domain.list")}


@pytest.mark.parametrize(("harm", "end"), CASES)
def test_no_container_is_ended_or_started_twice(
    node: NodeProcess, harm: Callable[[NodeProcess], None], end: str
) -> None:
    before = bring_up(node)
    assert set(before) == set(UUIDS)
    getattr(node, end)()
    harm(node)
    node.start()
    with node.connect() as rpc:
        if harm is not garbage:
            wait_until(lambda: set(states(rpc).items()) >= {(name, "running") for name in UUIDS}, 20, "all of them")
        for name in UUIDS:
            with pytest.raises(RpcError):
                rpc.call("domain.start", domain=name)
            with contextlib.suppress(RpcError):
                rpc.call("domain.create_xml", xml=xml(node, name))
        assert set(states(rpc)) == set(UUIDS)
    assert processes(node) == before
    node.stop()
    assert processes(node) == before
