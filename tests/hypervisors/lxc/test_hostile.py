"""A newline in a container's definition never becomes a line of LXC's configuration, at a node that runs as root."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc, RpcError

pytestmark = [pytest.mark.root, pytest.mark.lxc]

UUID = "5ca1ab1e-0000-4000-8000-000000000001"


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with boxes.playground() as place, NodeProcess(place, [f"lxc:///system?paths={place / 'others'}"]) as node:
        (place / "others").mkdir()
        try:
            yield node.start()
        finally:
            boxes.end_all(place)


@pytest.fixture
def hook(node: NodeProcess) -> Path:
    """Give a program that leaves a mark when it is run on the host."""
    path = node.folder / "hook.sh"
    path.write_text(f"#!/bin/sh\nid > {node.folder}/ran\n")
    path.chmod(0o755)
    return path


def plain(node: NodeProcess) -> str:
    return boxes.xml(UUID, "box", node.folder / "root", init="/sbin/quick")


def refused(rpc: Rpc, call: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(RpcError) as caught:
        rpc.call(call, **params)
    details: dict[str, Any] = caught.value.error["details"]
    return details


def configs(node: NodeProcess) -> str:
    return "".join(path.read_text() for path in node.folder.rglob("config") if path.is_file())


def test_no_way_in_by_define_create_or_rename(node: NodeProcess, hook: Path) -> None:
    line = f"&#10;lxc.hook.pre-start = {hook}"
    hostile = plain(node).replace("</init>", f"</init><initenv name='A'>x{line}</initenv>")
    with node.connect() as rpc:
        assert refused(rpc, "domain.define_xml", xml=hostile)["path"] == "/domain/os/initenv"
        assert refused(rpc, "domain.create_xml", xml=hostile)["path"] == "/domain/os/initenv"
        rpc.call("domain.define_xml", xml=plain(node))
        assert refused(rpc, "domain.rename", domain=UUID, new_name=f"a\nlxc.hook.pre-start = {hook}")
        assert refused(rpc, "domain.snapshot_create", domain=UUID, name="a\nb")["path"] == "params.name"
        said = refused(rpc, "domain.snapshot_create", domain=UUID, name="a", description="a\x9bb")
        assert said["path"] == "params.description"
        assert refused(rpc, "domain.set_metadata", domain=UUID, type="title", value="a\nb")
        rpc.call("domain.set_metadata", domain=UUID, type="description", value=f"a\nlxc.hook.pre-start = {hook}")
        rpc.call("domain.start", domain=UUID)
        assert hook.name not in configs(node)
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
    assert not (node.folder / "ran").exists()


def test_no_way_in_by_devices_that_are_plugged(node: NodeProcess, hook: Path) -> None:
    line = f"&#10;lxc.hook.pre-start = {hook}"
    devices = (
        f"<hostdev mode='capabilities' type='misc'><source><char>/dev/null{line}</char></source></hostdev>",
        f"<filesystem type='mount'><source dir='/srv{line}'/><target dir='/data'/></filesystem>",
        f"<interface type='bridge'><source bridge='br9{line}'/></interface>",
    )
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=plain(node))
        rpc.call("domain.start", domain=UUID)
        for device in devices:
            for where in ({"live": True}, {"config": True}):
                assert refused(rpc, "domain.attach_device", domain=UUID, xml=device, **where), (device, where)
        assert hook.name not in configs(node)
        rpc.call("domain.destroy", domain=UUID, grace_s=0)


def test_what_an_older_version_wrote_is_not_started(node: NodeProcess, hook: Path) -> None:
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=plain(node))
    folder = next(path.parent for path in node.folder.rglob("mechane.json"))
    sidecar = json.loads((folder / "mechane.json").read_text())
    config = (folder / "config").read_text() + f"lxc.environment = A=x\nlxc.hook.pre-start = {hook}\n"
    sidecar["xml"] = sidecar["xml"].replace(
        "</init>", f"</init><initenv name='A'>x&#10;lxc.hook.pre-start = {hook}</initenv>"
    )
    sidecar["digest"] = hashlib.sha256(config.encode()).hexdigest()
    (folder / "config").write_text(config)
    (folder / "mechane.json").write_text(json.dumps(sidecar))
    node.stop()
    node.start()
    with node.connect() as rpc:
        assert refused(rpc, "domain.start", domain=UUID)["path"] == "/domain/os/initenv"
        assert not (node.folder / "ran").exists()
        rpc.call("domain.define_xml", xml=plain(node))  # corrected
        assert hook.name not in configs(node)
        rpc.call("domain.start", domain=UUID)
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
    assert not (node.folder / "ran").exists()
