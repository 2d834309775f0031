"""Calls over the Unix sockets: answers, order, refusals, and who is who."""

import os
from collections.abc import Iterator

import pytest

from mechane.config.errors import Cancelled
from mechane.protocol.wire import Limits
from mechane.tests.actors.gateway.rig import CATALOGUE, Rig, running
from mechane.tests.support.wait import wait_until


@pytest.fixture
def rig() -> Iterator[Rig]:
    with running(Limits(calls_in_flight=2)) as rig:
        yield rig


def test_inline_answer(rig: Rig) -> None:
    client = rig.client()
    assert client.call(7, "session.ping", data="x") == ["session.ping", {"data": "x"}]
    assert client.call(4294967295, "session.ping") == ["session.ping", {}]


def test_pipelined_answers_come_in_order(rig: Rig) -> None:
    client = rig.client()
    for number in range(1000):
        client.request(number, "session.ping", data=str(number))
    for number in range(1000):
        assert client.receive() == [1, number, None, ["session.ping", {"data": str(number)}]]
    assert rig.only_session().calls == 1000


def test_answer_from_another_thread(rig: Rig) -> None:
    client = rig.client()
    client.request(1, "domain.wait")
    assert rig.handler.called.wait(10)
    assert client.call(2, "session.ping") == ["session.ping", {}]
    rig.handler.release()
    assert client.receive() == [1, 1, None, "done"]


def test_msgid_in_flight_is_refused(rig: Rig) -> None:
    client = rig.client()
    client.request(1, "domain.wait")
    client.request(1, "session.ping")
    message = client.receive()
    assert message is not None and message[1] == 1
    assert message[2]["code"] == "invalid_argument" and message[2]["details"]["path"] == "msgid"


def test_too_many_in_flight_is_busy(rig: Rig) -> None:
    client = rig.client()
    for msgid in (1, 2, 3):
        client.request(msgid, "domain.wait")
    message = client.receive()
    assert message is not None and message[1] == 3 and message[2]["code"] == "busy"
    assert message[2]["details"] == {"what": "calls_in_flight", "limit": 2}
    rig.handler.release()
    assert client.receive() == [1, 1, None, "done"]
    assert client.receive() == [1, 2, None, "done"]
    assert client.call(3, "session.ping")


def test_cancel_reaches_the_handler_for_calls_in_flight_only(rig: Rig) -> None:
    client = rig.client()
    client.request(1, "domain.wait")
    client.send(2, "cancel", [{"msgid": 1}])
    client.send(2, "cancel", [{"msgid": 9}])
    client.call(5, "session.ping")
    assert rig.handler.cancelled == [1]


def test_errors_of_the_handler(rig: Rig) -> None:
    client = rig.client()
    client.request(1, "node.get_info")
    message = client.receive()
    assert message is not None and message[2]["code"] == "operation_failed"
    assert message[2]["remedy"] == "ask tomorrow"
    client.request(2, "node.get_health")
    message = client.receive()
    assert message is not None and message[2]["code"] == "internal_error"
    assert client.call(3, "session.ping")


def test_read_only_socket_offers_only_what_reads(rig: Rig) -> None:
    client = rig.client("ro")
    client.request(1, "domain.destroy", domain="a")
    message = client.receive()
    assert message is not None and message[2]["code"] == "permission_denied"
    assert client.call(2, "domain.get_state", domain="a")
    assert client.call(3, "no.such_call")  # the handler says no_call
    session = rig.only_session()
    assert session.read_only and session.transport == "unix-ro"
    assert session.limits == Limits(calls_in_flight=2).for_read_only()
    assert not session.grants.may("domain:start", "qemu:///system", "a")
    assert session.grants.may("domain:read", "qemu:///system", "a")


def test_every_call_that_changes_is_refused_on_the_read_only_socket(rig: Rig) -> None:
    client = rig.client("ro")
    for msgid, spec in enumerate(CATALOGUE):
        if spec.name == "domain.wait":
            continue  # held back by the handler: it was let through
        client.request(msgid, spec.name)
        message = client.receive()
        assert message is not None
        refused = message[2] is not None and message[2]["code"] == "permission_denied"
        assert refused == (not spec.read_only), spec.name


def test_identity_is_what_the_kernel_says(rig: Rig) -> None:
    rig.client()
    identity = rig.only_session().identity
    assert (identity.uid, identity.gid, identity.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert set(identity.gids) <= set(os.getgroups()) | {os.getgid()}
    assert rig.only_session().grants.everything


def test_a_client_that_vanishes_in_mid_call(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    client.request(1, "domain.wait")
    assert rig.handler.called.wait(10)
    client.sock.sendall(b"\x94\x00")  # half a message
    client.close()
    wait_until(lambda: len(rig.gateway.sessions()) == 1, 10, "the end of the session")
    assert len(rig.handler.gone) == 1
    rig.handler.release()  # into the void
    assert other.call(1, "session.ping")


def test_disconnect_says_why_and_closes_once(rig: Rig) -> None:
    client = rig.client()
    session = rig.only_session()
    session.disconnect(Cancelled("closed by an administrator"))
    session.disconnect(None)
    assert client.last_error()["code"] == "cancelled"
    client.close()
    wait_until(lambda: not rig.gateway.sessions(), 10, "the end of the session")
    assert rig.handler.gone == [session.id]
    session.send(b"dropped")


def test_stop_ends_the_clients_and_the_thread() -> None:
    with running() as rig:
        client = rig.client()
        client.call(1, "session.ping")
        rig.gateway.stop(10)
        assert client.receive() is None
        assert not rig.gateway.alive()
        assert len(rig.handler.gone) == 1
