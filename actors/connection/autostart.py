"""Start the domains that start with the node: side by side, once a boot of the host.

Guarantees:
- So many starts at once and no more; one that takes long gives its place to the next, so a hung one delays none.
- A domain that ran since the host booted is left as it is: whoever shut it off wants it off.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...config.errors import MechaneError
from ..cells.directory import Entry
from ..domain.orders import Order

if TYPE_CHECKING:
    from .supervisor import Supervisor

SIDE_BY_SIDE = 8
"""A start is work of some 40 ms for the node and of seconds for the guest's first steps."""
PLACE_S = 2.0
"""After so long the next one begins, whatever becomes of this one."""


async def autostart_all(supervisor: Supervisor) -> None:
    """Start what is due on a connection; returns when the last one was begun. Loop's thread."""
    places = asyncio.Semaphore(SIDE_BY_SIDE)
    for entry in due(supervisor):
        await places.acquire()
        supervisor.home.spawn(_start(supervisor, entry, places), "autostart")


def due(supervisor: Supervisor) -> list[Entry]:
    """Return the domains that are to be started, those named by `autostart_first` in front."""
    services = supervisor.services
    found = []
    for entry in services.directory.all():
        snapshot = entry.cell.snapshot
        mine = snapshot.autostart and entry.connection == supervisor.uri.text
        if mine and not snapshot.active and not services.boots.ran(entry.uuid):
            found.append(entry)
    first = services.settings.node.autostart_first
    return sorted(found, key=lambda entry: (rank(first, entry.cell.snapshot.name), entry.cell.snapshot.name))


def rank(patterns: Sequence[str], name: str) -> int:
    """Return the place of the first pattern that fits a name; behind all where none does."""
    return next((place for place, text in enumerate(patterns) if fnmatch.fnmatchcase(name, text)), len(patterns))


async def _start(supervisor: Supervisor, entry: Entry, places: asyncio.Semaphore) -> None:
    ended: asyncio.Future[Any] = supervisor.home.loop.create_future()

    def done(outcome: Any) -> None:
        if not ended.done():
            ended.set_result(outcome)

    try:
        entry.mailbox.offer(Order(verb="autostart", done=done))
        await asyncio.wait({ended}, timeout=PLACE_S)
    except MechaneError as error:  # its mailbox is full already
        done(error)
    finally:
        places.release()
    outcome = await ended
    if isinstance(outcome, MechaneError):
        supervisor.log.error("autostart of %s: %s", entry.cell.snapshot.name, outcome)
