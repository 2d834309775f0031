"""A whole node over doubles of xl: what a client sees of Xen's guests, also after kill -9 of the node."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.hypervisors.xen.tools import XML, Tools, installed
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

UUID = "c0ffee00-0000-4000-8000-0000000000{:02x}"
URI = "xen:///system"


@pytest.fixture
def tools(short_tmp: Path) -> Tools:
    """Give the doubles, which the node finds in its PATH."""
    return installed(short_tmp / "x")


@pytest.fixture
def node(short_tmp: Path, tools: Tools) -> Iterator[NodeProcess]:
    """Give a node with Xen and the in-memory hypervisor; no guest is left in the double at the end."""
    path = f"{tools.folder / 'bin'}:{os.environ['PATH']}"
    with NodeProcess(short_tmp, connections=[URI, "test:///default"], env={"PATH": path}) as process:
        yield process.start()


def states(rpc: Rpc) -> dict[str, str]:
    """Return what is listed: name -> state."""
    listed: Any = rpc.call("domain.list")
    return {each["name"]: each["state"] for each in (listed["domains"] if isinstance(listed, dict) else listed)}


def start(rpc: Rpc, number: int) -> str:
    """Define and start a guest; returns its name."""
    name = f"web {number}"
    rpc.call("domain.define_xml", xml=XML.format(uuid=UUID.format(number), name=name, more=""), connection=URI)
    assert rpc.call("domain.start", domain=name)["state"] == "running"
    return name


def test_a_guest_by_hand_is_listed_and_its_end_noticed(node: NodeProcess, tools: Tools) -> None:
    config = tools.folder / "hand.cfg"
    config.write_text(f'name = "by hand"\nuuid = "{UUID.format(0xAA)}"\nmemory = 64\n')
    xl = str(tools.folder / "bin/xl")
    with node.connect() as rpc:
        wait_until(lambda: subprocess.run([xl, "list"], capture_output=True, timeout=10).returncode == 0)
        subprocess.run([xl, "create", "-q", str(config)], check=True, timeout=10)
        wait_until(lambda: states(rpc).get("by hand") == "running", 30)
        subprocess.run([xl, "destroy", "by hand"], check=True, timeout=10)
        wait_until(lambda: "by hand" not in states(rpc), 40)


def test_save_restore_and_adoption_after_kill(node: NodeProcess, tools: Tools) -> None:
    with node.connect() as rpc:
        names = [start(rpc, number) for number in range(3)]
        path = str(tools.folder / "saved")
        assert rpc.call("domain.save", domain=names[0], path=path)["reason"] == "saved"
        assert rpc.call("domain.restore", domain=names[0], path=path)["state"] == "running"
        assert rpc.call("domain.suspend", domain=names[1])["state"] == "paused"
    before = {guest["domid"] for guest in tools.control.state()["guests"].values()}
    node.kill()
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: states(rpc) == {names[0]: "running", names[1]: "paused", names[2]: "running"}, 30)
        assert {guest["domid"] for guest in tools.control.state()["guests"].values()} == before
        wait_until(lambda: resumed(rpc, names[1]), 30)
        for name in names:
            rpc.call("domain.destroy", domain=name)
    assert tools.control.state()["guests"] == {}


def resumed(rpc: Rpc, name: str) -> bool:
    """Resume a guest, which may still be being taken up."""
    try:
        return bool(rpc.call("domain.resume", domain=name)["state"] == "running")
    except RpcError:
        return False


def test_a_hung_list_hurts_no_other_connection(node: NodeProcess, tools: Tools) -> None:
    with node.connect() as rpc, node.connect() as other:
        name = start(rpc, 1)
        tools.control.hang("list")
        asked = rpc.send("domain.suspend", domain=name, deadline_s=30.0)
        xml = "<domain type='test'><name>t</name><memory unit='MiB'>8</memory><os><type>hvm</type></os></domain>"
        other.call("domain.define_xml", xml=xml, connection="test:///default")
        for _ in range(20):
            assert other.call("domain.start", domain="t")["state"] == "running"
            assert other.call("domain.destroy", domain="t")["state"] == "shutoff"
        tools.control.clear()
        with contextlib.suppress(RpcError):  # its listing may have hung for too long; either is right
            rpc.answer(asked)
        wait_until(lambda: rpc.call("domain.destroy", domain=name)["state"] == "shutoff", 30)
