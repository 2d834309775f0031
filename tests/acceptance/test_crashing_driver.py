"""Acceptance 7: a driver that crashes on every call is quarantined, re-attached by a command, and hurts nobody."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.tests.acceptance.fleet import MEMORY, Fleet, uuid_of
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

HEALTHY = "test:///default"


def healthy_works(rpc: Rpc, number: int = 900) -> None:
    """Run a guest of the other connection through its life."""
    uuid = uuid_of(number)
    xml = MEMORY.format(name=f"well-{number}", uuid=uuid)
    rpc.call("domain.define_xml", xml=xml, connection=HEALTHY)
    assert rpc.call("domain.start", domain=uuid)["state"] == "running"
    assert rpc.call("domain.get_stats", domain=uuid)["stats"]["vcpu.current"] == 1
    assert rpc.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"
    rpc.call("domain.undefine", domain=uuid)


def crash_until_quarantined(rpc: Rpc, method: str, **params: object) -> list[str]:
    """Call until the answer says quarantined; each answer before is an internal error."""
    codes: list[str] = []
    for _ in range(30):
        with pytest.raises(RpcError) as caught:
            rpc.call(method, **params)
        codes.append(caught.value.code)
        if codes[-1] == "quarantined":
            assert set(codes[:-1]) == {"internal_error"}
            return codes
    raise AssertionError(f"never quarantined: {codes}")


def state_of(rpc: Rpc, uri: str) -> str:
    return str(rpc.call("connection.get_info", connection=uri)["state"])


def test_connection_that_crashes_from_its_first_call_on(short_tmp: Path) -> None:
    flag = short_tmp / "broken"
    flag.touch()
    broken = f"test:///broken?crash=1&while={flag}"
    with running_node([HEALTHY, broken]) as node, node.connect() as rpc:
        wait_until(lambda: state_of(rpc, broken) == "quarantined", 30, "quarantine of the connection")
        healthy_works(rpc)
        xml = MEMORY.format(name="lost", uuid=uuid_of(1))
        with pytest.raises(RpcError) as caught:
            rpc.call("domain.define_xml", xml=xml, connection=broken)
        assert caught.value.code == "quarantined"
        assert broken in str(rpc.call("node.get_health")["connections"])
        flag.unlink()
        rpc.call("node.reattach", connection=broken)
        wait_until(lambda: state_of(rpc, broken) == "open", 10, "a connection in service again")
        rpc.call("domain.define_xml", xml=xml, connection=broken)
        assert rpc.call("domain.start", domain=uuid_of(1))["state"] == "running"


def test_connection_that_crashes_while_it_is_used(short_tmp: Path) -> None:
    flag = short_tmp / "broken"
    broken = f"test:///broken?crash=define,undefine,start,stats&while={flag}"
    with running_node([HEALTHY, broken]) as node, node.connect() as rpc:
        rpc.call("domain.define_xml", xml=MEMORY.format(name="kept", uuid=uuid_of(2)), connection=broken)
        flag.touch()
        xml = MEMORY.format(name="lost", uuid=uuid_of(1))
        crash_until_quarantined(rpc, "domain.define_xml", xml=xml, connection=broken)
        healthy_works(rpc)
        assert rpc.call("domain.lookup", domain=uuid_of(2))["state"] == "shutoff"
        flag.unlink()
        rpc.call("node.reattach", connection=broken)
        wait_until(lambda: state_of(rpc, broken) == "open", 10, "a connection in service again")
        rpc.call("domain.define_xml", xml=xml, connection=broken)


def test_domain_that_crashes_is_quarantined_alone() -> None:
    with running_node() as node, node.connect() as rpc:
        fleet = Fleet(node, 3)
        fleet.bring_up(rpc)
        sick, well = fleet.uuids[0], fleet.uuids[1]

        def tell(word: str) -> None:
            arguments = {"verb": "*", "domain": sick}
            command = json.dumps({"execute": f"test-{word}", "arguments": arguments})
            rpc.call("domain.monitor_command", domain=well, command=command)

        tell("crash")
        crash_until_quarantined(rpc, "domain.get_stats", domain=sick)
        assert rpc.call("domain.get_state", domain=sick)["control"] == "quarantined"
        health = rpc.call("node.get_health")
        assert [each["uuid"] for each in health["quarantined"]] == [sick]
        for uuid in fleet.uuids[1:]:
            assert rpc.call("domain.get_stats", domain=uuid)["stats"]["cpu.time"] >= 0
        healthy_works(rpc)
        tell("uncrash")
        back = rpc.call("node.reattach", domain=sick)
        assert back["state"] == "running", "a crash of its actor never stops a guest"
        assert rpc.call("domain.get_stats", domain=sick)["stats"]["cpu.time"] > 0
        assert rpc.call("domain.suspend", domain=sick)["state"] == "paused"


def test_quarantined_domain_can_be_destroyed(node: NodeProcess) -> None:
    with node.connect() as rpc:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        sick = fleet.uuids[0]
        command = json.dumps({"execute": "test-crash", "arguments": {"verb": "*"}})
        rpc.call("domain.monitor_command", domain=sick, command=command)
        crash_until_quarantined(rpc, "domain.suspend", domain=sick)
        assert rpc.call("domain.destroy", domain=sick, grace_s=0)["state"] == "shutoff"
        healthy_works(rpc)


def test_a_bug_is_logged_once_with_its_trace(node: NodeProcess) -> None:
    with node.connect() as rpc:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        command = json.dumps({"execute": "test-crash", "arguments": {"verb": "stats"}})
        rpc.call("domain.monitor_command", domain=fleet.uuids[0], command=command)
        with pytest.raises(RpcError) as caught:
            rpc.call("domain.get_stats", domain=fleet.uuids[0])
        assert caught.value.code == "internal_error"
        incident = str(caught.value.error["details"]["incident"])
    wait_until(lambda: incident in node.log_text(), 5, "the incident in the log")
    assert "Traceback" in node.log_text()
    assert "test-crash: stats was told to crash" in node.log_text()


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with short_folder() as folder, NodeProcess(folder) as started:
        yield started.start()
