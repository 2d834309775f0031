"""Listings of a tool driver: one at a time, shared, and turned into facts. Loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from ...config.errors import MechaneError
from ..contract import Capability, DriverEnv, Target
from .watched import NativeGuest, Watched

PROBES_AT_ONCE = 4
"""Probes of unresponsive guests that run side by side: hung tools must not pile up."""
PROBE_PAUSE_S = (2.0, 20.0)
"""First and longest pause between probes of an unresponsive guest."""
ASKS_AT_ONCE = 8
"""Guests that are asked side by side whether they still answer, because somebody wants to know of them."""
ASK_PAUSE_S = 2.0
"""Pause between two such questions to one guest."""


class Lister(Protocol):
    """What a listing needs of its driver."""

    env: DriverEnv
    watched: dict[str, Watched]
    clock: Callable[[], float]
    reboot_gap_s: ClassVar[float]
    capabilities: ClassVar[frozenset[Capability]]

    async def list_native(self) -> Sequence[NativeGuest]: ...
    async def probe_guest(self, target: Target) -> None: ...
    def ended(self, watched: Watched, guest: NativeGuest | None) -> None: ...
    def kick(self) -> None: ...


class Listing:
    """Lists guests and digests the differences; see base.py for the guarantees."""

    COMMAND = "list"
    """What hangs when guests cannot be listed."""

    def __init__(self, driver: Lister) -> None:
        self._driver = driver
        self._asked = 0
        self._done = 0
        self._task: asyncio.Task[dict[str, NativeGuest]] | None = None
        self._seen: frozenset[tuple[str, str, bool]] | None = None
        self._down = ""
        self._changed = False
        self._probes: set[asyncio.Task[None]] = set()
        self._asks: set[asyncio.Task[None]] = set()
        self._log = logging.getLogger(f"mechane.tools.{driver.env.uri.scheme}")

    def warn(self, text: str) -> None:
        """Say something in the log."""
        self._log.warning("%s: %s", self._driver.env.uri, text)

    async def look(self) -> dict[str, NativeGuest]:
        """Return a listing that began after this call."""
        self._asked += 1
        mine = self._asked
        while True:
            if self._task is None or self._task.done():
                self._task = self._driver.env.loop.create_task(self._list(self._asked))
                self._task.add_done_callback(_retrieve)
            guests = await asyncio.shield(self._task)
            if self._done >= mine:
                return guests

    async def poll(self) -> bool:
        """Look for the poller; returns whether anything changed. Never raises."""
        self._changed = False
        try:
            await self.look()
        except MechaneError:
            return False  # said already, where it happened
        except Exception:  # noqa: BLE001 - the poller's edge: a bug of one listing must not end the watching
            self._log.exception("a listing of %s crashed", self._driver.env.uri)
            return False
        self._probe_stuck()
        return self._changed or any(w.missing_since is not None for w in self._driver.watched.values())

    async def stop(self) -> None:
        """End what runs."""
        tasks = [task for task in (self._task, *self._probes, *self._asks) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _list(self, serves: int) -> dict[str, NativeGuest]:
        before = {uuid: (watched, watched.generation) for uuid, watched in self._driver.watched.items()}
        try:
            guests = {guest.uuid: guest for guest in await self._driver.list_native()}
        except MechaneError as error:
            self._done = serves
            self._fell(error)
            raise
        self._done = serves
        self._rose()
        for uuid, (watched, generation) in before.items():
            fresh = self._driver.watched.get(uuid) is watched and watched.generation == generation
            if fresh and not watched.starting:
                self._compare(watched, guests.get(uuid))
        self._notice(guests)
        return guests

    def _compare(self, watched: Watched, guest: NativeGuest | None) -> None:
        if guest is not None and guest.active:
            self._changed = watched.meet(guest) or self._changed
            return
        now, driver = self._driver.clock(), self._driver
        if watched.missing_since is None:
            watched.missing_since = now
        may_return = guest is None and not watched.doomed and watched.ends_as == ""
        if not may_return or now - watched.missing_since >= driver.reboot_gap_s:
            self._changed = True
            driver.ended(watched, guest)

    def _notice(self, guests: dict[str, NativeGuest]) -> None:
        """Ask for a discovery when guests came, went or run that we did not start."""
        watched = self._driver.watched
        seen = frozenset((g.uuid, g.name, g.active and g.uuid not in watched) for g in guests.values())
        old, self._seen = self._seen, seen
        if old is None:
            return
        came = seen - old
        lost = {uuid for uuid, _, _ in old} - {uuid for uuid, _, _ in seen}
        if any(active or uuid not in {u for u, _, _ in old} for uuid, _, active in came) or (
            lost and Capability.NATIVE_DEFINITIONS in self._driver.capabilities
        ):
            self._changed = True
            self._driver.env.domains_changed()

    def _fell(self, error: MechaneError) -> None:
        for watched in self._driver.watched.values():
            watched.stick(self.COMMAND)
        if not self._down:
            self._down = error.message
            self.warn(f"guests cannot be listed: {error}")
            self._driver.env.connection_changed(up=False, message=error.message)

    def _rose(self) -> None:
        if self._down:
            self._down = ""
            self._driver.env.connection_changed(up=True, message="guests can be listed again")
        for watched in self._driver.watched.values():
            if watched.stuck == self.COMMAND:
                watched.unstick()

    def _probe_stuck(self) -> None:
        """Ask guests whose tool hung, each in growing pauses, a few at a time."""
        now = self._driver.clock()
        for watched in list(self._driver.watched.values()):
            if not watched.stuck or watched.probe_at > now or watched.probing:
                continue
            if len(self._probes) >= PROBES_AT_ONCE:
                return
            first, longest = PROBE_PAUSE_S
            watched.probe_pause_s = min(watched.probe_pause_s * 2 or first, longest)
            watched.probe_at = now + watched.probe_pause_s + self._driver.env.deadlines.query_s
            self._begin_probe(watched, self._probes)

    def ask(self, watched: Watched) -> None:
        """Ask a guest in the background whether it answers, unless that was done a moment ago."""
        now = self._driver.clock()
        if watched.probing or watched.asked_at + ASK_PAUSE_S > now or len(self._asks) >= ASKS_AT_ONCE:
            return
        watched.asked_at = now
        self._begin_probe(watched, self._asks)

    def _begin_probe(self, watched: Watched, tasks: set[asyncio.Task[None]]) -> None:
        watched.probing = True
        task = self._driver.env.loop.create_task(self._probe(watched))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _probe(self, watched: Watched) -> None:
        try:
            await self._driver.probe_guest(watched.target)
        except MechaneError:
            return  # it hangs (on), which was said where it happened
        finally:
            watched.probing = False
        watched.unstick()


def _retrieve(task: asyncio.Task[dict[str, NativeGuest]]) -> None:
    """Look at a failure whose listener went away, so that the loop does not complain."""
    if not task.cancelled():
        task.exception()
