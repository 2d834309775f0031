"""Events and consoles through the client for threads."""

import threading
from collections.abc import Iterator

import pytest

from mechane.config.errors import ConnectionLost, DeadlineExceeded, NoStream
from mechane.protocol.client import events as events_module
from mechane.protocol.client.sync import Client, connect
from mechane.tests.protocol.client.peer import Peer
from mechane.tests.support.wait import wait_until


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    with connect(peer.path) as client:
        yield client


def test_events_come_in_order_beside_calls(client: Client, peer: Peer) -> None:
    with client.events(timeout_s=5) as events:
        client.domain.start("web")
        client.domain.destroy("web")
        assert [next(events)["event"], next(events)["event"]] == ["started", "stopped"]
        with pytest.raises(DeadlineExceeded):
            events.next(0.01)
    wait_until(lambda: peer.calls["events.unsubscribe"])


def test_events_resume_after_a_restart_without_loss(client: Client, peer: Peer) -> None:
    with client.events(timeout_s=10) as events:
        peer.emit("one")
        assert next(events)["event"] == "one"
        peer.emit("two")
        peer.stop()
        peer.emit("three")
        peer.start()
        peer.emit("four")
        assert [next(events)["event"] for _ in range(3)] == ["two", "three", "four"]


def test_a_gap_is_delivered(client: Client, peer: Peer) -> None:
    peer.emit("one")
    peer.emit("two")
    peer.forgotten, peer.events = 2, []
    with client.events(since="peer.1.0", timeout_s=5) as events:
        assert next(events)["kind"] == "gap"
        peer.emit("three")
        assert next(events)["event"] == "three"


def test_a_slow_consumer_is_resumed(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MOST_WAITING", 5)
    with client.events(timeout_s=5) as events:
        for number in range(20):
            peer.emit(str(number))
        client.session.ping()  # reads all that came, and keeps no more than allowed
        assert [next(events)["event"] for _ in range(20)] == [str(number) for number in range(20)]


def test_a_node_that_stays_away(client: Client, peer: Peer) -> None:
    with client.events(patience_s=0.05) as events:
        peer.stop()
        with pytest.raises(ConnectionLost):
            events.next(5)


def test_events_reach_their_thread_while_others_call(client: Client, peer: Peer) -> None:
    seen: list[str] = []

    def consume() -> None:
        with client.events(timeout_s=10) as events:
            started.set()
            for event in events:
                seen.append(event["event"])
                if event["event"] == "last":
                    return

    started = threading.Event()
    thread = threading.Thread(target=consume)
    thread.start()
    assert started.wait(10)
    for number in range(50):
        assert client.session.ping(str(number)) == str(number)
        peer.emit(str(number))
    peer.emit("last")
    thread.join(10)
    assert seen == [*map(str, range(50)), "last"]


def test_console_both_ways(client: Client) -> None:
    with client.domain.open_console("web") as console:
        assert console.device == "serial0"
        assert console.read(5) == b"hello\r\n"
        console.write(b"ls")
        assert console.read(5) == b"LS"
        console.write(b"exit")
        assert console.read(5) == b"EXIT"
        assert console.read(5) == b""
        with pytest.raises(NoStream):
            console.write(b"more")


def test_console_credit_both_ways(client: Client) -> None:
    sent = b"x" * 1_000_000
    got = bytearray()
    with client.domain.open_console("web") as console:
        assert console.read(5) == b"hello\r\n"
        writer = threading.Thread(target=console.write, args=(sent, 20))
        writer.start()
        while len(got) < len(sent):
            got += console.read(10)
        writer.join(10)
    assert bytes(got) == sent.upper()


def test_console_of_a_node_that_dies(client: Client, peer: Peer) -> None:
    console = client.domain.open_console("web")
    assert console.read(5) == b"hello\r\n"
    with pytest.raises(DeadlineExceeded):
        console.read(0.01)
    peer.stop()
    with pytest.raises(ConnectionLost):
        console.read(5)
    console.close()
