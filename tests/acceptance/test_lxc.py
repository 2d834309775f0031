"""The node's acceptance in terms of containers: tools that hang by the dozen, and kill -9 of the node."""

import os
import signal
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.acceptance.load import Load
from mechane.tests.acceptance.ordeal import endure, unresponsive
from mechane.tests.acceptance.test_killed_node import kill_again_and_again, ready
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.hypervisors.lxc.hanging import HangingTools
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc]

QUICK = "[deadlines]\nquery_s = 0.5\n"


class LxcFleet(Fleet):
    """Containers whose tools hang when told to (see hanging.py)."""

    def __init__(self, node: NodeProcess, count: int, root: Path, tools: HangingTools) -> None:
        super().__init__(node, count)
        self.root, self.tools = root, tools

    def xml(self, number: int) -> str:
        """Return a definition of a container that ends quickly when told to."""
        return boxes.xml(self.uuids[number], self.names[number], self.root, init="/sbin/quick", memory_mib=16)

    def hang(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Let every tool hang for these containers."""
        for number in numbers:
            self.tools.hang(self.names[number])
            self.hung.add(number)

    def release(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Let the tools answer again."""
        for number in numbers:
            self.tools.release(self.names[number])
            self.hung.discard(number)


class StoppedFleet(LxcFleet):
    """Containers whose monitor process is stopped: LXC's own tools hang at it for real."""

    def hang(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Stop monitors."""
        found = boxes.monitors(self.node.folder)
        for number in numbers:
            os.kill(found[self.names[number]], signal.SIGSTOP)
            self.hung.add(number)

    def release(self, rpc: Rpc, numbers: Iterable[int]) -> None:
        """Let monitors go on."""
        found = boxes.monitors(self.node.folder)
        for number in numbers:
            os.kill(found[self.names[number]], signal.SIGCONT)
            self.hung.discard(number)


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder with a root filesystem; no container outlives the test."""
    with boxes.playground() as folder:
        yield folder


@pytest.fixture
def node(place: Path) -> Iterator[NodeProcess]:
    """Give a node (not started) with lxc:///system, whose tools can be made to hang."""
    tools = HangingTools(place / "tools")
    with NodeProcess(place, [f"lxc:///system?paths={place / 'others'}"], QUICK, tools.env()) as node:
        try:
            yield node
        finally:
            boxes.end_all(place)


def fleet_of(node: NodeProcess, count: int, kind: type[LxcFleet] = LxcFleet) -> LxcFleet:
    return kind(node, count, node.folder / "root", HangingTools(node.folder / "tools"))


@pytest.mark.timeout(180)
def test_the_tools_of_28_of_30_containers_hang(node: NodeProcess) -> None:
    node.start()
    print(endure(fleet_of(node, 30), healthy=2, cycles=10, period_s=0.3, deadline_s=1.5))
    assert len(list(Path(f"/proc/{node.pid}/task").iterdir())) < 60


@pytest.mark.timeout(120)
def test_the_monitors_of_5_of_7_containers_are_stopped(node: NodeProcess) -> None:
    node.start()
    print(endure(fleet_of(node, 7, StoppedFleet), healthy=2, cycles=2, period_s=0.3, deadline_s=1.5))


def pids(rpc: Rpc, fleet: Fleet) -> dict[str, int]:
    return {uuid: rpc.call("domain.get_info", domain=uuid)["pid"] for uuid in fleet.uuids}


@pytest.mark.timeout(120)
def test_a_killed_node_takes_up_its_containers_and_stops_none(node: NodeProcess) -> None:
    fleet = fleet_of(node.start(), 6)
    with node.connect() as rpc:
        fleet.bring_up(rpc)
        before = pids(rpc, fleet)
        rpc.call("domain.suspend", domain=fleet.uuids[1])
    node.kill()
    assert set(boxes.monitors(node.folder)) == set(fleet.names)
    fleet.tools.hang(fleet.names[2])  # one whose tools hang delays no other
    boxes.lxc(containers(node), fleet.names[3], "lxc-stop", "-k")  # one that ended meanwhile
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: ready(rpc) or unresponsive(rpc), 30, "adoption")
        wait_until(lambda: state(rpc, fleet.uuids[3]) == "shutoff", 10, "the end of the container that was stopped")
        after = {uuid: pid for uuid, pid in before.items() if uuid != fleet.uuids[3]}
        for uuid, pid in after.items():
            wait_until(partial(has_pid, rpc, uuid, pid), 10, "the adoption of a container")
        assert state(rpc, fleet.uuids[1]) == "paused"
        wait_until(lambda: unresponsive(rpc) == {fleet.uuids[2]}, 10, "the container whose tools hang")
        assert all(os.path.exists(f"/proc/{pid}") for pid in after.values())
        assert rpc.call("domain.resume", domain=fleet.uuids[1])["state"] == "running"
        for uuid in after:
            assert rpc.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"
    wait_until(lambda: not boxes.monitors(node.folder), 10, "the end of all containers")


def containers(node: NodeProcess) -> Path:
    """Return where the node keeps its containers."""
    return next((node.folder / "s/c").glob("lxc-*")) / "containers"


def state(rpc: Rpc, uuid: str) -> str:
    return str(rpc.call("domain.get_state", domain=uuid)["state"])


def has_pid(rpc: Rpc, uuid: str, pid: int) -> bool:
    return bool(rpc.call("domain.get_info", domain=uuid).get("pid") == pid)


def no_orphan_containers(node: NodeProcess, running: set[str], load: Load) -> None:
    """Demand one monitor for each running container, and no other."""
    names = {load.fleet.names[load.fleet.uuids.index(uuid)] for uuid in running}
    wait_until(lambda: set(boxes.monitors(node.folder)) == names, 10, f"just the containers {names}")


@pytest.mark.timeout(180)
def test_kill_a_few_times_under_load(node: NodeProcess) -> None:
    node.settings = ""  # deadlines as they are by default: nothing hangs here, and the machine is busy
    kill_again_and_again(node, fleet_of(node, 6), 3, no_orphan_containers)
