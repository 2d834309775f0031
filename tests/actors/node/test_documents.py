"""The documents of a domain that runs: what the guest was started with, and what its next start takes."""

from collections.abc import Iterator

import pytest

from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc
from mechane.tests.support.wait import wait_until

UUID = "5b0f8d2e-6d2f-4a5f-9c55-0f3b1b8f0a01"
ELEMENT = "<app><tier/></app>"
URI = "urn:example:app"


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give one node for the whole module."""
    with running_node() as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a client, and take away the domain that its test leaves."""
    with node.connect() as client:
        yield client
        for record in client.call("domain.list"):
            if record["state"] != "shutoff":
                client.call("domain.destroy", domain=record["uuid"], grace_s=0)
            if record["persistent"]:
                client.call("domain.undefine", domain=record["uuid"])


def xml(mib: int) -> str:
    return (
        f"<domain type='test'><name>web</name><uuid>{UUID}</uuid><memory unit='MiB'>{mib}</memory>"
        "<vcpu>1</vcpu><os><type>hvm</type></os></domain>"
    )


def memory(rpc: Rpc, *, inactive: bool) -> int:
    shown = rpc.call("domain.get_xml", domain=UUID, inactive=inactive)
    return int(shown.partition("<memory unit='KiB'>")[2].partition("<")[0]) // 1024


def test_a_definition_changed_under_a_running_guest_is_that_of_its_next_start(rpc: Rpc) -> None:
    rpc.call("domain.define_xml", xml=xml(64))
    rpc.call("domain.start", domain=UUID)
    rpc.call("domain.define_xml", xml=xml(128))
    assert (memory(rpc, inactive=False), memory(rpc, inactive=True)) == (64, 128)
    rpc.call("domain.destroy", domain=UUID)
    assert (memory(rpc, inactive=False), memory(rpc, inactive=True)) == (128, 128)


def test_a_guest_that_was_undefined_keeps_the_document_it_was_started_with(rpc: Rpc) -> None:
    rpc.call("domain.define_xml", xml=xml(64))
    rpc.call("domain.start", domain=UUID)
    rpc.call("domain.define_xml", xml=xml(128))
    rpc.call("domain.undefine", domain=UUID)
    assert (memory(rpc, inactive=False), memory(rpc, inactive=True)) == (64, 64)


def test_the_inactive_document_of_a_transient_guest_is_no_live_one(rpc: Rpc) -> None:
    rpc.call("domain.create_xml", xml=xml(64))
    assert "<domain type='test' id=" in rpc.call("domain.get_xml", domain=UUID)
    assert "id=" not in rpc.call("domain.get_xml", domain=UUID, inactive=True)


@pytest.mark.parametrize("transient", [False, True])
def test_metadata_of_a_running_guest_shows_in_both_documents(rpc: Rpc, transient: bool) -> None:
    if transient:
        rpc.call("domain.create_xml", xml=xml(64))
    else:
        rpc.call("domain.define_xml", xml=xml(64))
        rpc.call("domain.start", domain=UUID)
    rpc.call("domain.set_metadata", domain=UUID, type="title", value="The web")
    rpc.call("domain.set_metadata", domain=UUID, type="element", value=ELEMENT, uri=URI, key="app")
    for inactive in (False, True):
        shown = rpc.call("domain.get_xml", domain=UUID, inactive=inactive)
        assert "<title>The web</title>" in shown, inactive
        assert f"<app:app xmlns:app='{URI}'>" in shown, inactive
    assert rpc.call("domain.lookup", domain=UUID)["title"] == "The web"
    rpc.call("domain.set_metadata", domain=UUID, type="title", value=None)
    for inactive in (False, True):
        assert "<title>" not in rpc.call("domain.get_xml", domain=UUID, inactive=inactive)


def test_who_does_not_read_gets_no_further_documents_made(node: NodeProcess, rpc: Rpc) -> None:
    size, calls = 200_000, 100
    rpc.call("domain.define_xml", xml=xml(64).replace("<vcpu>", f"<description>{'z' * size}</description><vcpu>"))
    with node.connect() as lazy:
        numbers = [lazy.send("domain.get_xml", domain=UUID, deadline_s=60) for _ in range(calls)]
        me = wait_until(lambda: [c for c in rpc.call("node.list_clients") if c["outbox_bytes"]])[0]

        def now() -> dict[str, int]:
            found: dict[str, int] = rpc.call("node.get_client", client=me["id"])
            return found

        limit = rpc.call("session.hello")["limits"]["outbox_pause_bytes"]
        wait_until(lambda: now()["outbox_bytes"] > limit)
        for _ in range(20):  # what waits is not worked on, while others are served
            assert len(rpc.call("domain.get_xml", domain=UUID)) > size
            assert limit < now()["outbox_bytes"] < limit + 2 * size
        assert all(len(lazy.answer(number)) > size for number in numbers)
