"""Save a running guest to a file and end it.

Guarantees:
- the guest is ended only after the file is on the disk and says that it is complete;
- until then whatever fails, or a caller that goes away, removes the file and lets the guest
  run on as before; where its monitor hangs that is done as soon as it answers again;
- one lifecycle event is reported, stopped with the reason saved.

Everything runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from ....config.errors import (
    Busy,
    ConnectionLost,
    DeadlineExceeded,
    MechaneError,
    OperationFailed,
    OperationInvalid,
    OutcomeUnknown,
)
from ....config.states import State
from ...contract import Outcome, Target
from ...facts import StateChanged
from ..guest import Guest
from ..power import Power
from ..qmp import CommandKind, Monitor
from ..workshop import Workshop
from .broken import COMPLETE, PARTIAL, discard, progress_of, seal
from .saved import Description, SavedFile, check_absent
from .transfer import cancel, carry

SEAL_S = 600.0
"""Seconds for writing a guest's memory back to a slow disk."""
END_GRACE_S = 5.0
DEATH_S = 30.0
"""Seconds that the saved guest's process has to end."""
BACK_S = 10.0
"""Seconds that a failed save waits until its guest runs again; a hung monitor is not waited for."""
STOPPED = ("paused", "postmigrate", "finish-migrate")
"""What QEMU calls a guest that was stopped to be saved (qapi/run-state.json of QEMU 7.2)."""
WRITTEN = "postmigrate"
"""… and one whose state is written to its end."""
SAVEABLE = (State.RUNNING, State.PAUSED)


