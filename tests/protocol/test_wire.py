"""Frames are MessagePack-RPC byte for byte, and the table of limits holds together."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import InvalidArgument, NoDomain, from_wire
from mechane.protocol import wire
from mechane.protocol.catalogue import load
from mechane.protocol.limits import Limits, limit_rows


@given(msgid=st.integers(0, 2**32 - 1), result=st.one_of(st.none(), st.text(), st.lists(st.integers(-5, 5))))
def test_response(msgid: int, result: object) -> None:
    assert msgpack.unpackb(wire.response_frame(msgid, wire.pack(result))) == [1, msgid, None, result]


def test_frames_by_hand() -> None:
    assert wire.response_frame(5, b"\xc3") == b"\x94\x01\xce\x00\x00\x00\x05\xc0\xc3"
    assert wire.request_frame(1, "a", {"b": 2}) == b"\x94\x00\x01\xa1a\x91\x81\xa1b\x02"
    assert wire.notification_frame("a", {"b": 2}) == b"\x93\x02\xa1a\x91\x81\xa1b\x02"
    assert wire.notification_frame_packed("a", wire.pack({"b": 2})) == wire.notification_frame("a", {"b": 2})


def test_error_survives_the_wire() -> None:
    error = NoDomain("no domain 'x'", remedy="list them", name="x", strange={1, 2}, path="\udcff", huge=1 << 80)
    kind, msgid, told, result = msgpack.unpackb(wire.error_frame(9, error))
    assert (kind, msgid, result) == (1, 9, None)
    back = from_wire(told)
    assert type(back) is NoDomain and back.message == error.message and back.details["name"] == "x"


def test_session_error() -> None:
    message = msgpack.unpackb(wire.session_error_frame(InvalidArgument("no")))
    assert message[:2] == [2, "session.error"] and message[2][0]["code"] == "invalid_argument"


@given(st.data())
def test_any_split_decodes_the_same(data: st.DataObject) -> None:
    words = data.draw(st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=300), max_size=3), max_size=5))
    stream = b"".join(wire.request_frame(number, "m", arguments) for number, arguments in enumerate(words))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=9)))
    decoder = wire.unpacker(65536, 512)
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[begin:end])
        found.extend(decoder)
    assert found == [(0, number, "m", (arguments,)) for number, arguments in enumerate(words)]


@given(st.binary(max_size=200))
def test_the_decoder_raises_nothing_unexpected(data: bytes) -> None:
    decoder = wire.unpacker(65536, 512)
    decoder.feed(data)
    with contextlib.suppress(ValueError, msgpack.UnpackException):  # what the gateway expects
        list(decoder)


def test_the_table_is_whole() -> None:
    rows = {row.name: row for row in limit_rows()}
    assert set(rows) == set(Limits().to_wire())
    for row in rows.values():
        assert row.doc and row.unit and row.lowest <= row.default <= row.highest, row.name
        assert row.read_only <= row.default


def test_every_kind_of_deadline_is_in_the_table() -> None:
    limits = Limits()
    for spec in load():
        assert limits.deadline_s(spec.deadline) > 0
    with pytest.raises(KeyError):
        limits.deadline_s("nonsense")


def test_the_read_only_socket_is_never_wider() -> None:
    tight = Limits().changed({"frame_bytes": 8192, "calls_in_flight": 3}).for_read_only()
    assert (tight.frame_bytes, tight.calls_in_flight) == (8192, 3)
    assert Limits().for_read_only().frame_bytes == 65536 and Limits().for_read_only().streams == 0


@pytest.mark.parametrize(
    "values", [{"nonsense": 1}, {"clients": 0}, {"clients": True}, {"clients": "5"}, {"clients": 1.5},
               {"half_frame_s": float("nan")}, {"xml_bytes": 1 << 30}],
)  # fmt: skip
def test_wrong_limits_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Limits().changed(values)
    assert caught.value.details["path"].startswith("limits")
    assert caught.value.details["allowed"]
