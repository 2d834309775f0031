"""Acceptance 2: hung monitors by the dozen, re-asked throughout, and nobody else notices."""

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mechane.tests.acceptance.fleet import Fleet, QemuFleet
from mechane.tests.acceptance.ordeal import endure, recovered, unresponsive
from mechane.tests.stubs.install import install_stub
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

QUICK = "[deadlines]\nquery_s = 0.5\n"
"""Monitors are found stuck after half a second, so that the test is short."""


def threads_of(node: NodeProcess) -> int:
    """Count the node's threads."""
    return len(list(Path(f"/proc/{node.pid}/task").iterdir()))


def test_28_of_30_guests_hang_in_memory() -> None:
    with running_node(settings=QUICK) as node:
        fleet = Fleet(node, 30)
        print(endure(fleet, healthy=2, cycles=20, period_s=0.3, deadline_s=1.5))
        assert threads_of(node) < 60


def restart_with_hung_guests(node: NodeProcess, fleet: Fleet, healthy: int) -> None:
    """Kill the node while guests hang: the healthy ones are taken up at once, the others as soon as they answer."""
    hung = list(range(healthy, len(fleet.names)))
    with node.connect() as rpc:
        fleet.bring_up(rpc)
        fleet.hang(rpc, hung)
    node.kill()
    node.start()
    with node.connect() as rpc:
        for number in range(healthy):
            uuid = fleet.uuids[number]
            wait_until(partial(answers_statistics, rpc, uuid), 20, "a healthy guest's statistics")
            assert rpc.call("domain.suspend", domain=uuid)["state"] == "paused"
        wait_until(lambda: unresponsive(rpc) == {fleet.uuids[number] for number in hung}, 20, "what hangs")
        first, *spared = hung
        assert rpc.call("domain.destroy", domain=fleet.uuids[first], grace_s=0)["state"] == "shutoff"
        fleet.hung.discard(first)
        fleet.release(rpc, spared)
        recovered(rpc, fleet, spared)


def answers_statistics(rpc: Rpc, uuid: str) -> bool:
    """Tell whether a guest can be asked; while it is taken up it cannot."""
    try:
        return bool(rpc.call("domain.get_stats", domain=uuid)["stats"]["cpu.time"] >= 0)
    except RpcError as error:
        assert error.code in {"operation_invalid", "busy"}, error
        return False


def kept_guests(folder: Path) -> NodeProcess:
    """Return a node whose in-memory guests outlive it."""
    return NodeProcess(folder, [f"test:///default?state={folder / 'guests'}"], QUICK)


def test_node_restarts_beside_hung_guests() -> None:
    with short_folder() as folder, kept_guests(folder) as node:
        restart_with_hung_guests(node.start(), Fleet(node, 8), 3)


@pytest.mark.qemu
def test_node_restarts_beside_stopped_guests() -> None:
    with running_node(["qemu:///system"], QUICK) as node:
        fleet = QemuFleet(node, 6)
        with continued(fleet):
            restart_with_hung_guests(node, fleet, 2)


@contextlib.contextmanager
def continued(fleet: QemuFleet) -> Iterator[None]:
    """Let every process go on at the end, so that it can be ended."""
    try:
        yield
    finally:
        for pid in fleet.stopped.values():
            with contextlib.suppress(ProcessLookupError):  # destroyed while it was stopped
                os.kill(pid, signal.SIGCONT)


def qemu_ordeal(
    count: int, healthy: int, cycles: int, *, stubs: bool = False, settings: str = QUICK, period_s: float = 1.0
) -> None:
    with running_node(["qemu:///system"], settings) as node:
        emulator = install_stub(node.folder) if stubs else None
        fleet = QemuFleet(node, count, emulator)
        with continued(fleet):
            print(endure(fleet, healthy=healthy, cycles=cycles, period_s=period_s, deadline_s=4 * period_s))
            assert threads_of(node) < 60


@pytest.mark.qemu
def test_5_of_7_real_guests_are_stopped() -> None:
    qemu_ordeal(7, 2, 2, period_s=0.3)


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_28_of_30_real_guests_are_stopped() -> None:
    qemu_ordeal(30, 2, 20)


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_300_of_310_stub_monitors_are_stopped() -> None:
    qemu_ordeal(310, 10, 2, stubs=True)
