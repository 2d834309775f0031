"""Arguments that only a handler can judge: the error names the argument, says what to do, and nothing changes."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

XML = "<domain type='test'><name>{}</name><memory unit='MiB'>8</memory><os><type>hvm</type></os></domain>"


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node with two domains, one of which runs."""
    with running_node() as running:
        with running.connect() as client:
            for name in ("off", "on"):
                client.call("domain.define_xml", xml=XML.format(name))
            client.call("domain.start", domain="on")
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a fresh client."""
    with node.connect() as client:
        yield client


def refused(rpc: Rpc, method: str, **args: Any) -> dict[str, Any]:
    before = rpc.call("domain.list")
    with pytest.raises(RpcError) as caught:
        rpc.call(method, **args)
    assert rpc.call("domain.list") == before
    assert caught.value.code in ("invalid_argument", "xml_error")
    assert caught.value.error["remedy"]
    found: dict[str, Any] = caught.value.error["details"]
    return found


@pytest.mark.parametrize("name", ["", "  ", "a/b", "..", "a\nb", "x" * 300])
def test_a_name_that_cannot_be_one(rpc: Rpc, name: str) -> None:
    assert refused(rpc, "domain.rename", domain="off", new_name=name)["path"] == "params.new_name"


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ({"type": "title", "value": "two\nlines"}, "params.value"),
        ({"type": "description", "value": "bell \x07"}, "params.value"),
        ({"type": "element", "value": "<x/>", "uri": "urn:x"}, "params.key"),
        ({"type": "element", "value": "<x/>", "uri": "urn:x", "key": "a b"}, "params.key"),
        ({"type": "element", "value": "<x/>"}, "params.uri"),
        ({"type": "element", "value": "<x/>", "uri": "urn:\x07", "key": "x"}, "params.uri"),
    ],
)
@pytest.mark.parametrize("domain", ["off", "on"])
def test_metadata_that_cannot_be_stored(rpc: Rpc, domain: str, args: dict[str, Any], path: str) -> None:
    before = rpc.call("domain.get_xml", domain=domain)
    assert refused(rpc, "domain.set_metadata", domain=domain, **args)["path"] == path
    assert rpc.call("domain.get_xml", domain=domain) == before


def test_a_broken_metadata_element_is_told_from_a_broken_domain(rpc: Rpc) -> None:
    with pytest.raises(RpcError) as caught:
        rpc.call("domain.set_metadata", domain="off", type="element", value="<x>", uri="urn:x", key="x")
    assert (caught.value.code, caught.value.error["details"]["argument"]) == ("xml_error", "params.value")


def test_a_page_goes_on_behind_a_uuid_in_any_spelling(rpc: Rpc) -> None:
    first, second = rpc.call("domain.list")
    for after in (first["uuid"], first["uuid"].upper(), first["uuid"].replace("-", "")):
        assert rpc.call("domain.list", after=after) == [second]
    assert refused(rpc, "domain.list", after="web")["path"] == "params.after"


@pytest.mark.parametrize("method", ["domain.get_state", "domain.destroy", "domain.suspend"])
def test_a_call_for_another_node_is_not_done_here(rpc: Rpc, method: str) -> None:
    here = rpc.call("session.hello")["node"]
    assert refused(rpc, method, domain="on", node=here + "-not")["path"] == "params.node"
    assert rpc.call("domain.get_state", domain="on", node=here)["state"] == "running"


def taken(rpc: Rpc, call: str) -> bool:
    """Make a call that ends a start, or find that it has not begun."""
    try:
        rpc.call(call, domain="off")
    except RpcError as error:
        assert error.code == "operation_invalid"
        return False
    return True


def test_a_start_that_was_aborted_answers_cancelled(rpc: Rpc, node: NodeProcess) -> None:
    delay = {"execute": "test-delay", "arguments": {"verb": "start", "ms": 20000, "connection": True}}
    rpc.call("domain.monitor_command", domain="on", command=json.dumps(delay))
    try:
        with node.connect() as other:
            for call, why in (("domain.abort_job", "by abort_job"), ("domain.destroy", "destroyed")):
                pending = rpc.send("domain.start", domain="off")
                wait_until(lambda: other.call("domain.get_job_info", domain="off")["type"] != "none")
                wait_until(partial(taken, other, call))  # the job shows before the start can be ended
                with pytest.raises(RpcError) as cancelled:
                    rpc.answer(pending)
                assert cancelled.value.code == "cancelled", cancelled.value.error
                assert cancelled.value.error["message"].endswith(f" was cancelled: {why}")
                other.call("domain.wait", domain="off", states=["shutoff"], deadline_s=10)
    finally:
        undo = {"execute": "test-undelay", "arguments": {"connection": True}}
        rpc.call("domain.monitor_command", domain="on", command=json.dumps(undo))


def test_events_of_a_connection_that_is_not_there_are_not_waited_for(rpc: Rpc) -> None:
    with pytest.raises(RpcError) as caught:
        rpc.call("events.subscribe", connection="test:///other")
    assert caught.value.code == "no_connection"
    assert rpc.call("events.subscribe", connection="test:///default")["subscription"]
