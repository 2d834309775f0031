"""A guest that floods events from inside: others keep their calls, and their place in the journal."""

import os
from typing import Any

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc
from mechane.tests.support.wait import wait_until

FLOOD = b"\xba\x05\x05\xb0\x02\xee\xeb\xfd"
"""mov dx,0x505; mov al,2; l: out dx,al; jmp l: an event GUEST_CRASHLOADED for each turn (docs/specs/pvpanic.txt)."""
MOST_TOLD = 600
"""Of a flood of 40,000 a second: 50 at once and nine a second afterwards, for a minute at most."""


def noisy_xml(node: NodeProcess) -> str:
    """Return the definition of the guest that floods."""
    folder = node.folder / "img"
    folder.mkdir(mode=0o755)
    image = folder / "flood.raw"
    image.write_bytes(FLOOD.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    image.chmod(0o666)
    source = f"<driver name='qemu' type='raw'/><source file='{image}'/><target dev='hda' bus='ide'/>"
    disk = f"<disk type='file'>{source}</disk><panic model='isa'/>"
    return idle_xml("noisy").replace("</devices>", f"{disk}</devices>")


def crashes(rpc: Rpc) -> list[dict[str, Any]]:
    """Return the events of the flood that are in the journal."""
    return [event for event in rpc.call("events.list", limit=10000) if event["detail"] == "crashloaded"]


@pytest.mark.qemu
@pytest.mark.skipif(os.geteuid() != 0, reason="qemu:///system needs root")
def test_a_flood_from_inside_a_guest_is_folded_and_hurts_nobody() -> None:
    with running_node(["qemu:///system"]) as node, node.connect() as rpc:
        node.folder.chmod(0o755)
        quiet = rpc.call("domain.define_xml", xml=idle_xml("quiet"))["uuid"]
        rpc.call("domain.start", domain=quiet)
        loud = rpc.call("domain.define_xml", xml=noisy_xml(node))["uuid"]
        rpc.call("domain.start", domain=loud)
        wait_until(lambda: any("folded" in event["data"] for event in crashes(rpc)), 40, "a folded event")
        for _ in range(20):
            assert rpc.call("domain.monitor_command", domain=quiet, command='{"execute":"query-status"}')
        told = crashes(rpc)
        counts = [event["data"]["folded"] for event in told if "folded" in event["data"]]
        assert len(told) < MOST_TOLD and sum(counts) > len(told), "the flood is told event by event"
        others = [event for event in rpc.call("events.list", limit=10000) if event.get("uuid") == quiet]
        assert others, "what was before the flood is gone"
        rpc.call("domain.destroy", domain=loud, grace_s=0)
        assert rpc.call("domain.get_state", domain=quiet)["state"] == "running"
