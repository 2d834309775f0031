"""OBJECT calls: stored definitions, capability probes and commands in guests, as tasks on the connection's loop.

They never pass through a domain's mailbox, so a hung monitor delays none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument
from ...hypervisors.contract import Capability
from ..cells.directory import Entry
from ..domain.commands import execute
from ..domain.undertaking import run_of
from ..router.pending import PendingCall
from .processors import PROCESSORS

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor


async def get_xml(supervisor: Supervisor, call: PendingCall) -> str:
    """Return a domain's XML: the live one while it runs, unless the definition is asked for."""
    entry, args = call.entry, call.args
    native = await _native(supervisor, entry)
    async with _turn(supervisor, call):
        snapshot = entry.cell.snapshot
        live = ""
        if snapshot.active and not (args["inactive"] and snapshot.persistent):
            run = await run_of(supervisor.services, entry)
            if run is not None:
                live = run.live_xml or run.xml
        xml = live or native or await supervisor.definition(entry)
        shown: str = await supervisor.env.pure(_shown, xml, bool(args["secure"]), snapshot.id if live else None)
    return shown


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
    async with _turn(supervisor, call):
        return _metadata(native or await supervisor.definition(call.entry), args["type"], args["uri"])


def _metadata(xml: str, kind: str, uri: str) -> str:
    from ...config import domain as model

    if kind == "element":
        return model.get_metadata(xml, uri)
    parsed = model.parse(xml)
    return (parsed.title if kind == "title" else parsed.description) or ""


async def get_capabilities(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Return the host's capabilities."""
    supervisor.need(Capability.DOMAIN_CAPABILITIES, call.spec.name)
    found: dict[str, Any] = await supervisor.driver.get_capabilities()
    return found


async def get_domain_capabilities(supervisor: Supervisor, call: PendingCall) -> dict[str, Any]:
    """Return what a domain may ask for."""
    supervisor.need(Capability.DOMAIN_CAPABILITIES, call.spec.name)
    args = call.args
    found: dict[str, Any] = await supervisor.driver.get_domain_capabilities(
        emulator=args["emulator"], arch=args["arch"], machine=args["machine"], virttype=args["virttype"]
    )
    return found


OBJECTS: dict[str, Any] = {
    "domain.get_xml": get_xml,
    "domain.get_metadata": get_metadata,
    "domain.exec": execute,
    "connection.get_capabilities": get_capabilities,
    "connection.get_domain_capabilities": get_domain_capabilities,
    **PROCESSORS,
}
