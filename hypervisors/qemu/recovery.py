"""Settle changes that were broken off: whoever made a change knows how; here it is found. Loop's thread.

A guest that has ended keeps nothing of a change: what was taken for it is given back. What a verb still does in the
background, after its caller went away, is waited for first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import MechaneError
from ..contract import Outcome, Target
from .ballooning import Ballooning
from .endings import Endings
from .guest import Guest
from .hotplug.hotplug import Hotplugging
from .hotplug.processors import Processors
from .keeping.saving import Saving
from .keeping.snapshots import Snapshotting
from .power import Power
from .workshop import Workshop


class Recovery:
    """Finds who settles a change, by its note."""

    def __init__(
        self, shop: Workshop, endings: Endings, power: Power, plugging: Hotplugging, processors: Processors,
        ballooning: Ballooning, saving: Saving, snapshots: Snapshotting,
    ) -> None:  # fmt: skip
        self._shop = shop
        self._endings = endings
        self._power = power
        self._mending = plugging.mending
        self._processors = processors
        self._ballooning = ballooning
        self._saving = saving
        self._snapshots = snapshots

    async def recover(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Settle a change; see `Driver.recover`."""
        kind = note.get("kind")
        await self._shop.quiet(target.uuid)
        guest = self._alive(target)
        if kind == "save":
            return await self._saving.mend(target, guest, note)
        if kind == "snapshot":
            return await self._snapshots.mend(target, note)
        if guest is None:
            await self._mending.give_back_all(target, note)
            return Outcome(done=False)
        monitor = self._power.monitor(target)
        if kind == "vcpus":
            return await self._processors.mend(guest, monitor, note)
        if kind == "memory":
            return await self._ballooning.mend(target, note)
        settle = {"attach": self._mending.attach, "detach": self._mending.detach, "update": self._mending.update}
        if kind not in settle:
            return Outcome(done=False, said=f"another version of mechane began it ({kind}); look at the domain")
        return await settle[kind](guest, monitor, note)

    def _alive(self, target: Target) -> Guest | None:
        guest = self._endings.guests.get(target.uuid)
        ended = guest is None or guest.process is None or guest.process.exited.is_set()
        return None if ended else guest

    def adopted(self, target: Target) -> None:
        """Look after the devices that a guest was letting go of when the node ended."""
        guest = self._alive(target)
        if guest is not None and guest.leaving:
            self._shop.later(self._look_after(guest, target))

    async def _look_after(self, guest: Guest, target: Target) -> None:
        try:
            await self._mending.look_after(guest, self._power.monitor(target))
        except MechaneError as error:
            self._shop.log.warning("devices of %s cannot be looked after: %s", target.name, error)
