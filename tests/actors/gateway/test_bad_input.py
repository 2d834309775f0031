"""Garbage, wrong shapes, oversized and half messages: one client ends, nobody else notices."""

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mechane.protocol.wire import Limits, request_frame
from mechane.tests.actors.gateway.rig import Clock, Raw, Rig, running

WRONG_SHAPES: list[object] = [
    7, None, "text", {}, [], [0], [0, 1, "m"], [0, 1, "m", {}], [0, 1, "m", [1]], [0, 1, "m", [{}, {}]],
    [0, -1, "m", []], [0, 1 << 32, "m", []], [0, "1", "m", []], [0, True, "m", []], [0, 1, b"m", []],
    [False, 1, "m", []], [1, 1, None, "answer"], [3, 1, "m", []], [2, "cancel", []], [2, "cancel", [{}]],
    [2, "cancel", [{"msgid": "1"}]], [2, "unheard.of", [{}]], [2, 5, [{}]], [2, "stream.data", [{"stream": 1}]],
    [2, "stream.close", [{"stream": 99}]], [0, 1, "m", [], 5], [1.0, 1, "m", []],
]  # fmt: skip

BAD_BYTES = [
    b"\xc1", b"\x91" * 3000, b"\x94\x00\x01\xa2\xff\xff\x90", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xd4\x01\x02", b"\xc7\x0c\xff" + b"\0" * 12, b"\x81\x01\x02", b"\x81\x80\x01",
    b"GET / HTTP/1.1\r\n\r\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def rig():  # type: ignore[no-untyped-def]  # a generator fixture of pytest
    with running(Limits(frame_bytes=65536)) as rig:
        yield rig


@pytest.mark.parametrize("message", WRONG_SHAPES, ids=repr)
def test_wrong_shapes(rig: Rig, message: object) -> None:
    client = rig.client()
    client.sock.sendall(request_frame(1, "session.ping", {}) + msgpack.packb(message))
    assert client.receive() == [1, 1, None, ["session.ping", {}]], "what came before is answered"
    assert client.last_error()["code"] == "protocol_error"


@pytest.mark.parametrize("data", BAD_BYTES, ids=lambda data: data[:6].hex())
def test_bad_bytes(rig: Rig, data: bytes) -> None:
    bystander = rig.client()
    client = rig.client()
    client.sock.sendall(data)
    assert client.last_error()["code"] == "protocol_error"
    assert bystander.call(1, "session.ping")


def nested(depth: int) -> object:
    value: object = 1
    for number in range(depth):
        value = [value] if number % 2 else {"k": value}
    return value


def test_depth(rig: Rig) -> None:
    client = rig.client()
    assert client.call(1, "session.ping", data=nested(32))
    client.request(2, "session.ping", data=nested(33))
    assert "32 levels" in client.last_error()["message"]


def frame_of(size: int) -> bytes:
    """Return a request of exactly so many bytes."""
    overhead = len(request_frame(1, "session.ping", {"data": "x" * 60000})) - 60000
    return request_frame(1, "session.ping", {"data": "x" * (size - overhead)})


def test_frame_limit_is_exact(rig: Rig) -> None:
    client = rig.client()
    client.sock.sendall(frame_of(65535))
    assert client.receive() is not None
    client.sock.sendall(frame_of(65536))
    assert client.receive() is not None
    client.sock.sendall(frame_of(65537))
    assert client.last_error()["details"]["limit"] == 65536


def test_a_message_that_never_ends_is_not_kept(rig: Rig) -> None:
    client = rig.client()
    client.sock.sendall(b"\x94\x00\x01\xa1m" + b"\x91\x81\xa1a")
    item = b"\x92" + msgpack.packb("x" * 1000)
    with pytest.raises(AssertionError, match="refused"):
        for _ in range(1000):
            try:
                client.sock.sendall(item)
            except OSError:
                break
        assert client.last_error()["details"]["limit"] == 65536
        raise AssertionError("refused")


def test_half_a_message_ends_after_its_time() -> None:
    clock = Clock()
    with running(Limits(half_frame_s=30), clock) as rig:
        client, other = rig.client(), rig.client()
        client.sock.sendall(request_frame(1, "session.ping", {}) + b"\x94\x00")
        assert client.receive()
        assert other.call(0, "session.ping")  # the turn that began the time is over
        clock.now += 29
        client.sock.sendall(b"\x02")  # still not whole: the time goes on from the first byte
        assert other.call(1, "session.ping")
        clock.now += 1.5
        other.call(2, "session.ping")  # wakes the loop
        assert "not complete" in client.last_error()["message"]
        assert other.call(3, "session.ping")


def test_a_whole_message_stops_the_time() -> None:
    clock = Clock()
    with running(Limits(half_frame_s=30), clock) as rig:
        client = rig.client()
        frame = request_frame(1, "session.ping", {})
        client.sock.sendall(frame + frame[:3])
        assert client.receive()
        client.sock.sendall(frame[3:])
        assert client.receive()
        clock.now += 60
        assert client.call(2, "session.ping")
        clock.now += 60
        assert client.call(3, "session.ping")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=300))
def test_garbage_never_hurts_another_client(rig: Rig, data: bytes) -> None:
    bystander = steady(rig)
    client = Raw.unix(rig.folder / "rw")
    client.sock.sendall(data)
    client.sock.shutdown(1)
    while client.receive() is not None:
        pass
    client.close()
    assert bystander.call(1, "session.ping", data="still here")


def steady(rig: Rig) -> Raw:
    """Return one client that lives through all examples."""
    if not hasattr(rig, "steady"):
        rig.steady = rig.client()  # type: ignore[attr-defined]  # kept beside the rig for this module
    return rig.steady  # type: ignore[attr-defined,no-any-return]


MESSAGES = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=4)),
    min_size=1, max_size=8, unique_by=lambda pair: pair[0],
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, data=st.data())
def test_any_split_gives_the_same_messages(
    rig: Rig, messages: list[tuple[int, dict[str, str]]], data: st.DataObject
) -> None:
    stream = b"".join(request_frame(msgid, "session.ping", arguments) for msgid, arguments in messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    client = Raw.unix(rig.folder / "rw")
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        client.sock.sendall(stream[begin:end])
    for msgid, arguments in messages:
        assert client.receive() == [1, msgid, None, ["session.ping", arguments]]
    client.close()
