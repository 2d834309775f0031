"""Acceptance 3: kill -9 at random moments and at each named point loses nothing that was acknowledged."""

import json
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mechane.actors.node.faults import POINTS
from mechane.tests.acceptance.fleet import Fleet, QemuFleet
from mechane.tests.acceptance.load import Load
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.procs import leftovers
from mechane.tests.support.rpc import Gone, Rpc
from mechane.tests.support.wait import wait_until

SEED = int(os.environ.get("MECHANE_SEED", "20260"))
DIES_WITHIN_S = 20.0
Orphans = Callable[[NodeProcess, set[str], Load], None]


def rounds(count: int) -> list[str]:
    """Return what kills the node in each round: a moment, or one of the points, in turn."""
    return [(("moment", *POINTS)[index % (len(POINTS) + 1)]) for index in range(count)]


def kill_again_and_again(node: NodeProcess, fleet: Fleet, count: int, orphans: Orphans) -> None:
    """Run rounds of load, kill, restart and comparison."""
    draw = random.Random(SEED)
    load = Load(node, fleet, 4, SEED)
    acknowledged = 0
    node.start()
    for index, cause in enumerate(rounds(count)):
        load.start()
        if cause == "moment":
            wait_until(partial(load.has_done, draw.randrange(40)), 20, "some calls")
            node.kill()
        else:
            assert node.process is not None
            node.process.wait(DIES_WITHIN_S)
        acknowledged += load.join()
        following = (*rounds(count), "moment")[index + 1]
        fault = {} if following == "moment" else {"MECHANE_FAULT": f"{following}:{draw.randrange(1, 30)}"}
        load = restart_and_compare(node, load, fault, orphans, index)
    load.finished.set()
    print(f"{count} kills, {acknowledged} calls acknowledged, nothing lost")


def restart_and_compare(node: NodeProcess, load: Load, fault: dict[str, str], orphans: Orphans, index: int) -> Load:
    """Start the node again, compare, and hand the knowledge to the next round's load."""
    node.env.pop("MECHANE_FAULT", None)
    node.start()  # without a fault: comparing makes calls as well
    with node.connect() as rpc:
        wait_until(lambda: ready(rpc), 30, "adoption")
        orphans(node, load.compare(rpc), load)
    fresh = load.next_round(SEED + index + 1)
    if fault:
        node.kill()
        node.launch(**fault)
        wait_until(lambda: dead_or_ready(node), 30, "adoption, or death in it")
    return fresh


def dead_or_ready(node: NodeProcess) -> bool:
    """Tell whether a node that is to die has taken up its guests, or died: on the way, or as it answers here."""
    assert node.process is not None
    if node.process.poll() is not None:
        return True
    try:
        with node.connect() as rpc:
            return ready(rpc)
    except (OSError, Gone):
        return False


def ready(rpc: Rpc) -> bool:
    health = rpc.call("node.get_health")
    opened = all(connection["state"] == "open" for connection in health["connections"])
    return bool(health["ready"] and opened and not health["busy"])


def no_orphans_in_file(path: Path) -> Orphans:
    """Compare the in-memory hypervisor's file with what the node says runs."""

    def check(node: NodeProcess, running: set[str], load: Load) -> None:
        kept = json.loads(path.read_text())["guests"] if path.exists() else []
        assert sorted(each["uuid"] for each in kept) == sorted(running)

    return check


def no_orphan_qemu(node: NodeProcess, running: set[str], load: Load) -> None:
    """Demand one QEMU for each running guest, and no other."""
    found = {pid: argv for pid, argv in leftovers(node.folder).items() if "qemu-system" in argv[0]}
    pids = {known.pid for known in load.known if known.running == frozenset({True})}
    assert set(found) == pids, f"orphans or lost guests: {found} against {pids}"
    assert len(found) == len(running)


def kill_rounds_in_memory(count: int) -> None:
    with short_folder() as folder:
        state = folder / "guests"
        node = NodeProcess(folder, [f"test:///default?state={state}"])
        with node:
            kill_again_and_again(node, Fleet(node, 12), count, no_orphans_in_file(state))


def kill_rounds_with_qemu(count: int) -> None:
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        kill_again_and_again(node, QemuFleet(node, 8), count, no_orphan_qemu)


def test_kill_at_a_moment_and_at_each_point() -> None:
    kill_rounds_in_memory(1 + len(POINTS))


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_a_hundred_times() -> None:
    kill_rounds_in_memory(100)


@pytest.mark.qemu
def test_kill_a_few_times_with_qemu() -> None:
    kill_rounds_with_qemu(3)


@pytest.mark.qemu
@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_kill_a_hundred_times_with_qemu() -> None:
    kill_rounds_with_qemu(100)
