"""Acceptance 5 on a whole node: damaged messages and documents, and another client notices nothing."""

import contextlib
import random
from pathlib import Path

import pytest

from mechane.config.domain import check_define
from mechane.config.errors import XmlError
from mechane.tests.acceptance.attacks import attack_decoder, attack_documents
from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.actors.gateway.test_fuzz import corpus, mutated
from mechane.tests.config.samples import CONFORMANCE
from mechane.tests.config.test_fuzz import with_bytes_changed
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Gone, Rpc, RpcError

MESSAGES = 3000
DOCUMENTS = 300
GROWTH_KIB = 32 * 1024
HARMFUL = (b"node.disconnect_client", b"node.set_limits", b"node.set_workers")
"""Calls that are meant to be felt by others; they are damaged elsewhere."""


def resident_kib(node: NodeProcess) -> int:
    return int(Path(f"/proc/{node.pid}/statm").read_text().split()[1]) * 4


def test_arguments_are_fuzzed_as_well() -> None:
    sums = attack_decoder(1000, 3)
    assert sums["clients_refused"] > 100 and sums["arguments_accepted"] and sums["arguments_refused"], sums


@pytest.mark.skipif(not CONFORMANCE.exists(), reason="libvirt's samples are not there")
def test_documents_are_fuzzed_as_well() -> None:
    sums = attack_documents(300, 3)
    assert sums["refused"] > 100 and sums["taken"] + sums["refused"] == 300, sums


def test_damaged_messages_hurt_nobody_else() -> None:
    dice = random.Random(17)
    messages = [message for message in corpus() if not any(word in message for word in HARMFUL)]
    with running_node() as node, node.connect() as bystander:
        fleet = Fleet(node, 2)
        fleet.bring_up(bystander)
        settled = 0
        for number in range(MESSAGES):
            read_only = dice.random() < 0.3
            with node.connect(read_only=read_only) as attacker, contextlib.suppress(OSError):
                attacker.sock.sendall(mutated(dice, messages))
            if number % 100 == 0:
                assert bystander.call("domain.get_state", domain=fleet.uuids[0])["state"] == "running"
                assert bystander.call("domain.get_stats", domain=fleet.uuids[1])["stats"]["vcpu.current"] == 1
            if number == MESSAGES // 10:
                settled = resident_kib(node)
        assert resident_kib(node) - settled < GROWTH_KIB
        assert "Traceback" not in node.log_text()


def test_damaged_documents_leave_nothing() -> None:
    dice = random.Random(18)
    with running_node() as node, node.connect() as rpc:
        good = Fleet(node, 1).xml(0).encode()
        for _ in range(DOCUMENTS):
            define(rpc, with_bytes_changed(dice, good, good))
        for record in rpc.call("domain.list"):
            assert record["name"] in rpc.call("domain.get_xml", domain=record["uuid"])
            rpc.call("domain.undefine", domain=record["uuid"])
        assert rpc.call("domain.list") == []
        assert "Traceback" not in node.log_text()


def define(rpc: Rpc, xml: bytes) -> None:
    """Define a damaged domain; a refusal names a path."""
    before = {record["uuid"] for record in rpc.call("domain.list")}
    try:
        rpc.call("domain.define_xml", xml=xml.decode("utf-8", "replace"))
    except RpcError as error:
        assert error.code in {"xml_error", "config_unsupported", "domain_exists", "invalid_argument"}, error
        if error.code != "domain_exists":
            assert error.error["details"]["path"], error
        assert {record["uuid"] for record in rpc.call("domain.list")} == before
    except Gone as gone:
        raise AssertionError(f"the node closed the connection for its XML: {xml!r}") from gone


def test_a_value_split_by_an_element_is_refused() -> None:
    """Found by fuzzing: the first part was taken for the value, and both were written back."""
    with pytest.raises(XmlError, match="both sides"):
        check_define("<domain type='test'><name>a</name><memory>2<x/>3</memory></domain>")
