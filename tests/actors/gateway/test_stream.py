"""Streams: bytes both ways with credit, over a real pty and a socket pair."""

import os
import pty
import socket
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mechane.actors.gateway import Stream
from mechane.config.errors import Busy, ConnectionLost
from mechane.protocol.wire import Limits
from mechane.tests.actors.gateway.rig import Raw, Rig, running
from mechane.tests.support.wait import wait_until

CREDIT = 16384


class Device:
    """A descriptor for a stream, and the guest's end of it."""

    device = "serial0"

    def __init__(self, kind: str) -> None:
        self.closed = 0
        if kind == "pty":
            self.guest, self.fd = pty.openpty()  # as with QEMU, which holds the master
            tty.setraw(self.fd)
        else:
            ours, guest = socket.socketpair()
            self.fd, self.guest = ours.detach(), guest.detach()
        os.set_blocking(self.fd, False)

    @property
    def close(self) -> Callable[[], None]:
        return self._close

    def _close(self) -> None:
        self.closed += 1
        os.close(self.fd)

    def hang_up(self) -> None:
        if self.guest >= 0:
            os.close(self.guest)
            self.guest = -1


@pytest.fixture
def rig() -> Iterator[Rig]:
    with running(Limits(stream_credit_bytes=CREDIT, streams=2)) as rig:
        yield rig


