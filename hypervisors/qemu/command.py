"""From a definition's XML to the command line: pure, and remembered while it is used often."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cachetools import LRUCache

from ..contract import Itself

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from ..contract import DriverEnv
    from .argv.needs import Needs
    from .argv.records import CommandLine, Emulator, Resources

IMPORT_S = 60.0
KEPT = 256
"""Parsed definitions that are kept; one takes about 30 KiB (measured)."""


class Definitions:
    """Parsed definitions by their XML; what it returns is shared, so nobody may change it.

    Large ones are parsed in the worker process: 64 KiB take 20 ms of a blocked loop otherwise.
    """

    def __init__(self, env: DriverEnv) -> None:
        self._env = env
        self._parsed: LRUCache[str, Domain] = LRUCache(KEPT)
        self._loaded: asyncio.Future[None] | None = None

    async def parse(self, xml: str) -> Domain:
        """Return the definition.

        Raises:
            XmlError: it is none.
        """
        await self.load()
        found = self._parsed.get(xml)
        if found is None:
            found = self._parsed[xml] = await self._env.pure(parse_definition, xml, size=len(xml))
        return found

    async def load(self) -> None:
        """Import what reads and builds, on the pool, so that the first start need not do it on the loop."""
        if self._loaded is None:
            modules = Itself("the program's modules")
            work = self._env.blocking(import_builder, deadline_s=IMPORT_S, domain=modules)
            self._loaded = asyncio.ensure_future(work)
        if not self._loaded.done():
            await asyncio.shield(self._loaded)


def parse_definition(xml: str) -> Domain:
    """Return a definition. Pure.

    Raises:
        XmlError: it is none.
    """
    from ...config.domain.document import parse

    return parse(xml)


def write_live(domain: Domain, number: int) -> str:
    """Return the XML of a running guest with this id, secrets included. Pure."""
    from ...config.domain.document import LiveInfo, format

    return format(domain, secure=True, live=LiveInfo(id=number))


def plan_needs(domain: Domain, emulator: Emulator) -> tuple[Domain, Needs]:
    """Return the planned definition with aliases, and what it needs of the node. Pure.

    Raises:
        ConfigUnsupported: it asks for what cannot be had.
    """
    from .argv.needs import needs
    from .argv.plan.planner import plan_devices

    planned = plan_devices(domain, emulator, live=True)
    return planned, needs(planned)


def build_command(domain: Domain, emulator: Emulator, resources: Resources) -> CommandLine:
    """Return the command line of a definition. Pure.

    Raises:
        ConfigUnsupported: it asks for what cannot be had.
    """
    from .argv.build import build

    return build(domain, emulator, resources)


def check_and_fill(domain: Domain, emulator: Emulator, resources: Resources) -> str:
    """Return the XML of a definition with all that is worked out by itself, once a command line can be made of it.

    Pure.

    Raises:
        ConfigUnsupported: it asks for what cannot be had.
    """
    from .argv.plan.planner import plan_devices

    return _filled(plan_devices(domain, emulator), emulator, resources)


def fill_model(domain: Domain, emulator: Emulator, resources: Resources) -> str:
    """As `check_and_fill`, of a definition that is completed already, and that nobody else has: it is changed."""
    from .argv.plan.planner import plan_completed

    return _filled(plan_completed(domain, emulator), emulator, resources)


def _filled(planned: Domain, emulator: Emulator, resources: Resources) -> str:
    from ...config.domain.document import format_own
    from .argv.build import build_planned
    from .argv.plan.aliases import assign_aliases

    text = format_own(planned)  # before it becomes that of a guest that runs
    assign_aliases(planned)
    build_planned(planned, emulator, resources)
    return text


def import_builder() -> None:
    """Load what builds command lines, so that the first start need not; takes 0.1 s, on the pool."""
    from ...config.domain import document
    from .argv import build

    assert document is not None and build is not None
