"""What a kind lacks is answered `unsupported`, with the kinds that have it: each driver, each capability."""

from collections.abc import Iterator
from typing import Any

import pytest

from mechane.actors.connection.supervisor import drivers_with
from mechane.actors.domain.legality import RULES
from mechane.hypervisors.contract import Capability
from mechane.hypervisors.registry import driver_class
from mechane.hypervisors.uri import ConnectionUri
from mechane.protocol.catalogue import CallSpec, load
from mechane.tests.acceptance.arguments import arguments_for
from mechane.tests.acceptance.crowd import KindFleet, fleets, place
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.lxc, pytest.mark.timeout(120)]

KINDS = ("qemu", "lxc", "xen", "bhyve", "vz", "vbox", "vmwarews", "vmwareplayer", "test")
LIVE = {
    "domain.attach_device": Capability.HOTPLUG, "domain.detach_device": Capability.HOTPLUG,
    "domain.update_device": Capability.HOTPLUG, "domain.set_vcpus": Capability.VCPUS,
    "domain.set_memory": Capability.MEMORY,
    "connection.get_capabilities": Capability.DOMAIN_CAPABILITIES,
    "connection.get_domain_capabilities": Capability.DOMAIN_CAPABILITIES,
    "connection.get_cpu_models": Capability.CPU_MODELS,
    "connection.compare_cpu": Capability.CPU_MODELS, "connection.compare_hypervisor_cpu": Capability.CPU_MODELS,
    "connection.baseline_cpu": Capability.CPU_MODELS, "connection.baseline_hypervisor_cpu": Capability.CPU_MODELS,
}  # fmt: skip
"""Calls that need a capability in some cases only, or are not about a domain: not in the table of verbs."""
WITHOUT_CALLS = {
    Capability.STATS,  # without it statistics are what the node knows itself
    Capability.KEPT_STATE,  # without it undefine has nothing to ask about
    Capability.NATIVE_DEFINITIONS, Capability.MIGRATION, Capability.AGENT,
}  # fmt: skip
CALLS: dict[str, Capability] = LIVE | {
    verb: rule.capability for verb, rule in RULES.items() if rule.capability is not None and "." in verb
}
SPECS: dict[str, CallSpec] = {spec.name: spec for spec in load()}


class Everybody:
    """A node with a running guest of each kind."""

    def __init__(self, rpc: Rpc, all_fleets: dict[str, KindFleet]) -> None:
        self.rpc = rpc
        self.fleets = all_fleets

    def call(self, name: str, word: str) -> Any:
        """Make a call at the guest, or at the connection, of a kind."""
        fleet = self.fleets[word]
        known = {"live": True} if "live" in SPECS[name].arguments else {}
        arguments = arguments_for(SPECS[name], fleet.uuids[0], fleet.kind.uri, {})
        return self.rpc.call(name, **arguments, **known)


@pytest.fixture(scope="module")
def everybody() -> Iterator[Everybody]:
    with place(player=True) as found, found.node() as node, node.connect() as rpc:
        all_fleets = fleets(node, found, 1)
        for fleet in all_fleets.values():
            fleet.bring_up(rpc)
        yield Everybody(rpc, all_fleets)
        for fleet in all_fleets.values():
            uuid = fleet.uuids[0]
            rpc.call("domain.destroy", domain=uuid, grace_s=0)
            wait_until(lambda: rpc.call("domain.get_state", domain=uuid)["state"] == "shutoff", 10, "its end")  # noqa: B023


def lacking(word: str) -> list[str]:
    """Return the calls that a kind cannot serve, as its driver declares."""
    has = driver_class(ConnectionUri.parse(f"{word}:///")).capabilities
    return sorted(name for name, capability in CALLS.items() if capability not in has)


def test_every_capability_has_a_call_that_asks_for_it() -> None:
    assert set(CALLS.values()) | WITHOUT_CALLS == set(Capability)


@pytest.mark.parametrize(
    ("word", "name"), [(word, name) for word in KINDS for name in lacking(word)], ids=lambda part: str(part)
)
def test_what_a_kind_lacks_is_unsupported(everybody: Everybody, word: str, name: str) -> None:
    with pytest.raises(RpcError) as caught:
        everybody.call(name, word)
    assert caught.value.code == "unsupported", caught.value.error
    message = str(caught.value.error["message"])
    _, _, named = message.rpartition("; ")
    others = drivers_with(CALLS[name])
    assert named == f"{', '.join(others)} can"
    assert word not in others
    assert name in message
