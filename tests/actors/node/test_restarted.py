"""What a node that was killed still knows of the guests that it takes up."""

from collections.abc import Iterator

import pytest

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    """Give a node whose in-memory guests outlive it, as real ones do."""
    with short_folder() as folder, NodeProcess(folder, [f"test:///default?state={folder / 'guests'}"]) as node:
        yield node.start()


def xml(name: str, mib: int = 64) -> str:
    return (
        f"<domain type='test'><name>{name}</name><title>The {name}</title><memory unit='MiB'>{mib}</memory>"
        "<vcpu>3</vcpu><os><type>hvm</type></os></domain>"
    )


def test_size_and_title_of_what_runs(node: NodeProcess) -> None:
    with node.connect() as rpc:
        rpc.call("domain.create_xml", xml=xml("passing"))
        rpc.call("domain.define_xml", xml=xml("undefined"))
        made = rpc.call("domain.define_xml", xml=xml("redefined"))
        for name in ("undefined", "redefined"):
            rpc.call("domain.start", domain=name)
        rpc.call("domain.undefine", domain="undefined")
        rpc.call("domain.set_metadata", domain="passing", type="title", value="Another title")
        larger = xml("redefined", 128).replace("<title>", f"<uuid>{made['uuid']}</uuid><title>")
        rpc.call("domain.define_xml", xml=larger)
        before = {name: rpc.call("domain.get_info", domain=name) for name in ("passing", "undefined", "redefined")}
    node.kill()
    node.start()
    known = ("name", "title", "state", "id", "persistent", "max_memory_kib", "memory_kib", "vcpus", "incarnation")
    with node.connect() as rpc:
        for name, info in before.items():
            after = rpc.call("domain.get_info", domain=name)
            assert {key: after[key] for key in known} == {key: info[key] for key in known}
        assert (before["passing"]["title"], before["redefined"]["memory_kib"]) == ("Another title", 65536)
        rpc.call("domain.destroy", domain="redefined")
        assert rpc.call("domain.get_info", domain="redefined")["memory_kib"] == 131072


def test_a_guest_that_was_to_end_with_its_client_ends_after_a_kill_of_the_node(node: NodeProcess) -> None:
    with node.connect() as rpc:
        for name in ("mine", "kept"):
            rpc.call("domain.define_xml", xml=xml(name))
        rpc.call("domain.create_xml", xml=xml("passing"), autodestroy=True)
        rpc.call("domain.start", domain="mine", autodestroy=True)
        rpc.call("domain.start", domain="kept")
        node.kill()
    node.start()
    with node.connect() as rpc:
        ended = rpc.call("domain.wait", domain="mine", states=["shutoff"], deadline_s=20)
        assert ended["reason"] == "destroyed"
        left = {"mine": "shutoff", "kept": "running"}
        wait_until(lambda: {record["name"]: record["state"] for record in rpc.call("domain.list")} == left)
