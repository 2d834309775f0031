"""Calls that keep states and change devices, against a real node with the in-memory hypervisor."""

from collections.abc import Iterator

import pytest

from mechane.tests.actors.node.test_calls import code_of, domain, xml  # noqa: F401  # domain is a fixture
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give one node for the whole module."""
    with running_node() as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a fresh client."""
    with node.connect() as client:
        yield client


def test_a_saved_guest_is_restored_from_its_file(rpc: Rpc, node: NodeProcess, domain: str) -> None:  # noqa: F811
    path = str(node.folder / "guest.save")
    rpc.call("domain.start", domain=domain)
    assert code_of(rpc, "domain.save", domain=domain, path="relative") == "invalid_argument"
    saved = rpc.call("domain.save", domain=domain, path=path)
    assert (saved["state"], saved["reason"]) == ("shutoff", "saved")
    assert code_of(rpc, "domain.restore", domain=domain, path="/nowhere/at/all") == "operation_failed"
    restored = rpc.call("domain.restore", domain=domain, path=path)
    assert (restored["state"], restored["reason"]) == ("running", "restored")
    assert code_of(rpc, "domain.save", domain=domain, path=path) == "operation_failed"
    assert rpc.call("domain.get_state", domain=domain)["state"] == "running"


def test_snapshots_are_a_tree(rpc: Rpc, domain: str) -> None:  # noqa: F811
    rpc.call("domain.start", domain=domain)
    for name in ("one", "two"):
        rpc.call("domain.snapshot_create", domain=domain, name=name, description="kept")
    assert code_of(rpc, "domain.snapshot_create", domain=domain, name="one") == "conflict"
    assert code_of(rpc, "domain.snapshot_create", domain=domain, name="../up") == "invalid_argument"
    shown = {info["name"]: info for info in rpc.call("domain.snapshot_list", domain=domain)}
    assert (shown["two"]["parent"], shown["two"]["current"], shown["one"]["current"]) == ("one", True, False)
    rpc.call("domain.suspend", domain=domain)
    assert rpc.call("domain.snapshot_revert", domain=domain, name="one")["state"] == "running"
    rpc.call("domain.snapshot_delete", domain=domain, name="one")
    (left,) = rpc.call("domain.snapshot_list", domain=domain)
    assert (left["name"], left["parent"]) == ("two", "")
    assert code_of(rpc, "domain.snapshot_revert", domain=domain, name="one") == "not_found"


def test_devices_change_live_in_the_definition_or_both(rpc: Rpc, domain: str) -> None:  # noqa: F811
    rng = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
    assert code_of(rpc, "domain.attach_device", domain=domain, device=rng, live=True) == "operation_invalid"
    rpc.call("domain.start", domain=domain)
    rpc.call("domain.attach_device", domain=domain, device=rng)
    assert "<rng" in rpc.call("domain.get_xml", domain=domain)
    assert "<rng" not in rpc.call("domain.get_xml", domain=domain, inactive=True)
    rpc.call("domain.attach_device", domain=domain, device=rng, config=True)
    assert "<rng" in rpc.call("domain.get_xml", domain=domain, inactive=True)
    rpc.call("domain.detach_device", domain=domain, device=rng, live=True, config=True)
    for inactive in (False, True):
        assert "<rng" not in rpc.call("domain.get_xml", domain=domain, inactive=inactive)
    assert code_of(rpc, "domain.attach_device", domain=domain, device="<rng model='magic'/>") == "xml_error"


def test_sizes_follow_the_definition_once_the_guest_is_off(node: NodeProcess, rpc: Rpc) -> None:
    name = "resized"
    made = rpc.call("domain.define_xml", xml=xml(name))["uuid"]
    rpc.call("domain.start", domain=made)
    larger = xml(name, uuid=made).replace("<memory unit='MiB'>64", "<memory unit='MiB'>128")
    rpc.call("domain.define_xml", xml=larger)
    assert rpc.call("domain.get_info", domain=made)["max_memory_kib"] == 65536
    rpc.call("domain.set_autostart", domain=made, autostart=True)
    rpc.call("domain.set_autostart", domain=made, autostart=False)
    rpc.call("domain.destroy", domain=made)
    assert rpc.call("domain.get_info", domain=made)["max_memory_kib"] == 131072
    rpc.call("domain.set_vcpus", domain=made, count=1)
    assert rpc.call("domain.get_info", domain=made)["vcpus"] == 1
    node.stop()
    node.start()
    with node.connect() as again:
        info = again.call("domain.get_info", domain=made)
        assert (info["max_memory_kib"], info["vcpus"]) == (131072, 1)
        again.call("domain.undefine", domain=made)
