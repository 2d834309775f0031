"""OBJECT calls: stored definitions, capability probes and commands in guests, as tasks on the connection's loop.

They never pass through a domain's mailbox, so a hung monitor delays none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ...config.errors import InvalidArgument
from ...hypervisors.contract import Capability
from ..cells.directory import Entry
from ..domain.commands import execute
from ..domain.undertaking import run_of
from ..router.pending import PendingCall
from .probing import may_probe
from .processors import PROCESSORS

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor

T = TypeVar("T")
STORE_S = 0.05
"""How long a turn is held for the store; a read takes 0.2 ms."""


async def get_xml(supervisor: Supervisor, call: PendingCall) -> str:
    """Return a domain's XML: the live one while it runs, unless the definition is asked for."""
    entry, args = call.entry, call.args
    native = await _native(supervisor, entry)
    snapshot = entry.cell.snapshot
    live = snapshot.active and not (args["inactive"] and snapshot.persistent)

    async def read() -> tuple[str, int | None]:
        run = await run_of(supervisor.services, entry) if live else None
        if run is not None and (text := run.live_xml or run.xml):
            return text, None if args["inactive"] else snapshot.id
        return native or await supervisor.definition(entry), None

    async def show(found: tuple[str, int | None]) -> str:
        text: str = await supervisor.env.pure(_shown, found[0], bool(args["secure"]), found[1])
        return text

    return await _in_turn(supervisor, call, read, show)


async def _in_turn(
    supervisor: Supervisor, call: PendingCall, read: Callable[[], Coroutine[Any, Any, T]],
    show: Callable[[T], Awaitable[str]],
) -> str:  # fmt: skip
    """Read a document and show it in one turn of its client; where the store hangs, let others go meanwhile."""
    async with _turn(supervisor, call):
        reading = asyncio.ensure_future(read())
        try:
            await asyncio.wait([reading], timeout=STORE_S)
            if reading.done():
                return await show(reading.result())
        except asyncio.CancelledError:
            reading.cancel()
            raise
    try:
        found = await reading
    finally:
        reading.cancel()
    async with _turn(supervisor, call):
        return await show(found)


@asynccontextmanager
async def _turn(supervisor: Supervisor, call: PendingCall) -> AsyncIterator[None]:
    """Wait for a turn of the call's client: none is had while it does not read what it got before."""
    client, loop = call.client, asyncio.get_running_loop()
    while True:
        async with supervisor.documents.turn(client.id):
            if not client.paused():
                yield
                return
        drained = asyncio.Event()
        client.on_drain(partial(_wake, loop, drained))
        await drained.wait()


def _wake(loop: asyncio.AbstractEventLoop, drained: asyncio.Event) -> None:
    loop.call_soon_threadsafe(drained.set)


async def _native(supervisor: Supervisor, entry: Entry) -> str:
    """Return the definition that a hypervisor keeps itself: its tools may hang, and hold up no other document."""
    if supervisor.driver is None or Capability.NATIVE_DEFINITIONS not in supervisor.driver.capabilities:
        return ""
    return await supervisor.definition(entry)


def _shown(xml: str, secure: bool, live_id: int | None) -> str:
    from ...config.domain import LiveInfo, format, parse

    return format(parse(xml), secure=secure, live=LiveInfo(id=live_id) if live_id is not None else None)


async def get_metadata(supervisor: Supervisor, call: PendingCall) -> str:
    """Return title, description or a metadata element."""
    args = call.args
    if args["type"] == "element" and not args["uri"]:
        raise InvalidArgument("metadata of type element needs its namespace", remedy="give uri", path="params.uri")
    native = await _native(supervisor, call.entry)

    async def read() -> str:
        return native or await supervisor.definition(call.entry)

    async def show(xml: str) -> str:
        return _metadata(xml, args["type"], args["uri"])

    return await _in_turn(supervisor, call, read, show)


def _metadata(xml: str, kind: str, uri: str) -> str:
    from ...config import domain as model

    if kind == "element":
        return model.get_metadata(xml, uri)
    parsed = model.parse(xml)
    return (parsed.title if kind == "title" else parsed.description) or ""


async def get_capabilities(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Return the host's capabilities."""
    await supervisor.settled()
    supervisor.need(Capability.DOMAIN_CAPABILITIES, call.spec.name)
    found: dict[str, Any] = await supervisor.probes.ask("capabilities", supervisor.driver.get_capabilities)
    return found


async def get_domain_capabilities(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Return what a domain may ask for."""
    await supervisor.settled()
    supervisor.need(Capability.DOMAIN_CAPABILITIES, call.spec.name)
    may_probe(supervisor, call)
    wanted = {name: call.args[name] for name in ("emulator", "arch", "machine", "virttype")}
    ask = partial(supervisor.driver.get_domain_capabilities, **wanted)
    found: dict[str, Any] = await supervisor.probes.ask(("domain", *wanted.values()), ask)
    return found


OBJECTS: dict[str, Any] = {
    "domain.get_xml": get_xml,
    "domain.get_metadata": get_metadata,
    "domain.exec": execute,
    "connection.get_capabilities": get_capabilities,
    "connection.get_domain_capabilities": get_domain_capabilities,
    **PROCESSORS,
}