class Saving:
    """Saves guests of one connection."""

    def __init__(self, shop: Workshop, power: Power, wall_clock: Callable[[], float] = time.time) -> None:
        self._shop = shop
        self._power = power
        self._clock = wall_clock

    async def save(self, target: Target, path: str) -> None:
        """Save a guest; see the module and the protocol `Save`."""
        guest, monitor = self._power.guest(target), self._power.monitor(target)
        check_free(guest)
        state = guest.state
        if state[0] not in SAVEABLE:
            raise OperationInvalid(f"{target.name} is {state[0].value}, not running or paused",
                                   remedy="wake it, or destroy it", state=state[0].value)  # fmt: skip
        guest.keeping = True
        try:
            description = await self._describe(guest, monitor)
            await self._shop.blocking(check_absent, path, domain=target.uuid)
            await self._shop.env.intend(target.uuid, {
                "kind": "save", "path": path, "saved_at": description.saved_at, "state": state[0].value,
            })  # fmt: skip
            file: SavedFile = await self._shop.blocking(
                SavedFile, path, description, domain=target.uuid, undo=SavedFile.discard
            )
        except BaseException:
            guest.keeping = False
            raise
        try:
            await self._write(guest, monitor, file)
        except BaseException:
            going = self._shop.keep(target.uuid, self._go_back(guest, monitor, file, state))
            await asyncio.wait([going], timeout=BACK_S)
            raise
        await asyncio.shield(self._shop.keep(target.uuid, self._finish(guest, file)))

    async def _describe(self, guest: Guest, monitor: Monitor) -> Description:
        greeting = (monitor.greeting or {}).get("version", {}).get("qemu", {})
        return Description(
            uuid=guest.target.uuid, name=guest.target.name, state=guest.state[0].value, saved_at=self._clock(),
            version=(greeting.get("major", 0), greeting.get("minor", 0), greeting.get("micro", 0)),
            xml=await self._shop.env.definition(guest.target.uuid),
        )  # fmt: skip

    async def _write(self, guest: Guest, monitor: Monitor, file: SavedFile) -> None:
        change_s = self._shop.env.deadlines.change_s
        if guest.state[0] is State.RUNNING:
            await monitor.execute("stop", kind=CommandKind.CHANGE, deadline_s=change_s)
            tell(guest, State.PAUSED, "save")
        await carry(guest, monitor, file.fd, incoming=False, change_s=change_s)
        await self._shop.env.blocking(file.seal, deadline_s=SEAL_S, domain=guest.target.uuid)

    async def _finish(self, guest: Guest, file: SavedFile) -> None:
        try:
            await self._end(guest, file.path)
        finally:
            guest.keeping = False
            await self._shop.clean_up(file.close, uuid=guest.target.uuid, what=file.path)

    async def _end(self, guest: Guest, path: str) -> None:
        """End the saved guest; its exit is reported before this returns."""
        assert guest.process is not None
        guest.expect_end("saved")
        guest.process.kill(END_GRACE_S)
        try:
            await asyncio.wait_for(guest.process.exited.wait(), DEATH_S)
        except TimeoutError as error:
            raise OperationFailed(
                f"{guest.target.name} is saved in {path}, but its process does not end",
                remedy="destroy it, then restore it from the file", path=path, saved=True,
            ) from error  # fmt: skip

    async def mend(self, target: Target, guest: Guest | None, note: Mapping[str, Any]) -> Outcome:
        """Settle a save that was broken off: a state that is complete counts, else the guest runs on.

        Args:
            target: whose it is.
            guest: the running guest, or None where it has ended.
            note: what was to be saved where.

        Raises:
            As the monitor does.
        """
        path, saved_at = note["path"], note["saved_at"]
        progress = await self._shop.blocking(progress_of, path, target.uuid, saved_at, domain=target.uuid)
        if guest is None:
            if progress == PARTIAL:
                await self._shop.blocking(discard, path, target.uuid, saved_at, domain=target.uuid)
            return Outcome(done=progress == COMPLETE)
        monitor = self._power.monitor(target)
        query_s = self._shop.env.deadlines.query_s
        moved = await monitor.execute("query-migrate", kind=CommandKind.QUERY, deadline_s=query_s)
        now = await monitor.execute("query-status", kind=CommandKind.QUERY, deadline_s=query_s)
        # query-migrate alone may tell of the restore that the guest came from
        if progress == PARTIAL and moved.get("status") == "completed" and now["status"] == WRITTEN:
            await self._shop.env.blocking(
                seal, path, target.uuid, saved_at, deadline_s=SEAL_S, domain=target.uuid
            )
            progress = COMPLETE
        if progress == COMPLETE:
            await self._end(guest, path)
            return Outcome(done=True)
        await self._resume(guest, monitor, State(note["state"]), moved=bool(moved.get("status")))
        await self._shop.blocking(discard, path, target.uuid, saved_at, domain=target.uuid)
        return Outcome(done=False)

    async def _go_back(self, guest: Guest, monitor: Monitor, file: SavedFile, state: tuple[State, str]) -> None:
        """Remove the file and let the guest be as it was, as soon as its monitor answers."""
        try:
            await self._shop.clean_up(file.discard, uuid=guest.target.uuid, what=file.path)
            while not monitor.closed:
                try:
                    await self._resume(guest, monitor, state[0])
                except DeadlineExceeded:
                    continue  # each try waits its own deadline
                return
        except (ConnectionLost, OutcomeUnknown):
            return  # it ended, which is reported by itself
        except MechaneError as error:
            self._shop.log.error("%s was not saved and does not run on: %s", guest.target.name, error)
        finally:
            guest.keeping = False

    async def _resume(self, guest: Guest, monitor: Monitor, state: State, *, moved: bool = True) -> None:
        """Stop the migration, if there may be one, and let the guest run where it ran."""
        change_s = self._shop.env.deadlines.change_s
        if moved:
            await cancel(monitor, change_s=change_s)
        if state is not State.RUNNING:
            return
        now = await monitor.execute("query-status", kind=CommandKind.QUERY, deadline_s=change_s)
        if now["status"] in STOPPED:
            await monitor.execute("cont", kind=CommandKind.CHANGE, deadline_s=change_s)
            tell(guest, State.RUNNING, "save_canceled")


def check_free(guest: Guest) -> None:
    """Refuse a second change of a guest's state while one is under way.

    Raises:
        Busy: there is one.
    """
    if guest.keeping:
        raise Busy(f"the state of {guest.target.name} is being saved or brought back", remedy="wait for that",
                   what="state", limit=1)  # fmt: skip


def tell(guest: Guest, state: State, reason: str, event: str = "", detail: str = "") -> None:
    """Report a state."""
    guest.report(StateChanged(incarnation=guest.incarnation, state=state, reason=reason, event=event, detail=detail))