@pytest.fixture(params=["pty", "socket"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    device = Device(request.param)
    yield device
    device.hang_up()


def opened(rig: Rig, device: Device) -> tuple[Raw, Stream]:
    client = rig.client()
    stream = rig.only_session().open_stream(device)
    assert (stream.id, stream.credit, stream.device) == (1, CREDIT, "serial0")
    stream.start()
    return client, stream


def close_of(client: Raw) -> Any:
    """Read on to the stream's end and return its error."""
    while True:
        message = client.receive()
        assert message is not None
        if message[1] == "stream.close":
            return message[2][0]["error"]


def test_bytes_both_ways(rig: Rig, device: Device) -> None:
    client, stream = opened(rig, device)
    client.send(2, "stream.data", [{"stream": 1, "data": b"ls\n"}])
    assert os.read(device.guest, 100) == b"ls\n"
    os.write(device.guest, b"bin etc")
    assert client.receive() == [2, "stream.data", [{"stream": 1, "data": b"bin etc"}]]
    client.send(2, "stream.close", [{"stream": 1}])
    assert close_of(client) is None
    wait_until(lambda: device.closed == 1, 10, "the channel's end")
    client.send(2, "stream.data", [{"stream": 1, "data": b"too late"}])  # was under way: no fault
    assert client.call(1, "session.ping")
    assert stream.ended and not rig.only_session().streams


def test_the_guest_hangs_up(rig: Rig, device: Device) -> None:
    client, _stream = opened(rig, device)
    os.write(device.guest, b"bye")
    assert client.receive() == [2, "stream.data", [{"stream": 1, "data": b"bye"}]]
    device.hang_up()
    assert close_of(client) is None
    wait_until(lambda: device.closed == 1, 10, "the channel's end")


def test_no_more_than_the_credit_comes(rig: Rig) -> None:
    device = Device("socket")
    client, _stream = opened(rig, device)
    os.set_blocking(device.guest, False)
    os.write(device.guest, b"x" * 40000)
    received = 0
    while received < CREDIT:
        message = client.receive()
        assert message is not None
        received += len(message[2][0]["data"])
    assert received == CREDIT
    assert client.call(1, "session.ping"), "nothing of the stream comes before more credit"
    device.hang_up()  # while the node may not read: it must neither spin nor lose the rest
    assert client.call(2, "session.ping")
    client.send(2, "stream.credit", [{"stream": 1, "bytes": 100000}])
    while True:
        message = client.receive()
        assert message is not None
        if message[1] == "stream.close":
            break
        received += len(message[2][0]["data"])
    assert received == 40000


def test_credit_is_granted_anew(rig: Rig, device: Device) -> None:
    client, _stream = opened(rig, device)
    client.send(2, "stream.data", [{"stream": 1, "data": b"y" * 2000}])
    client.send(2, "stream.data", [{"stream": 1, "data": b"y" * 3000}])
    read = 0
    while read < 5000:
        read += len(os.read(device.guest, 65536))
    message = client.receive()
    assert message is not None and message[1] == "stream.credit"
    granted = message[2][0]["bytes"]
    assert CREDIT // 4 <= granted <= 5000


def test_a_client_that_ignores_credit_loses_the_stream(rig: Rig) -> None:
    device = Device("pty")  # nobody reads: a pty holds some 4 KiB
    client, _stream = opened(rig, device)
    for _ in range(20):
        client.send(2, "stream.data", [{"stream": 1, "data": b"z" * 4096}])
    error = close_of(client)
    assert error["code"] == "protocol_error" and "allowed" in error["message"]
    wait_until(lambda: device.closed == 1, 10, "the channel's end")
    assert client.call(1, "session.ping"), "the session goes on"
    device.hang_up()


def test_what_was_sent_before_closing_is_written(rig: Rig, device: Device) -> None:
    client, _stream = opened(rig, device)
    data = bytes(range(256)) * 60
    client.send(2, "stream.data", [{"stream": 1, "data": data}])
    client.send(2, "stream.close", [{"stream": 1}])
    received = b""
    while len(received) < len(data):
        received += os.read(device.guest, 65536)
    assert received == data
    assert close_of(client) is None


def test_streams_end_with_the_session(rig: Rig, device: Device) -> None:
    client, stream = opened(rig, device)
    client.close()
    wait_until(lambda: device.closed == 1, 10, "the channel's end")
    assert stream.ended


def test_abort_tells_why(rig: Rig, device: Device) -> None:
    client, stream = opened(rig, device)
    stream.abort(Busy("taken over"))
    stream.abort(Busy("taken over"))
    assert close_of(client)["message"] == "taken over"
    wait_until(lambda: device.closed == 1, 10, "the channel's end")


def test_data_before_the_start_waits(rig: Rig) -> None:
    device = Device("socket")
    client = rig.client()
    stream = rig.only_session().open_stream(device)
    client.send(2, "stream.data", [{"stream": 1, "data": b"early"}])
    assert client.call(1, "session.ping")
    stream.start()
    assert os.read(device.guest, 100) == b"early"
    device.hang_up()


def test_too_many_streams(rig: Rig) -> None:
    devices = [Device("socket") for _ in range(3)]
    rig.client()
    session = rig.only_session()
    session.open_stream(devices[0])
    session.open_stream(devices[1])
    with pytest.raises(Busy):
        session.open_stream(devices[2])
    assert devices[2].closed == 1
    for device in devices:
        device.hang_up()


def test_no_stream_for_a_client_that_is_gone(rig: Rig) -> None:
    device = Device("socket")
    client = rig.client()
    session = rig.only_session()
    client.close()
    wait_until(lambda: session.closed, 10, "the end of the session")
    with pytest.raises(ConnectionLost):
        session.open_stream(device)
    assert device.closed == 1
    device.hang_up()


def test_a_client_that_does_not_read_stops_the_guest_not_the_node(rig: Rig) -> None:
    device = Device("socket")
    client, _stream = opened(rig, device)
    client.send(2, "stream.credit", [{"stream": 1, "bytes": 16 << 20}])
    assert client.call(1, "session.ping")
    os.set_blocking(device.guest, False)
    sent = 0
    other = rig.client()
    for number in range(400):
        try:
            sent += os.write(device.guest, b"x" * 65536)
        except BlockingIOError:
            assert other.call(number, "session.ping")
    session = min(rig.gateway.sessions(), key=lambda session: session.id)
    assert session.outbox_bytes() < 2 * session.limits.outbox_pause_bytes
    device.hang_up()
    received = 0
    while True:
        message = client.receive()
        assert message is not None
        if message[1] == "stream.close":
            break
        received += len(message[2][0]["data"])
    assert received == sent
