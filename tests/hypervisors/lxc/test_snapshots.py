"""Snapshots of containers that are off: files and definition come back, and nothing is lost on the way."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.hypervisors.lxc.copies import Copy, Index, load, store
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc, RpcError

UUID = "5ca1ab1e-0000-4000-8000-000000000007"
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(st.booleans(), NAMES), max_size=20))
def test_an_index_stays_a_tree_and_comes_back_from_its_file(steps: list[tuple[bool, str]]) -> None:
    index = Index()
    for adds, name in steps:
        names = [copy.name for copy in index.copies]
        if adds and name not in names:
            index = index.with_new(Copy(name=name, folder=str(index.made), root="/r", parent=index.current))
        elif not adds and name in names:
            index = index.without(name)
        names = [copy.name for copy in index.copies]
        assert {copy.parent for copy in index.copies} | {index.current} <= {"", *names}
        assert len({copy.folder for copy in index.copies}) == len(names)
    with short_folder() as folder:
        (folder / "kept" / "half-a-copy").mkdir(parents=True)
        store(folder / "kept", index)
        assert load(folder / "kept") == (index if index.copies else Index())
        assert not (folder / "kept" / "half-a-copy").exists()


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with boxes.playground() as place, NodeProcess(place, [f"lxc:///system?paths={place / 'others'}"]) as node:
        (place / "others").mkdir()
        shutil.copytree(place / "root", place / "box", symlinks=True)
        try:
            yield node.start()
        finally:
            boxes.end_all(place)


def define(rpc: Rpc, node: NodeProcess, memory_mib: int = 64) -> Path:
    root = node.folder / "box"
    rpc.call("domain.define_xml", xml=boxes.xml(UUID, "box", root, init="/sbin/quick", memory_mib=memory_mib))
    return root


def names(rpc: Rpc) -> list[tuple[str, str, bool]]:
    return [(each["name"], each["parent"], each["current"]) for each in rpc.call("domain.snapshot_list", domain=UUID)]


def refused(rpc: Rpc, method: str, **params: object) -> str:
    with pytest.raises(RpcError) as caught:
        rpc.call(method, domain=UUID, **params)
    return caught.value.code


@pytest.mark.root
@pytest.mark.lxc
def test_files_and_definition_come_back(node: NodeProcess) -> None:
    with node.connect() as rpc:
        root = define(rpc, node)
        (root / "data/file").write_text("first")
        os.chown(root / "data/file", 1234, 5678)
        os.link(root / "data/file", root / "data/link")
        rpc.call("domain.snapshot_create", domain=UUID, name="one", description="the first")
        (root / "data/file").write_text("second")
        (root / "data/more").touch()
        define(rpc, node, memory_mib=96)
        rpc.call("domain.snapshot_create", domain=UUID, name="two")
        assert names(rpc) == [("one", "", False), ("two", "one", True)]
        rpc.call("domain.snapshot_revert", domain=UUID, name="one")
        found = (root / "data/file").stat()
        assert (root / "data/file").read_text() == "first"
        assert (found.st_uid, found.st_gid, found.st_nlink) == (1234, 5678, 2)
        assert not (root / "data/more").exists()
        assert rpc.call("domain.get_info", domain=UUID)["max_memory_kib"] == 64 * 1024
        assert names(rpc) == [("one", "", True), ("two", "one", False)]
        assert rpc.call("domain.start", domain=UUID)["state"] == "running"
        for verb, params in (("create", {"name": "x"}), ("revert", {"name": "two"})):
            assert refused(rpc, f"domain.snapshot_{verb}", **params) == "operation_invalid"
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
        rpc.call("domain.snapshot_revert", domain=UUID, name="two")
        assert (root / "data/more").exists()
    node.stop()
    node.start()
    with node.connect() as rpc:
        assert names(rpc) == [("one", "", False), ("two", "one", True)]
        assert refused(rpc, "domain.undefine") == refused(rpc, "domain.rename", new_name="other") == "operation_invalid"
        rpc.call("domain.snapshot_delete", domain=UUID, name="one")
        rpc.call("domain.snapshot_delete", domain=UUID, name="two")
        assert names(rpc) == []
        rpc.call("domain.undefine", domain=UUID)
        assert list(node.folder.glob("s/c/*/snapshots/*")) == []


@pytest.mark.root
@pytest.mark.lxc
def test_a_revert_never_takes_the_root_from_another_container(node: NodeProcess) -> None:
    with node.connect() as rpc:
        root = define(rpc, node)
        rpc.call("domain.snapshot_create", domain=UUID, name="one")
        other = UUID.replace("7", "8")
        rpc.call("domain.create_xml", xml=boxes.xml(other, "other", root, init="/sbin/quick"))
        assert refused(rpc, "domain.snapshot_revert", name="one") == "operation_invalid"
        rpc.call("domain.destroy", domain=other, grace_s=0)
        rpc.call("domain.snapshot_revert", domain=UUID, name="one")
        rpc.call("domain.define_xml", xml=boxes.xml(UUID, "box", node.folder / "root", init="/sbin/quick"))
        assert refused(rpc, "domain.snapshot_revert", name="one") == "operation_invalid"


@pytest.mark.root
@pytest.mark.lxc
def test_a_root_that_cannot_be_exchanged_is_unsupported(node: NodeProcess) -> None:
    with node.connect() as rpc:
        root = define(rpc, node)
        subprocess.run(["mount", "--bind", str(root), str(root)], check=True, timeout=10)
        try:
            assert refused(rpc, "domain.snapshot_create", name="one") == "unsupported"
        finally:
            subprocess.run(["umount", str(root)], check=True, timeout=10)
        assert names(rpc) == []
