"""Every HIGH call answers while a monitor never does; every call behaves on the read-only socket."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from mechane.protocol.catalogue import CallSpec, Priority, load
from mechane.tests.acceptance.arguments import arguments_for
from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.acceptance.ordeal import unresponsive
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

CONNECTION = "test:///default"
HIGH = [spec for spec in load() if spec.priority is Priority.HIGH]
ANSWER_TIMEOUT_S = 5.0
"""Far beyond what a HIGH call may take; a call that waits for the monitor never answers."""
FORBIDDEN = frozenset({"deadline_exceeded", "unresponsive", "internal_error", "busy"})
"""What a HIGH call may not answer with: it waited, or broke."""


class HungGuest:
    """A node with one guest whose monitor is held by a question that is never answered."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.fleet = Fleet(node, 2)
        self.fleet.names[0] = "hung"
        self.uuid = self.fleet.uuids[0]
        self.rpc = node.connect()
        self.fleet.bring_up(self.rpc)
        self.fleet.hang(self.rpc, [0])
        self.holding = node.connect()
        self.hold()

    def hold(self) -> None:
        """Ask what is never answered, and wait until the node has noticed."""
        for _ in range(3):
            self.holding.send("domain.get_stats", domain=self.uuid, deadline_s=600.0)
        wait_until(lambda: self.uuid in unresponsive(self.rpc), 10, "an unresponsive guest")

    def close(self) -> None:
        self.holding.close()
        self.rpc.close()


@pytest.fixture(scope="module")
def hung() -> Iterator[HungGuest]:
    settings = "[deadlines]\nquery_s = 0.2\n"
    with running_node([CONNECTION], settings) as node:
        guest = HungGuest(node)
        yield guest
        guest.close()


def known(spec: CallSpec, hung: HungGuest) -> tuple[dict[str, object], Rpc]:
    """Return what only the node can tell: a victim to disconnect, a subscription to end, an id."""
    victim = hung.node.connect()
    numbers = {
        "client": victim.call("session.hello", client="victim", protocol=1)["client"],
        "id": hung.rpc.call("domain.lookup", domain=hung.uuid)["id"],
    }
    if spec.name == "events.unsubscribe":
        numbers["subscription"] = hung.rpc.call("events.subscribe")["subscription"]
    return numbers, victim


@pytest.mark.parametrize("spec", HIGH, ids=lambda spec: spec.name)
def test_high_call_does_not_wait_for_the_monitor(spec: CallSpec, hung: HungGuest) -> None:
    numbers, victim = known(spec, hung)
    arguments = arguments_for(spec, hung.uuid, CONNECTION, numbers)
    try:
        hung.rpc.answer(hung.rpc.send(spec.name, **arguments), ANSWER_TIMEOUT_S)
    except RpcError as error:
        assert error.code not in FORBIDDEN, error
        assert error.error["remedy"], "an error must say what to do"
    finally:
        victim.close()
    if spec.name == "domain.destroy":
        assert hung.rpc.call("domain.get_state", domain=hung.uuid)["state"] == "shutoff"
        hung.rpc.call("domain.start", domain=hung.uuid)
        hung.fleet.hang(hung.rpc, [0])
        hung.hold()
    elif spec.name == "domain.abort_job":
        hung.hold()


def test_high_calls_are_many_and_none_is_slow(hung: HungGuest) -> None:
    """The node logs each HIGH call above 5 ms; once may be the machine's fault, again and again is the call's."""
    assert len(HIGH) > 20
    slow = Counter(re.findall(r"HIGH call (\S+) took", hung.node.log.read_text()))
    assert all(count <= 2 for count in slow.values()), f"slow HIGH calls: {slow}"


@pytest.mark.parametrize("spec", list(load()), ids=lambda spec: spec.name)
def test_call_on_the_read_only_socket(spec: CallSpec, hung: HungGuest) -> None:
    """What is not declared for the read-only socket is refused; what is, answers and changes nothing."""
    healthy = hung.fleet.uuids[1]
    before = hung.rpc.call("domain.lookup", domain=healthy)
    with hung.node.connect(read_only=True) as rpc:
        arguments = arguments_for(spec, healthy, CONNECTION, {})
        if spec.name == "domain.lookup_by_id":
            arguments["id"] = before["id"]
        if spec.name == "domain.get_metadata":
            arguments["uri"] = "urn:nowhere"
        if spec.name == "events.unsubscribe":
            arguments["subscription"] = rpc.call("events.subscribe")["subscription"]
        try:
            rpc.call(spec.name, **arguments)
        except RpcError as error:
            wanted = {"no_metadata", "unsupported"} if spec.read_only else {"permission_denied"}
            assert error.code in wanted, error
        else:
            assert spec.read_only, f"{spec.name} was served on the read-only socket"
    assert hung.rpc.call("domain.lookup", domain=healthy) == before


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("domain.get_xml", {"secure": True}), ("events.subscribe", {"domain": "no-such-domain"})],
)
def test_read_only_socket_gives_no_secrets(method: str, arguments: dict[str, object], hung: HungGuest) -> None:
    with hung.node.connect(read_only=True) as rpc, pytest.raises(RpcError) as caught:
        rpc.call(method, **{"domain": hung.uuid, **arguments})
    assert caught.value.code in {"permission_denied", "no_domain"}


def test_read_only_client_cannot_cancel_another_ones_call(hung: HungGuest) -> None:
    with hung.node.connect() as owner, hung.node.connect(read_only=True) as stranger:
        waiting = owner.send("domain.wait", domain=hung.uuid, states=["crashed"], deadline_s=0.5)
        stranger.notify("cancel", msgid=waiting)
        stranger.call("session.ping")
        with pytest.raises(RpcError) as caught:
            owner.answer(waiting)
        assert caught.value.code == "deadline_exceeded"
