"""The client for asyncio, against the same small node."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mechane.config.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    NoDomain,
    OutcomeUnknown,
)
from mechane.protocol.client import deadlines
from mechane.protocol.client.aio import AsyncClient, connect_async
from mechane.tests.protocol.client.peer import Peer


def run(peer: Peer, scenario: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Run a scenario with a client of the peer, all of it within 20 s."""

    async def main() -> None:
        async with asyncio.timeout(20), await connect_async(peer.path) as client:
            await scenario(client)

    asyncio.run(main())


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is true, on the loop."""
    while not condition():
        await asyncio.sleep(0.001)


def test_calls_errors_and_hello(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        assert await client.session.ping("x") == "x"
        assert (await client.domain.start("web"))["state"] == "running"
        assert (await client.hello())["node"] == "peer"
        with pytest.raises(NoDomain):
            await client.domain.get_state("nobody")
        with pytest.raises(InvalidArgument):
            await client.call("session.ping", {"data": object()})

    run(peer, scenario)


def test_many_tasks_share_one_connection(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        peer.hold.add("domain.wait")
        held = asyncio.create_task(client.domain.wait("web", ["running"]))
        texts = [str(number) for number in range(500)]
        assert await asyncio.gather(*map(client.session.ping, texts)) == texts
        calls = [("session.ping", {"data": text}) for text in texts]
        assert await client.pipeline(calls) == texts
        assert len(peer.clients) == 1
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        await until(lambda: peer.cancelled)

    run(peer, scenario)


def test_deadline_cancels_at_the_node(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "MARGIN_S", 0.0)

    async def scenario(client: AsyncClient) -> None:
        peer.hold.add("domain.start")
        with pytest.raises(DeadlineExceeded):
            await client.domain.start("web", deadline_s=0.05)
        await until(lambda: peer.cancelled)
        assert await client.session.ping("on") == "on"

    run(peer, scenario)


def test_lost_connections(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        peer.hang_up_on += ["domain.get_state", "domain.start"]
        assert (await client.domain.get_state("web"))["state"] == "shutoff"
        with pytest.raises(OutcomeUnknown):
            await client.domain.start("web")
        assert peer.calls["domain.start"] == 1
        assert await client.session.ping("again") == "again"

    run(peer, scenario)


def test_no_node(short_tmp: Path) -> None:
    with pytest.raises(ConnectionLost):
        asyncio.run(connect_async(short_tmp / "nothing"))


def test_a_closed_client_says_so(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        await client.close()
        with pytest.raises(ConnectionLost, match="closed"):
            await client.session.ping()

    run(peer, scenario)


def test_events_resume(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        async with client.events(timeout_s=5) as events:
            await client.domain.start("web")
            assert (await anext(events))["event"] == "started"
            peer.emit("two")
            await asyncio.to_thread(peer.stop)
            peer.emit("three")
            peer.start()
            assert [(await anext(events))["event"] for _ in range(2)] == ["two", "three"]
            with pytest.raises(DeadlineExceeded):
                await events.next(0.01)
        await until(lambda: peer.calls["events.unsubscribe"])

    run(peer, scenario)


def test_console(peer: Peer) -> None:
    async def scenario(client: AsyncClient) -> None:
        async with await client.domain.open_console("web") as console:
            assert await console.read(5) == b"hello\r\n"
            sent = b"y" * 600_000
            writing = asyncio.create_task(console.write(sent, 20))
            got = b""
            while len(got) < len(sent):
                got += await console.read(10)
            await writing
            assert got == sent.upper()
            await console.write(b"exit")
            assert await console.read(5) == b"EXIT"
            assert await console.read(5) == b""

    run(peer, scenario)
