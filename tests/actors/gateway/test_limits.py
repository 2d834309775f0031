"""What is bounded: answers nobody reads, clients, descriptors; and that others are served meanwhile."""

import os
import resource
import socket

import pytest

from mechane.protocol.wire import Limits, pack, response_frame
from mechane.tests.actors.gateway.rig import Clock, Raw, Rig, running
from mechane.tests.support.wait import wait_until

KIB = 1024


def fill(rig: Rig, client: Raw, calls: int) -> None:
    """Let a client ask without reading the answers of 100 KiB each."""
    rig.handler.answer_bytes = 100 * KIB
    tail = pack("session.ping") + b"\x90"
    client.sock.sendall(b"".join(b"\x94\x00" + pack(number) + tail for number in range(calls)))


def test_a_client_that_does_not_read_is_not_read_either() -> None:
    with running(Limits(outbox_pause_bytes=256 * KIB, outbox_bytes=8192 * KIB)) as rig:
        client = rig.client()
        fill(rig, client, 2000)
        session = rig.only_session()
        wait_until(lambda: session.outbox_bytes() > 256 * KIB, 10, "a full outbox")
        other = rig.client()
        rig.handler.answer_bytes = 0
        assert other.call(1, "session.ping")
        assert session.outbox_bytes() < 1024 * KIB
        assert session.calls < 2000
        drained = []
        session.on_drain(lambda: drained.append(session.outbox_bytes()))
        rig.handler.answer_bytes = 10
        for number in range(2000):
            message = client.receive()
            assert message is not None and message[1] == number
        wait_until(lambda: drained, 10, "the callback")
        assert drained[0] <= 64 * KIB and len(drained) == 1


def test_a_client_over_its_outbox_is_disconnected() -> None:
    with running(Limits(outbox_pause_bytes=64 * KIB, outbox_bytes=1024 * KIB)) as rig:
        client, other = rig.client(), rig.client()
        assert client.call(1, "session.ping")
        session = min(rig.gateway.sessions(), key=lambda session: session.id)
        frame = response_frame(1, pack(b"x" * 100 * KIB))
        for _ in range(40):  # as events do, which no reading of calls holds back
            session.send(frame)
        wait_until(lambda: session.closed, 10, "the end of the session")
        assert session.outbox_bytes() <= 1024 * KIB
        assert rig.gateway.counters()["overflowed"] >= 1
        assert other.call(1, "session.ping")
        assert rig.handler.gone == [session.id]


def test_on_drain_of_an_empty_outbox_comes_soon() -> None:
    with running() as rig:
        rig.client()
        called: list[bool] = []
        rig.only_session().on_drain(lambda: called.append(True))
        wait_until(lambda: called, 10, "the callback")


def test_frames_of_many_threads_never_mix() -> None:
    from threading import Thread

    with running() as rig:
        client = rig.client()
        session = rig.only_session()

        def sender(number: int) -> None:
            for turn in range(300):
                session.send(response_frame(number * 1000 + turn, pack(b"x" * (number * 700))))

        threads = [Thread(target=sender, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        last = dict.fromkeys(range(4), -1)
        for _ in range(1200):
            message = client.receive()
            assert message is not None
            number, turn = divmod(message[1], 1000)
            assert turn == last[number] + 1 and len(message[3]) == number * 700
            last[number] = turn
        for thread in threads:
            thread.join(10)


def test_a_flood_of_one_client_lets_others_through() -> None:
    with running(Limits(outbox_pause_bytes=64 * 1024 * KIB)) as rig:
        flood, other = rig.client(), rig.client()
        frame = b"\x94\x00\x01" + pack("session.ping") + b"\x90"
        for number in range(50):
            flood.sock.setblocking(False)
            for _ in range(20):
                try:
                    flood.sock.send(frame * 2000)
                except BlockingIOError:
                    break
                except (BrokenPipeError, ConnectionResetError):  # it never reads, and so much waited for it
                    flood.close()
                    flood = rig.client()
                    break
            assert other.call(number, "session.ping")
        flood.close()


def test_too_many_clients_are_told_so() -> None:
    with running(Limits(clients=2)) as rig:
        first, second = rig.client(), rig.client()
        first.call(1, "session.ping")
        second.call(1, "session.ping")
        third = rig.client()
        error = third.last_error()
        assert error["code"] == "busy" and error["details"] == {"what": "clients", "limit": 2}
        assert rig.client("ro").call(1, "session.ping"), "the other socket has its own count"
        second.close()
        wait_until(lambda: len(rig.gateway.sessions()) == 2, 10, "room")
        assert rig.client().call(1, "session.ping")




def test_without_descriptors_accepting_pauses_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with running(None, clock) as rig:
        other = rig.client()
        other.call(1, "session.ping")
        client = Raw(socket.socket(socket.AF_UNIX))
        rig.clients.append(client)
        exhaust(rig, client, other, clock, caplog)
        assert client.call(1, "session.ping")


def exhaust(rig: Rig, client: Raw, other: Raw, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Take all descriptors, connect, see the pause logged once, and give them back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        client.sock.connect(str(rig.folder / "rw"))
        client.request(1, "session.ping")
        wait_until(lambda: "cannot accept" in caplog.text, 10, "the log")
        for turn in range(3):
            clock.now += 1.1
            assert other.call(turn, "session.ping")
        assert caplog.text.count("cannot accept") == 1
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    clock.now += 1.1
    other.call(9, "session.ping")
    message = client.receive()
    assert message is not None and message[1] == 1


def test_limits_of_a_running_gateway_change_for_new_clients() -> None:
    with running() as rig:
        old = rig.client()
        old.call(1, "session.ping")
        rig.gateway.set_limits(Limits().changed({"calls_in_flight": 1}))
        new = rig.client()
        new.call(1, "session.ping")
        limits = [session.limits.calls_in_flight for session in rig.gateway.sessions()]
        assert limits == [1024, 1]
