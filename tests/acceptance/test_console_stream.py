"""A console as a stream of bytes with credit, packed by hand: typed, echoed, cut short and hung up."""

from collections.abc import Iterator

import pytest

from mechane.tests.acceptance.fleet import Fleet
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    with running_node() as started:
        yield started


def hear(rpc: Rpc, stream: int, wanted: bytes) -> bytes:
    """Receive until `wanted` came, granting credit for what was taken."""
    heard = b""
    while wanted not in heard:
        data = rpc.notification("stream.data")
        assert data["stream"] == stream
        heard += data["data"]
        rpc.notify("stream.credit", stream=stream, bytes=len(data["data"]))
    return heard


def test_typing_at_a_console(node: NodeProcess) -> None:
    with node.connect() as rpc:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        opened = rpc.call("domain.open_console", domain=fleet.uuids[0])
        stream = opened["stream"]
        assert opened["credit"] > 0
        hear(rpc, stream, b"# ")
        rpc.notify("stream.data", stream=stream, data=b"echo hello\r")
        assert b"echo hello\r\nhello\r\n# " in hear(rpc, stream, b"\r\nhello\r\n# ")
        rpc.call("domain.destroy", domain=fleet.uuids[0], grace_s=0)
        assert rpc.notification("stream.close")["stream"] == stream


def test_a_console_holds_up_nothing(node: NodeProcess) -> None:
    """An open console, read by nobody, occupies no mailbox."""
    with node.connect() as rpc, node.connect() as idle:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        uuid = fleet.uuids[0]
        stream = idle.call("domain.open_console", domain=uuid)["stream"]
        idle.notify("stream.data", stream=stream, data=b"help\r" * 2000)
        assert rpc.call("domain.suspend", domain=uuid)["state"] == "paused"
        assert rpc.call("domain.resume", domain=uuid)["state"] == "running"
        assert rpc.call("domain.get_stats", domain=uuid)["stats"]["vcpu.current"] == 1


def test_a_client_that_vanishes_in_mid_stream_frees_the_console(node: NodeProcess) -> None:
    with node.connect() as rpc:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        uuid = fleet.uuids[0]
        victim = node.connect()
        stream = victim.call("domain.open_console", domain=uuid)["stream"]
        victim.notify("stream.data", stream=stream, data=b"help\r" * 500)
        victim.close()
        wait_until(lambda: opens(rpc, uuid), 10, "a free console")
        assert len(rpc.call("node.list_clients")) == 1


def opens(rpc: Rpc, uuid: str) -> bool:
    """Tell whether the console can be opened; it stays refused until the node noticed the hang-up."""
    try:
        rpc.call("domain.open_console", domain=uuid)
    except RpcError as error:
        assert error.code in {"busy", "operation_invalid"}, error
        return False
    return True


def test_a_console_is_taken_over_by_force(node: NodeProcess) -> None:
    with node.connect() as first, node.connect() as second:
        fleet = Fleet(node, 1)
        fleet.bring_up(first)
        uuid = fleet.uuids[0]
        stream = first.call("domain.open_console", domain=uuid)["stream"]
        with pytest.raises(RpcError):
            second.call("domain.open_console", domain=uuid)
        taken = second.call("domain.open_console", domain=uuid, force=True)["stream"]
        assert first.notification("stream.close")["stream"] == stream
        second.notify("stream.data", stream=taken, data=b"hostname\r")
        hear(second, taken, b"guest-0")


def test_an_unknown_device_is_named(node: NodeProcess) -> None:
    with node.connect() as rpc:
        fleet = Fleet(node, 1)
        fleet.bring_up(rpc)
        with pytest.raises(RpcError) as caught:
            rpc.call("domain.open_console", domain=fleet.uuids[0], device="serial7")
        assert caught.value.code == "not_found"
        assert "serial7" in caught.value.error["message"]
