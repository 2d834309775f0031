"""A node that has just started: calls wait for its connection to open instead of being sent away."""

from pathlib import Path

from mechane.tests.acceptance.fleet import MEMORY, uuid_of
from mechane.tests.support.node import running_node

SLOW = "test:///slow?delay_ms=1500"
"""Opening takes longer than the node waits before it listens."""


def test_calls_wait_for_a_connection_that_is_being_opened(short_tmp: Path) -> None:
    uuid = uuid_of(1)
    with running_node([SLOW]) as node, node.connect() as rpc:
        assert rpc.call("connection.get_info", connection=SLOW)["state"] == "opening"
        rpc.call("domain.define_xml", xml=MEMORY.format(name="early", uuid=uuid))
        assert node.stop() == 0
        node.start()
        with node.connect() as again:
            assert again.call("connection.get_info", connection=SLOW)["state"] == "opening"
            assert again.call("domain.start", domain=uuid)["state"] == "running"
            assert again.call("domain.destroy", domain=uuid, grace_s=0)["state"] == "shutoff"
