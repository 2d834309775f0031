"""The monitor's client against a peer that the test plays: late, silent, verbose and broken replies."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mechane.config.errors import ConnectionLost, DeadlineExceeded, MonitorError, OutcomeUnknown
from mechane.hypervisors.qemu.qmp import Command, CommandKind, Monitor, Stuck
from mechane.hypervisors.qemu.receiver import REPLY_BYTES
from mechane.tests.hypervisors.qemu.env import run, until

QUERY, CHANGE = CommandKind.QUERY, CommandKind.CHANGE
SOON_S = 0.05
LONG_S = 20.0


class Listener:
    """Keeps what the monitor says."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.stuck: list[Stuck] = []
        self.back: list[Stuck] = []
        self.closed = 0

    def on_event(self, name: str, data: Mapping[str, Any]) -> None:
        self.events.append((name, data))

    def on_stuck(self, stuck: Stuck) -> None:
        self.stuck.append(stuck)

    def on_back(self, stuck: Stuck) -> None:
        self.back.append(stuck)

    def on_closed(self) -> None:
        self.closed += 1


class Peer:
    """QEMU's end of the socket, played by the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen: list[dict[str, Any]] = []
        self._buffer = b""

    async def request(self) -> dict[str, Any]:
        """Return the next command."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._buffer:
            self._buffer += await asyncio.wait_for(loop.sock_recv(self.sock, 65536), LONG_S)
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        self.seen.append(message)
        return message

    def say(self, message: Any) -> None:
        self.sock.sendall(json.dumps(message).encode() + b"\r\n")

    def answer(self, request: dict[str, Any], value: Any) -> None:
        self.say({"return": value, "id": request["id"]})


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Monitor, Peer, Listener]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    listener, peer = Listener(), Peer(theirs)
    monitor = Monitor(ours, asyncio.get_running_loop(), listener, name="vm")
    assert (await peer.request())["execute"] == "qmp_capabilities"
    peer.say({"QMP": {"version": {}, "capabilities": []}})
    peer.say({"return": {}})
    try:
        yield monitor, peer, listener
    finally:
        monitor.close()
        theirs.close()


def test_one_command_at_a_time_and_in_order() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, _):
            calls = [
                asyncio.ensure_future(monitor.execute(f"c{n}", {"n": n}, kind=QUERY, deadline_s=LONG_S))
                for n in range(3)
            ]
            for n in range(3):
                request = await peer.request()
                assert (request["execute"], request["arguments"]) == (f"c{n}", {"n": n})
                peer.answer(request, n)
            assert await asyncio.gather(*calls) == [0, 1, 2]
            assert len({request["id"] for request in peer.seen[1:]}) == 3

    run(body())


def test_a_batch_is_written_at_once_and_may_tolerate_errors() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, _):
            commands = [Command("a"), Command("b"), Command("c")]
            call = asyncio.ensure_future(
                monitor.execute_all(commands, kind=QUERY, deadline_s=LONG_S, tolerant=True)
            )
            requests = [await peer.request() for _ in range(3)]
            peer.answer(requests[0], 1)
            peer.say({"error": {"class": "DeviceNotActive", "desc": "no balloon"}, "id": requests[1]["id"]})
            peer.answer(requests[2], 3)
            first, second, third = await call
            assert (first, third) == (1, 3)
            assert isinstance(second, MonitorError)
            assert second.details["error_class"] == "DeviceNotActive"

    run(body())


def test_a_refusal_is_an_error_with_qemus_words() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, _):
            call = asyncio.ensure_future(monitor.execute("nope", kind=CHANGE, deadline_s=LONG_S))
            request = await peer.request()
            peer.say({"error": {"class": "CommandNotFound", "desc": "no such command"}, "id": request["id"]})
            with pytest.raises(MonitorError, match="no such command"):
                await call

    run(body())


def test_events_come_at_once_also_between_request_and_reply() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            call = asyncio.ensure_future(monitor.execute("stop", kind=CHANGE, deadline_s=LONG_S))
            request = await peer.request()
            peer.say({"event": "STOP", "timestamp": {}})
            await until(lambda: listener.events)
            assert not call.done()
            peer.answer(request, {})
            await call
            assert listener.events == [("STOP", {})]

    run(body())


