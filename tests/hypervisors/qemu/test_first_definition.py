"""The first definition on a new node is filled in as all later ones are: its emulator is probed for it."""

import os
from pathlib import Path

import pytest

from mechane.tests.support.node import running_node

pytestmark = [pytest.mark.qemu]
EMULATOR = "/usr/bin/qemu-system-x86_64"


@pytest.mark.parametrize("named", [True, False], ids=["named", "left out"])
def test_the_first_definition_has_its_addresses(named: bool) -> None:
    emulator = f"<emulator>{EMULATOR}</emulator>" if named else ""
    xml = (
        "<domain type='qemu'><name>first</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
        f"{emulator}<interface type='user'><model type='virtio'/></interface></devices></domain>"
    )
    with running_node(connections=("qemu:///system",)) as node, node.connect() as rpc:
        uuid = rpc.call("domain.define_xml", xml=xml)["uuid"]  # at once: nothing was probed yet
        stored = rpc.call("domain.get_xml", domain=uuid, inactive=True)
        interface = stored.partition("<interface")[2].partition("</interface>")[0]
        assert "<address type='pci'" in interface
        assert "machine='pc-i440fx-" in stored


@pytest.mark.skipif(not Path("/usr/bin/kvm").exists(), reason="Debian's wrapper kvm is not there")
@pytest.mark.skipif(os.geteuid() != 0, reason="qemu:///system needs root")
def test_a_wrapper_of_an_emulator_is_probed_too() -> None:
    xml = (
        "<domain type='qemu'><name>wrapped</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/kvm</emulator>"
        "<interface type='user'><model type='virtio'/></interface></devices></domain>"
    )
    with running_node(connections=("qemu:///system",)) as node, node.connect() as rpc:
        uuid = rpc.call("domain.define_xml", xml=xml)["uuid"]
        assert "<address type='pci'" in rpc.call("domain.get_xml", domain=uuid, inactive=True)
