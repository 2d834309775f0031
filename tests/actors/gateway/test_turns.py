"""Turns of clients: a budget of time, readers in rounds and behind administrators, whatever they send."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from mechane.actors.gateway import Session
from mechane.protocol.wire import pack, response_frame
from mechane.tests.actors.gateway.rig import Raw, Recorder, Rig, running
from mechane.tests.support.wait import wait_until

STEP_S = 0.002
"""What each call of a reader costs the gateway's thread here: more than any turn."""
PIPELINED = 200
READERS = 5


class Costly(Recorder):
    """Keeps the gateway's thread busy with each call of the read-only socket, and remembers who was served when."""

    def __init__(self) -> None:
        super().__init__()
        self.served: list[int] = []

    def call(self, session: Session, msgid: int, method: str, params: dict[str, Any]) -> bytes | None:
        self.served.append(session.id)
        if session.read_only:
            until = time.perf_counter() + STEP_S
            while time.perf_counter() < until:
                pass
        return response_frame(msgid, pack(len(self.served)))


@pytest.fixture
def rig() -> Iterator[tuple[Rig, Costly]]:
    with running() as rig:
        costly = Costly()
        rig.gateway.handler = costly
        yield rig, costly


def flood(client: Raw) -> None:
    """Send many calls at once; somebody must read the answers."""
    client.sock.sendall(b"".join(msgpack.packb([0, number, "session.ping", []]) for number in range(PIPELINED)))


def drained(client: Raw) -> threading.Thread:
    """Read whatever comes, on a thread of its own, until the client is closed."""

    def read() -> None:
        try:
            while client.sock.recv(65536):
                pass
        except OSError:
            return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_an_administrator_waits_for_no_more_than_a_few_calls_of_readers(rig: tuple[Rig, Costly]) -> None:
    node, costly = rig
    administrator = node.client()
    administrator.call(1, "session.ping")
    readers = [node.client("ro") for _ in range(READERS)]
    for reader in readers:
        drained(reader)
        flood(reader)
    wait_until(lambda: len(costly.served) > READERS, 10, "readers being served")
    for msgid in range(2, 12):
        before = len(costly.served)
        at = administrator.call(msgid, "session.ping")
        assert at - before <= 6, f"{at - before} calls of readers went before one of an administrator"
    for reader in readers:
        reader.sock.shutdown(socket.SHUT_RDWR)


def test_readers_take_turns_call_by_call_when_calls_are_costly(rig: tuple[Rig, Costly]) -> None:
    node, costly = rig
    greedy, modest = node.client("ro"), node.client("ro")
    wait_until(lambda: len(node.gateway.sessions()) == 2, 10, "both clients")
    drained(greedy)
    flood(greedy)
    wait_until(lambda: costly.served, 10, "the greedy one being served")
    before = len(costly.served)
    at = modest.call(1, "session.ping")
    assert at - before <= 6, f"{at - before} calls of one reader went before the first of another"
    greedy.sock.shutdown(socket.SHUT_RDWR)


def test_all_calls_of_a_pipeline_are_answered_in_order(rig: tuple[Rig, Costly]) -> None:
    node, _ = rig
    reader = node.client("ro")
    flood(reader)
    for number in range(PIPELINED):
        answer = reader.receive()
        assert answer is not None and answer[:3] == [1, number, None]


def test_a_turn_that_raises_ends_that_client_alone(rig: tuple[Rig, Costly]) -> None:
    node, _ = rig
    reader, other = node.client("ro"), node.client("ro")
    other.call(1, "session.ping")
    reader.send("no", "protocol")
    assert reader.last_error()["code"] == "protocol_error"
    other.call(2, "session.ping")
