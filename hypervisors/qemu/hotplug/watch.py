"""Which devices guests are letting go of, and what their events say of it. Loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..guest import Guest

REMOVED, REFUSED = "removed", "refused"
_ENDS = {"DEVICE_DELETED": REMOVED, "DEVICE_UNPLUG_GUEST_ERROR": REFUSED}
TRAY = "DEVICE_TRAY_MOVED"


class Watch:
    """Follows the device events of one guest."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._trays: dict[str, asyncio.Future[str]] = {}
        self._late: dict[str, Callable[[], None]] = {}

    def __call__(self, name: str, data: Mapping[str, Any]) -> None:
        """Take an event of QEMU."""
        if name in _ENDS:
            alias = str(data.get("device", ""))
            waited = self._settle(self._waiting, alias, _ENDS[name])
            late = self._late.pop(alias, None) if name == "DEVICE_DELETED" else None
            if late is not None and not waited:
                late()
        elif name == TRAY and data.get("tray-open"):
            self._settle(self._trays, str(data.get("id", "")), "open")

    @staticmethod
    def _settle(futures: dict[str, asyncio.Future[str]], alias: str, outcome: str) -> bool:
        """Tell who waits; returns whether somebody does."""
        future = futures.pop(alias, None)
        if future is None or future.done():
            return False
        future.set_result(outcome)
        return True

    def expect(self, alias: str) -> asyncio.Future[str]:
        """Return what becomes of a device: REMOVED or REFUSED. Call it before device_del is sent."""
        return self._future(self._waiting, alias)

    def expect_tray(self, alias: str) -> asyncio.Future[str]:
        """Return a future that is done when the drive's tray opens."""
        return self._future(self._trays, alias)

    @staticmethod
    def _future(futures: dict[str, asyncio.Future[str]], alias: str) -> asyncio.Future[str]:
        future = futures.get(alias)
        if future is None or future.done():
            future = futures[alias] = asyncio.get_running_loop().create_future()
        return future

    def when_removed(self, alias: str, call: Callable[[], None]) -> None:
        """Call back when a device goes although nobody waits for it any more."""
        self._late[alias] = call

    def forget(self, alias: str) -> None:
        """Stop waiting for a device."""
        self._waiting.pop(alias, None)
        self._trays.pop(alias, None)


def watch_of(guest: Guest) -> Watch:
    """Return who follows the device events of a guest."""
    if not isinstance(guest.watcher, Watch):
        guest.watcher = Watch()
    return guest.watcher
