"""Whether a definition can be built, and what it is once all that it leaves open is worked out.

Nothing is run and no file is opened: whether the host has what a definition names shows at its start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contract import Target
from .command import Definitions, check_and_fill, fill_model
from .emulation import accelerator_of, default_emulator
from .emulators import Emulators
from .workshop import Workshop

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from .argv.records import Emulator, Resources


class Checker:
    """Checks definitions of one connection, where their emulator is known already. Loop's thread."""

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
        named = domain.devices.emulator
        return await self._emulators.remembered(named or default_emulator(domain), named=bool(named))

    def _resources(self, target: Target, domain: Domain) -> Resources:
        from .argv.records import Resources

        folder = str(self._shop.folder_of(target.uuid).own)
        return Resources(guest_dir=folder, nvram_dir=folder, accel=accelerator_of(domain), check_only=True)
