"""Whether a definition can be built, and what it is once all that it leaves open is worked out.

No file is opened: whether the host has what a definition names shows at its start. An emulator that is not known yet
is probed, once for each build, so that the first definition on a new node is filled in as all later ones are.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ...config.errors import MechaneError
from ...config.reach import is_emulator
from ..contract import Target
from .command import Definitions, check_and_fill, fill_model
from .emulation import accelerator_of, default_emulator
from .emulators import Emulators
from .workshop import Workshop

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from .argv.records import Emulator, Resources


PROBE_S = 5.0
"""Seconds that a definition waits for the probe of its emulator (0.1 to 0.3 s on an idle machine)."""


class Checker:
    """Checks definitions of one connection. Loop's thread."""

    def __init__(self, shop: Workshop, emulators: Emulators, definitions: Definitions) -> None:
        self._shop = shop
        self._emulators = emulators
        self._definitions = definitions

    async def check(self, target: Target, xml: str) -> str | None:
        """Return a definition filled in; None where its emulator is not known yet.

        Raises:
            XmlError: it is none.
            ConfigUnsupported: it asks for what cannot be had.
        """
        domain = await self._definitions.parse(xml)
        emulator = await self._emulator(domain)
        if emulator is None:
            return None
        resources = self._resources(target, domain)
        return await self._shop.env.pure(check_and_fill, domain, emulator, resources, size=len(xml))

    async def check_model(self, target: Target, domain: Domain) -> str:
        """As `check`, of a small definition that is completed already and may be changed; return what to store."""
        from ...config.domain.document import format

        await self._definitions.load()
        emulator = await self._emulator(domain)
        if emulator is None:
            return format(domain, secure=True)
        return fill_model(domain, emulator, self._resources(target, domain))

    async def _emulator(self, domain: Domain) -> Emulator | None:
        """Return what the emulator can do; None where it is not to be probed or cannot be: its start says why.

        Whether the client may name it was asked before.
        """
        named = domain.devices.emulator
        path = named or default_emulator(domain)
        found = await self._emulators.remembered(path, named=bool(named))
        if found is None and is_emulator(path, self._shop.options.emulator_dirs):
            with suppress(MechaneError, TimeoutError):
                found = await asyncio.wait_for(self._emulators.get(path), PROBE_S)
        return found

    def _resources(self, target: Target, domain: Domain) -> Resources:
        from .argv.records import Resources

        folder = str(self._shop.folder_of(target.uuid).own)
        return Resources(guest_dir=folder, nvram_dir=folder, accel=accelerator_of(domain), check_only=True)
