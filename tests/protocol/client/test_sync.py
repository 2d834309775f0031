"""The client for threads, against a small node on a real socket."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    MechaneError,
    NoDomain,
    OperationInvalid,
    OutcomeUnknown,
)
from mechane.protocol.client import deadlines
from mechane.protocol.client.address import socket_path
from mechane.protocol.client.sync import Client, connect
from mechane.tests.protocol.client.peer import Peer
from mechane.tests.support.wait import wait_until


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    with connect(peer.path) as client:
        yield client


def test_typed_calls_and_handles(client: Client) -> None:
    assert client.session.ping("x") == "x"
    assert client.domain.get_state("web")["state"] == "shutoff"
    web = client.lookup("web")
    assert web.start(paused=True)["state"] == "paused"
    assert web.state == "paused"
    assert [domain.name for domain in client.domains()] == ["web"]
    assert web.destroy()["reason"] == "destroyed"
    assert client.hello["node"] == "peer"


def test_errors_are_the_nodes_own(client: Client) -> None:
    with pytest.raises(NoDomain) as caught:
        client.domain.start("nobody")
    assert caught.value.remedy
    assert caught.value.details == {"domain": "nobody"}
    client.domain.start("web")
    with pytest.raises(OperationInvalid):
        client.domain.start("web")


def test_what_cannot_be_sent_is_refused_before(client: Client) -> None:
    with pytest.raises(InvalidArgument):
        client.call("session.ping", {"data": object()})
    with pytest.raises(InvalidArgument):
        client.session.ping("\ud800")
    with pytest.raises(InvalidArgument):
        client.pipeline([("session.ping", {}), ("session.ping", {"data": 1 << 70})])
    assert client.session.ping("well") == "well"


def test_many_threads_share_one_connection(client: Client, peer: Peer) -> None:
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for turn in range(200):
            text = f"{number}-{turn}"
            if client.session.ping(text) != text:
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert peer.calls["session.ping"] == 1600
    assert len(peer.clients) == 1


def test_a_held_call_blocks_no_other_thread(client: Client, peer: Peer) -> None:
    peer.hold.add("domain.wait")
    outcome: list[MechaneError] = []

    def wait() -> None:
        try:
            client.domain.wait("web", ["running"], deadline_s=30)
        except MechaneError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: peer.calls["domain.wait"])
    for _ in range(50):
        assert client.session.ping("a") == "a"
    peer.stop()
    thread.join(10)
    assert isinstance(outcome[0], ConnectionLost)


def test_the_clients_own_deadline_cancels(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "MARGIN_S", 0.0)
    peer.hold.add("domain.start")
    with pytest.raises(DeadlineExceeded):
        client.domain.start("web", deadline_s=0.05)
    wait_until(lambda: peer.cancelled)
    assert client.session.ping("on") == "on"


def test_deadlines_are_learnt_from_hello(client: Client) -> None:
    assert client.hello["limits"]["deadline_query_s"] == 5.0
    assert client._deadlines.of("session.ping", None) == 5.0 + deadlines.MARGIN_S
    assert client._deadlines.of("session.ping", 2.0) == 2.0 + deadlines.MARGIN_S
    assert client._deadlines.of("future.call", None) == deadlines.UNKNOWN_S


def test_pipeline_keeps_the_order(client: Client) -> None:
    calls = [("session.ping", {"data": str(number)}) for number in range(1000)]
    assert client.pipeline(calls) == [str(number) for number in range(1000)]


def test_pipeline_with_errors(client: Client) -> None:
    calls = [("domain.lookup", {"domain": name}) for name in ("web", "nobody", "web")]
    found, missing, again = client.pipeline(calls, raise_errors=False)
    assert found["name"] == again["name"] == "web"
    assert isinstance(missing, NoDomain)
    with pytest.raises(NoDomain):
        client.pipeline(calls)


def test_pipelines_and_calls_of_several_threads(client: Client) -> None:
    results: dict[int, list[Any]] = {}

    def pipe(number: int) -> None:
        calls = [("session.ping", {"data": f"{number}-{turn}"}) for turn in range(500)]
        results[number] = client.pipeline(calls)

    threads = [threading.Thread(target=pipe, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        assert client.session.ping("one") == "one"
    for thread in threads:
        thread.join(30)
    assert results == {n: [f"{n}-{turn}" for turn in range(500)] for n in range(4)}


def test_idempotent_calls_survive_a_lost_connection(client: Client, peer: Peer) -> None:
    peer.hang_up_on.append("domain.get_state")
    assert client.domain.get_state("web")["state"] == "shutoff"
    assert peer.calls["domain.get_state"] == 2


def test_changes_are_never_sent_twice(client: Client, peer: Peer) -> None:
    peer.hang_up_on.append("domain.start")
    with pytest.raises(OutcomeUnknown):
        client.domain.start("web")
    assert peer.calls["domain.start"] == 1


def test_a_change_that_was_never_sent_goes_over_a_new_connection(client: Client, peer: Peer) -> None:
    assert client.session.ping("a") == "a"
    peer.stop()
    peer.start()
    assert client.domain.start("web")["state"] == "running"
    assert peer.calls["domain.start"] == 1


def test_pipeline_over_a_lost_connection(client: Client, peer: Peer) -> None:
    peer.hang_up_on.append("domain.get_state")
    calls = [("session.ping", {"data": "1"}), ("domain.get_state", {"domain": "web"}), ("session.ping", {})]
    first, state, last = client.pipeline(calls)
    assert (first, state["state"], last) == ("1", "shutoff", "")
    peer.hang_up_on.append("domain.start")
    results = client.pipeline([("domain.start", {"domain": "web"})], raise_errors=False)
    assert isinstance(results[0], OutcomeUnknown)


def test_no_node(short_tmp: Path) -> None:
    with pytest.raises(ConnectionLost) as caught:
        connect(short_tmp / "nothing")
    assert "mechaned" in caught.value.remedy


def test_a_closed_client_says_so(peer: Peer) -> None:
    client = connect(peer.path)
    client.close()
    client.close()
    with pytest.raises(ConnectionLost, match="closed"):
        client.session.ping()


def test_long_socket_path(short_tmp: Path) -> None:
    deep = short_tmp / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (short_tmp / "n").symlink_to(deep)
    peer = Peer(short_tmp / "n" / "s")
    try:
        with connect(deep / "s") as client:
            assert client.session.ping("far") == "far"
    finally:
        peer.stop()


def test_socket_path(peer: Peer, monkeypatch: pytest.MonkeyPatch, short_tmp: Path) -> None:
    monkeypatch.setenv("MECHANE_SOCKET", str(peer.path))
    with connect() as client:
        assert client.session.ping("env") == "env"
    monkeypatch.delenv("MECHANE_SOCKET")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_tmp))
    (short_tmp / "mechane").mkdir()
    (short_tmp / "mechane" / "mechane.sock").symlink_to(peer.path)
    with connect() as client:
        assert client.session.ping("user") == "user"
    assert socket_path(read_only=True) == f"{short_tmp}/mechane/mechane-ro.sock"
    monkeypatch.setenv("MECHANE_SOCKET", "/other/mechane.sock")
    assert socket_path(read_only=True) == "/other/mechane-ro.sock"
    assert socket_path("/named/mechane.sock") == "/named/mechane.sock"
    for named in ("/named/mechane.sock", "/named/another.sock", "/named/mechane-ro.sock"):
        assert socket_path(named, read_only=True) == "/named/mechane-ro.sock"
    assert socket_path("mechane.sock", read_only=True) == "mechane-ro.sock"


def test_an_interrupt_cancels_at_the_node(client: Client, peer: Peer) -> None:
    peer.hold.add("domain.start")

    def interrupt() -> None:
        wait_until(lambda: peer.calls["domain.start"])
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.domain.start("web")
        wait_until(lambda: False, 5)  # the signal may come late
    thread.join(10)
    wait_until(lambda: peer.cancelled)
    assert client.session.ping("on") == "on"


def test_garbage_from_the_node_breaks_the_connection(client: Client, peer: Peer) -> None:
    peer.hold.add("domain.start")

    def spoil() -> None:
        wait_until(lambda: peer.calls["domain.start"])
        peer.clients[0].sock.sendall(b"\xc1\xc1\xc1")

    thread = threading.Thread(target=spoil)
    thread.start()
    with pytest.raises(OutcomeUnknown, match="not the protocol"):
        client.domain.start("web")
    thread.join(10)
    assert client.session.ping("on") == "on"


def test_late_calls_never_strand_the_others(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "MARGIN_S", 0.0)
    peer.hold.add("domain.wait")
    late: list[int] = []

    def be_late() -> None:
        for number in range(40):
            with pytest.raises(DeadlineExceeded):
                client.domain.wait("web", ["running"], deadline_s=0.0005 * (number % 5))
            late.append(number)

    def be_quick() -> None:
        for number in range(300):
            assert client.session.ping(str(number)) == str(number)

    threads = [threading.Thread(target=run) for run in (be_late, be_quick) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(late) == 160
    assert not client._link._pending  # type: ignore[union-attr]
    assert not client._link._followers  # type: ignore[union-attr]


def test_connections_that_break_all_the_time_strand_nobody(client: Client, peer: Peer) -> None:
    done: list[str] = []
    stop = threading.Event()

    def ask(name: str) -> None:
        for number in range(100):
            with contextlib.suppress(ConnectionLost):  # broken twice in one call
                client.session.ping(f"{name}{number}")
        done.append(name)

    def spoil() -> None:
        while not stop.wait(0.005):
            for served in list(peer.clients):
                served.hang_up()

    spoiler = threading.Thread(target=spoil)
    threads = [threading.Thread(target=ask, args=(name,)) for name in "abcd"]
    for thread in (spoiler, *threads):
        thread.start()
    for thread in threads:
        thread.join(30)
    stop.set()
    spoiler.join(10)
    assert sorted(done) == list("abcd")
    assert client.session.ping("well") == "well"
