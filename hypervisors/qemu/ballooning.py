"""A guest's memory while it runs: the balloon that takes some of it away, and gives it back.

`balloon` (qapi/machine.json of QEMU 7.2) only tells the guest's driver how much memory it may keep; the guest follows
when it can, and `balloon.current` of the statistics says how far it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...config.errors import MonitorError, OperationInvalid
from ..contract import Outcome, Target
from .power import Power
from .qmp import Command
from .workshop import Workshop

NO_BALLOON = "DeviceNotActive"
"""The error class of QEMU 7.2 for a guest without a balloon device (measured)."""


class Ballooning:
    """Sizes the guests of one connection. Loop's thread."""

    def __init__(self, shop: Workshop, power: Power) -> None:
        self._shop = shop
        self._power = power

    async def set_memory(self, target: Target, xml: str, kib: int) -> str:
        """Ask a running guest to use `kib` KiB; see `MemorySize.set_memory`.

        Raises:
            InvalidArgument: it cannot have so much.
            OperationInvalid: it has no balloon.
        """
        changed: bytes = await self._shop.env.pure(_resized, xml, kib, size=len(xml))
        before = await self._shop.env.pure(_memory, xml, size=len(xml))
        await self._shop.env.intend(target.uuid, {"kind": "memory", "before_kib": before, "kib": kib})
        try:
            await self._power.change(target, Command("balloon", {"value": kib * 1024}))
        except MonitorError as error:
            if error.details.get("error_class") != NO_BALLOON:
                raise
            raise OperationInvalid(
                f"{target.name} has no memory balloon", remedy="Add <memballoon model='virtio'/> to its definition"
            ) from error
        return changed.decode()

    async def mend(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Settle a change that was broken off: the guest may use what it could before."""
        with suppress(MonitorError):  # it has no balloon: nothing was changed
            await self._power.change(target, Command("balloon", {"value": note["before_kib"] * 1024}))
        return Outcome(done=False)


def _resized(xml: str, kib: int) -> bytes:
    from ...config.domain.edit import set_memory

    return set_memory(xml, kib)


def _memory(xml: str) -> int:
    from ...config.domain.document import parse, summary_of

    return summary_of(parse(xml)).memory_kib