def test_a_silent_monitor_is_stuck_until_its_late_reply() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            with pytest.raises(DeadlineExceeded) as late:
                await monitor.execute("query-status", kind=QUERY, deadline_s=SOON_S)
            assert late.value.details["still_running"] is False
            assert listener.stuck[0].command == "query-status"
            request = await peer.request()
            with pytest.raises(DeadlineExceeded) as waiting:
                await monitor.execute("query-balloon", kind=QUERY, deadline_s=SOON_S)
            assert waiting.value.details["command"] == "query-status"
            patient = asyncio.ensure_future(monitor.execute("query-vnc", kind=QUERY, deadline_s=LONG_S))
            await asyncio.sleep(0)
            assert len(peer.seen) == 2  # nothing more was sent to a stuck monitor
            peer.answer(request, "late")
            follow = await peer.request()
            assert follow["execute"] == "query-vnc"
            assert listener.back == listener.stuck
            peer.answer(follow, "fresh")
            assert await patient == "fresh"

    run(body())


def test_a_late_change_says_that_it_still_runs() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            with pytest.raises(DeadlineExceeded) as late:
                await monitor.execute("cont", kind=CHANGE, deadline_s=SOON_S)
            assert late.value.details["still_running"] is True
            peer.answer(await peer.request(), {})
            await until(lambda: listener.back)
            assert listener.back[0].changing

    run(body())


def test_a_cancelled_caller_leaves_its_command_followed() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            call = asyncio.ensure_future(monitor.execute("query-a", kind=QUERY, deadline_s=SOON_S))
            waiting = asyncio.ensure_future(monitor.execute("query-b", kind=QUERY, deadline_s=LONG_S))
            request = await peer.request()
            call.cancel()
            waiting.cancel()
            await until(lambda: listener.stuck)
            peer.answer(request, None)
            await until(lambda: listener.back)
            last = asyncio.ensure_future(monitor.execute("query-c", kind=QUERY, deadline_s=LONG_S))
            request = await peer.request()
            assert request["execute"] == "query-c"  # query-b was never sent
            peer.answer(request, 3)
            assert await last == 3

    run(body())


def test_a_lost_connection_fails_all_that_waits() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            change = asyncio.ensure_future(monitor.execute("cont", kind=CHANGE, deadline_s=LONG_S))
            query = asyncio.ensure_future(monitor.execute("query-a", kind=QUERY, deadline_s=LONG_S))
            await peer.request()
            peer.sock.close()
            with pytest.raises(OutcomeUnknown):
                await change
            with pytest.raises(ConnectionLost):
                await query
            with pytest.raises(ConnectionLost):
                await monitor.execute("query-a", kind=QUERY, deadline_s=LONG_S)
            assert listener.closed == 1

    run(body())


@pytest.mark.parametrize("junk", [b"not json\r\n", b"[1, 2]\r\n"])
def test_what_is_no_message_ends_the_connection(junk: bytes) -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            peer.sock.sendall(junk)
            await until(lambda: listener.closed)
            assert monitor.closed

    run(body())


def test_a_reply_in_pieces_is_put_together_and_an_endless_one_refused() -> None:
    async def body() -> None:
        async with pair() as (monitor, peer, listener):
            loop = asyncio.get_running_loop()
            call = asyncio.ensure_future(monitor.execute("query-big", kind=QUERY, deadline_s=LONG_S))
            request = await peer.request()
            text = "x" * 300_000
            reply = json.dumps({"return": text, "id": request["id"]}).encode() + b"\r\n"
            for start in range(0, len(reply), 70_001):
                await loop.sock_sendall(peer.sock, reply[start : start + 70_001])
            assert await call == text
            sending = asyncio.ensure_future(loop.sock_sendall(peer.sock, b"y" * (REPLY_BYTES + 1024 * 1024)))
            await until(lambda: listener.closed)
            sending.cancel()

    run(body())
