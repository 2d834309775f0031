"""One node with eight connections: a driver that hangs and a driver that crashes leave the other six alone."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mechane.__main__ import mechane
from mechane.tests.acceptance.crowd import KindFleet, Place, fleets, place
from mechane.tests.acceptance.fleet import every
from mechane.tests.acceptance.ordeal import EXPECTED, Asker, Figures
from mechane.tests.acceptance.test_crashing_driver import crash_until_quarantined, state_of
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc]

HUNG, CRASHING = "xen", "test"
DEADLINE_S = 15.0
THREADS = 64
"""Eight connections with a loop each, the executors, and the rest that docs/architecture.md names."""
CRASHES = frozenset({"internal_error", "quarantined"})


@pytest.fixture
def everything() -> Iterator[Place]:
    with place() as found:
        yield found


class CrashAsker(Asker):
    """Asks the guests of the crashing driver."""

    expected = EXPECTED | CRASHES


def threads(node: NodeProcess) -> int:
    return len(list(Path(f"/proc/{node.pid}/task").iterdir()))


def can(rpc: Rpc, fleet: KindFleet, capability: str) -> bool:
    return capability in rpc.call("connection.get_info", connection=fleet.kind.uri)["capabilities"]


def lap(rpc: Rpc, healthy: list[KindFleet], figures: Figures, when: str) -> None:
    """Ask each healthy guest, and change one of each connection; each call answers within its deadline."""
    for fleet in healthy:
        word = fleet.kind.word
        for uuid in fleet.uuids:
            state = figures.timed(rpc, f"HIGH {word} {when}", "domain.get_state", domain=uuid)
            assert isinstance(state, dict)
            assert (state["state"], state["control"]) == ("running", "ok")
            figures.timed(rpc, f"LOW {word} {when}", "domain.get_stats", domain=uuid, deadline_s=DEADLINE_S)
        first = fleet.uuids[0]
        if can(rpc, fleet, "suspend"):
            rpc.call("domain.suspend", domain=first, deadline_s=DEADLINE_S)
            back = rpc.call("domain.resume", domain=first, deadline_s=DEADLINE_S)
            assert back["state"] == "running"
        gone = rpc.call("domain.destroy", domain=first, grace_s=0, deadline_s=DEADLINE_S)
        assert gone["state"] == "shutoff"
        assert rpc.call("domain.start", domain=first, deadline_s=DEADLINE_S)["state"] == "running"


def spoilt_lap(rpc: Rpc, place: Place, all_fleets: dict[str, KindFleet], healthy: list[KindFleet],
               figures: Figures, laps: int) -> None:  # fmt: skip
    """Let one driver hang and one crash, ask both again and again, and go on with the others meanwhile."""
    hung, crashing = all_fleets[HUNG], all_fleets[CRASHING]
    place.hang_xen()
    place.break_test()
    numbers = list(range(len(hung.uuids)))
    askers = [Asker(hung, numbers, 0.5, 2.0), CrashAsker(crashing, numbers, 0.5, 2.0)]
    for asker in askers:
        asker.start()
    try:
        wait_until(lambda: all(asker.outcomes for asker in askers), 30, "answers of the spoilt drivers")
        crash_until_quarantined(
            rpc, "domain.define_xml", xml=crashing.kind.xml("", "lost").replace("<uuid></uuid>", ""),
            connection=crashing.kind.uri,
        )  # fmt: skip
        for _ in range(laps):
            lap(rpc, healthy, figures, "beside them")
        assert len(rpc.call("domain.list")) == len(all_fleets) * len(numbers)
    finally:
        for asker in askers:
            asker.stop()
    assert not askers[0].outcomes["answered"], "Xen's tools did not hang"
    assert askers[1].outcomes["quarantined"]


def recovered(rpc: Rpc, fleet: KindFleet) -> None:
    """Demand that each guest still runs and answers."""

    def answers(uuid: str) -> bool:
        try:
            rpc.call("domain.get_stats", domain=uuid, deadline_s=DEADLINE_S)
        except RpcError:
            return False
        return bool(rpc.call("domain.get_state", domain=uuid)["state"] == "running")

    for uuid in fleet.uuids:
        wait_until(partial(answers, uuid), 30, f"recovery of {fleet.kind.word}")


def reattach(rpc: Rpc, fleet: KindFleet) -> None:
    """Take the quarantined connection and its domains back by the command."""
    uri = fleet.kind.uri
    assert state_of(rpc, uri) == "quarantined"
    rpc.call("node.reattach", connection=uri)
    wait_until(lambda: state_of(rpc, uri) == "open", 10, "a connection in service again")
    for each in rpc.call("node.get_health")["quarantined"]:
        assert each["uuid"] in fleet.uuids
        rpc.call("node.reattach", domain=each["uuid"])


def listed(node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return the rows of the command line's table."""
    capsys.readouterr()
    assert mechane(["--socket", str(node.socket), "list", "--all"]) == 0
    titles, _, *rows = capsys.readouterr().out.splitlines()
    assert titles.split() == ["Id", "Name", "State", "Kind", "Connection"]
    return [row.split() for row in rows if row]


def ordeal(everything: Place, capsys: pytest.CaptureFixture[str], count: int, laps: int) -> None:
    """The whole of it."""
    figures = Figures()
    with everything.node() as node, node.connect() as rpc:
        assert len(everything.kinds) == 8
        all_fleets = fleets(node, everything, count)
        for fleet in all_fleets.values():
            wait_until(partial(state_of, rpc, fleet.kind.uri), 20, f"{fleet.kind.uri} to open")
            fleet.bring_up(rpc)
        healthy = [fleet for word, fleet in all_fleets.items() if word not in (HUNG, CRASHING)]
        rows = listed(node, capsys)
        assert len(rows) == count * 8
        assert {row[3] for row in rows} == {"qemu", "lxc", "xen", "bhyve", "vz", "vbox", "vmware", "test"}
        for _ in range(laps):
            lap(rpc, healthy, figures, "before")
        spoilt_lap(rpc, everything, all_fleets, healthy, figures, laps)
        assert threads(node) <= THREADS
        many = threads(node)
        everything.mend()
        reattach(rpc, all_fleets[CRASHING])
        recovered(rpc, all_fleets[CRASHING])
        recovered(rpc, all_fleets[HUNG])
        every(rpc, [("domain.destroy", {"domain": uuid, "grace_s": 0})
                    for fleet in all_fleets.values() for uuid in fleet.uuids], 4)  # fmt: skip
    with capsys.disabled():
        print(f"\n{count * 8} guests of 8 connections, {many} threads; {figures}".replace("; ", "\n  "))


@pytest.mark.timeout(180)
def test_a_hung_and_a_crashing_driver_leave_six_alone(everything: Place, capsys: pytest.CaptureFixture[str]) -> None:
    ordeal(everything, capsys, count=3, laps=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_with_twenty_guests_each(everything: Place, capsys: pytest.CaptureFixture[str]) -> None:
    ordeal(everything, capsys, count=20, laps=3)
