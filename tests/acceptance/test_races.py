"""Acceptance 4: races, a thousand times each: whoever wins, the outcome is one that makes sense."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from mechane.tests.acceptance.fleet import MEMORY, Fleet, QemuFleet, uuid_of
from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

TIMES = 1000
TIMES_WITH_QEMU = 20


class Pair:
    """Two clients on threads of their own that make one call each at nearly the same moment."""

    def __init__(self, node: NodeProcess) -> None:
        self.clients = (node.connect(), node.connect())
        self.barrier = threading.Barrier(2)

    def race(
        self, one: tuple[str, dict[str, object]], two: tuple[str, dict[str, object]], head_start_s: float
    ) -> tuple[str, str]:
        """Make both calls; return `ok` or the error's word of each. A negative head start is the second's."""
        outcomes = ["", ""]

        def run(index: int, method: str, params: dict[str, object], pause_s: float) -> None:
            self.barrier.wait(10)
            if pause_s > 0:
                threading.Event().wait(pause_s)
            try:
                self.clients[index].call(method, **params)
                outcomes[index] = "ok"
            except RpcError as error:
                outcomes[index] = error.code

        other = threading.Thread(target=run, args=(1, *two, head_start_s))
        other.start()
        run(0, *one, -head_start_s)
        other.join()
        return outcomes[0], outcomes[1]

    def close(self) -> None:
        for client in self.clients:
            client.close()


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with running_node() as started:
        yield started


def lifecycle(rpc: Rpc, cursor: str) -> list[dict[str, object]]:
    """Return the lifecycle events since a cursor."""
    events = rpc.call("events.list", since=cursor, kinds=["lifecycle"], limit=10000)
    assert all(each["kind"] == "lifecycle" for each in events), "the journal was too short for this test"
    return list(events)


def each_once(events: list[dict[str, object]]) -> Counter[tuple[object, object]]:
    """Demand that each incarnation starts and stops once at most; returns what was counted."""
    counted = Counter((each["incarnation"], each["event"]) for each in events)
    twice = {key: count for key, count in counted.items() if key[1] in ("started", "stopped") and count > 1}
    assert not twice, f"started or stopped more than once: {twice}"
    return counted


def destroy_against_start(node: NodeProcess, fleet: Fleet, times: int, longest_s: float) -> None:
    uuid = fleet.uuids[0]
    draw = random.Random(4)
    pair = Pair(node)
    outcomes: Counter[tuple[str, str]] = Counter()
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=fleet.xml(0))
        cursor = rpc.call("events.subscribe", kinds=["gap"])["cursor"]
        destroy = ("domain.destroy", {"domain": uuid, "grace_s": 0})
        for index in range(times):
            started, destroyed = pair.race(
                ("domain.start", {"domain": uuid}), destroy, draw.uniform(-0.1, 1.0) * longest_s
            )
            outcomes[started, destroyed] += 1
            state = rpc.call("domain.get_state", domain=uuid)["state"]
            if destroyed == "ok":
                assert state == "shutoff", f"round {index}: destroyed, and it is {state}"
                assert started in ("ok", "cancelled", "start_failed", "operation_failed", "operation_invalid"), started
            else:
                assert (started, destroyed, state) == ("ok", "operation_invalid", "running"), f"round {index}"
                rpc.call("domain.destroy", domain=uuid, grace_s=0)
            if index % 500 == 499 or index == times - 1:
                each_once(lifecycle(rpc, cursor))
                cursor = rpc.call("events.subscribe", kinds=["gap"])["cursor"]
        settled(rpc, uuid)
    pair.close()
    print(f"start and destroy: {dict(outcomes)}")


def settled(rpc: Rpc, uuid: str) -> None:
    """Demand that nothing waits or works for a domain any more, and that it still can."""
    wait_until(lambda: not rpc.call("node.get_health")["busy"], 10, "idle domains")
    if rpc.call("domain.get_state", domain=uuid)["state"] == "running":
        rpc.call("domain.destroy", domain=uuid, grace_s=0)
    assert rpc.call("domain.start", domain=uuid)["state"] == "running"
    assert rpc.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"


def test_destroy_against_start(node: NodeProcess) -> None:
    destroy_against_start(node, Fleet(node, 1), TIMES, 0.004)


@pytest.mark.qemu
@pytest.mark.parametrize(
    "times",
    [TIMES_WITH_QEMU, pytest.param(TIMES, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_destroy_against_start_of_qemu(times: int) -> None:
    with running_node(["qemu:///system"]) as node:
        destroy_against_start(node, QemuFleet(node, 1), times, 0.1)


def test_define_against_undefine() -> None:
    uuid, name = uuid_of(7), "contested"
    xml = MEMORY.format(name=name, uuid=uuid)
    draw = random.Random(5)
    outcomes: Counter[tuple[str, str]] = Counter()
    with running_node() as node:
        pair = Pair(node)
        with node.connect() as rpc:
            for index in range(TIMES):
                if index % 2:
                    rpc.call("domain.define_xml", xml=xml)
                defined, undefined = pair.race(
                    ("domain.define_xml", {"xml": xml}), ("domain.undefine", {"domain": uuid}),
                    draw.uniform(-0.002, 0.003),
                )  # fmt: skip
                outcomes[defined, undefined] += 1
                assert defined == "ok", f"round {index}: define answered {defined}"
                assert undefined in ("ok", "no_domain"), f"round {index}: undefine answered {undefined}"
                there = {each["uuid"] for each in rpc.call("domain.list")} == {uuid}
                if undefined == "no_domain":
                    assert there, f"round {index}: defined, never undefined, and gone"
                if there:
                    assert name in rpc.call("domain.get_xml", domain=uuid)
                    if draw.random() < 0.5:
                        rpc.call("domain.undefine", domain=uuid)
            last = [each["uuid"] for each in rpc.call("domain.list")]
        pair.close()
        node.kill()
        node.start()
        with node.connect() as rpc:
            assert [each["uuid"] for each in rpc.call("domain.list")] == last
            rpc.call("domain.define_xml", xml=xml)
            settled(rpc, uuid)
    print(f"define and undefine: {dict(outcomes)}")


@pytest.mark.parametrize("autodestroy", [False, True])
def test_client_killed_in_mid_start(node: NodeProcess, autodestroy: bool) -> None:
    fleet = Fleet(node, 1)
    uuid = fleet.uuids[0]
    draw = random.Random(6)
    with node.connect() as rpc:
        rpc.call("domain.define_xml", xml=fleet.xml(0))
        cursor = rpc.call("events.subscribe", kinds=["gap"])["cursor"]
        for index in range(TIMES):
            with node.connect() as victim:
                victim.send("domain.start", domain=uuid, autodestroy=autodestroy)
                threading.Event().wait(max(0.0, draw.uniform(-0.001, 0.003)))
            number = rpc.send("domain.wait", domain=uuid, states=["shutoff" if autodestroy else "running"])
            rpc.answer(number)
            if not autodestroy:
                assert rpc.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"
            if index % 500 == 499:
                counted = each_once(lifecycle(rpc, cursor))
                assert autodestroy or sum(event == "started" for _, event in counted) == 500
                cursor = rpc.call("events.subscribe", kinds=["gap"])["cursor"]
        wait_until(lambda: len(rpc.call("node.list_clients")) == 1, 10, "the end of killed clients")
        wait_until(lambda: rpc.call("domain.get_state", domain=uuid)["state"] == "shutoff", 10, "shutoff")
        settled(rpc, uuid)


def test_pipelined_calls_arrive_in_order(node: NodeProcess) -> None:
    """Two clients pipeline on two domains each: every call is legal only if the ones before it ran."""
    fleet = Fleet(node, 4)
    with node.connect() as rpc:
        fleet.bring_up(rpc)
    failures: list[str] = []

    def pipeline(uuids: list[str]) -> None:
        with node.connect() as client:
            waiting: list[tuple[int, str]] = []
            for index in range(TIMES):
                for uuid in uuids:
                    suspend = index % 2 == 0
                    method = "domain.suspend" if suspend else "domain.resume"
                    waiting.append((client.send(method, domain=uuid), "paused" if suspend else "running"))
                while len(waiting) > 48:
                    check(client, *waiting.pop(0))
            for number, state in waiting:
                check(client, number, state)

    def check(client: Rpc, number: int, state: str) -> None:
        try:
            answer = client.answer(number)
        except RpcError as error:
            failures.append(str(error))
        else:
            if answer["state"] != state:
                failures.append(f"answered {answer['state']} where {state} is due")

    on_threads([lambda: pipeline(fleet.uuids[:2]), lambda: pipeline(fleet.uuids[2:])])
    assert not failures, f"{len(failures)} calls out of order: {failures[:3]}"


def on_threads(tasks: list[Callable[[], None]]) -> None:
    """Run tasks side by side and wait for all of them."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.qemu
def test_a_uuid_is_free_as_soon_as_its_transient_domain_was_destroyed() -> None:
    """Nobody sees that domain any more, so no definition is refused for it: it waits for the clean-up."""
    with running_node(["qemu:///system"]) as node, node.connect() as rpc:
        uuid = uuid_of(7)
        for _ in range(5):
            rpc.call("domain.create_xml", xml=idle_xml("before", uuid=uuid))
            rpc.call("domain.destroy", domain=uuid, grace_s=0)
            made = rpc.call("domain.define_xml", xml=idle_xml("after", uuid=uuid))
            assert (made["uuid"], made["name"]) == (uuid, "after")
            rpc.call("domain.undefine", domain=uuid)
