"""Saved guests and snapshots through a node: what clients see, and what a killed node leaves."""

import contextlib
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.tests.guest.xml import Disk, guest_xml
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Gone, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.qemu
UUID = "5a5ed000-0000-4000-8000-0000000000aa"


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with short_folder() as folder:
        folder.chmod(0o711)
        with NodeProcess(folder, ["qemu:///system"], settings='[qemu]\nkvm = "off"\n') as made:
            yield made.start()


def define(node: NodeProcess, vcpu: str = "<vcpu>1</vcpu>") -> None:
    disk = node.folder / "a.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    nowhere = Path("/nowhere")
    xml = guest_xml("kept", kernel=nowhere, initrd=nowhere, uuid=UUID, disks=[Disk(source=disk, format="qcow2")],
                    boot=False, memory_mib=32)  # fmt: skip
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=re.sub("<vcpu.*</vcpu>", vcpu, xml))


def state(node: NodeProcess) -> tuple[str, str]:
    with node.connect() as rpc:
        seen = rpc.call("domain.get_info", domain=UUID)
    return seen["state"], seen["reason"]


def test_processors_that_came_live_are_saved_and_restored(node: NodeProcess) -> None:
    """A virtio device has as many queues as its machine began with processors: a restore begins with as many."""
    define(node, "<vcpu current='1'>4</vcpu>")
    with node.connect() as rpc:
        rpc.call("domain.start", domain=UUID)
        for count in (2, 3):
            path = str(node.folder / f"saved{count}")
            rpc.call("domain.set_vcpus", domain=UUID, count=count, live=True)
            rpc.call("domain.save", domain=UUID, path=path)
            back = rpc.call("domain.restore", domain=UUID, path=path)
            assert (back["state"], back["reason"]) == ("running", "restored")
            assert rpc.call("domain.get_info", domain=UUID)["vcpus"] == count
            asked = rpc.call("domain.monitor_command", domain=UUID, command='{"execute":"query-cpus-fast"}')
            assert len(asked["return"] if isinstance(asked, dict) else asked) == count
            assert "current='1'" in rpc.call("domain.get_xml", domain=UUID, inactive=True)
        rpc.call("domain.set_vcpus", domain=UUID, count=4, live=True)
        rpc.call("domain.destroy", domain=UUID, grace_s=0)


def test_saved_and_restored(node: NodeProcess) -> None:
    define(node)
    path = str(node.folder / "saved")
    with node.connect() as rpc:
        rpc.call("domain.start", domain=UUID)
        saved = rpc.call("domain.save", domain=UUID, path=path)
        assert (saved["state"], saved["reason"]) == ("shutoff", "saved")
        with pytest.raises(RpcError):
            rpc.call("domain.save", domain=UUID, path=path)
        back = rpc.call("domain.restore", domain=UUID, path=path)
        assert (back["state"], back["reason"]) == ("running", "restored")
        with pytest.raises(RpcError):
            rpc.call("domain.restore", domain=UUID, path=path)
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
        wait_until(lambda: state(node)[0] == "shutoff", 10, "the end of the guest")
        back = rpc.call("domain.restore", domain=UUID, path=path, paused=True)
        assert back["state"] == "paused"
        rpc.call("domain.destroy", domain=UUID, grace_s=0)


def test_snapshots_outlive_the_node(node: NodeProcess) -> None:
    define(node)
    with node.connect() as rpc:
        made = rpc.call("domain.snapshot_create", domain=UUID, name="off", description="empty")
        assert (made["memory"], made["state"], made["description"]) == (False, "shutoff", "empty")
        assert rpc.call("domain.snapshot_revert", domain=UUID, name="off")["state"] == "shutoff"
        rpc.call("domain.start", domain=UUID)
        rpc.call("domain.snapshot_create", domain=UUID, name="on")
        rpc.call("domain.suspend", domain=UUID)
    node.kill()
    node.start()
    with node.connect() as rpc:
        found: list[dict[str, Any]] = rpc.call("domain.snapshot_list", domain=UUID)
        assert [(each["name"], each["parent"], each["current"]) for each in found] == [
            ("off", "", False), ("on", "off", True)
        ]
        wait_until(lambda: state(node)[0] == "paused", 10, "the adoption")
        back = rpc.call("domain.snapshot_revert", domain=UUID, name="on")
        assert (back["state"], back["reason"]) == ("running", "from_snapshot")
        rpc.call("domain.snapshot_delete", domain=UUID, name="off")
        rpc.call("domain.destroy", domain=UUID, grace_s=0)


def test_a_node_killed_while_it_saves_loses_no_guest(node: NodeProcess) -> None:
    define(node)
    path = node.folder / "saved"
    with node.connect() as rpc:
        rpc.call("domain.start", domain=UUID)

    def save() -> None:
        with contextlib.suppress(Gone, OSError), node.connect() as rpc:  # the node goes away
            rpc.call("domain.save", domain=UUID, path=str(path))

    saving = threading.Thread(target=save)
    saving.start()
    wait_until(path.exists, 10, "the file")
    node.kill()
    saving.join()
    node.start()
    wait_until(lambda: state(node)[0] in ("running", "paused", "shutoff"), 10, "the adoption")
    with node.connect() as rpc:
        if state(node)[0] == "shutoff":  # it was saved before the kill came
            rpc.call("domain.restore", domain=UUID, path=str(path))
        else:
            with pytest.raises(RpcError):
                rpc.call("domain.restore", domain=UUID, path=str(path))
            if state(node)[0] == "paused":
                rpc.call("domain.resume", domain=UUID)
        assert state(node)[0] == "running"
        rpc.call("domain.destroy", domain=UUID, grace_s=0)
