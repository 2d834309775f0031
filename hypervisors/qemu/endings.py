"""What becomes of guests: resets that events ask for, lost monitors, exits, and cleaning up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from ...config.errors import MechaneError
from ..contract import Itself, Target
from .cleanup import clean_up, give_back
from .guest import Guest, GuestActions
from .procfs import where_it_hangs
from .qmp import Command, CommandKind, Monitor
from .states import state_of
from .workshop import Workshop, own_files

TIDY_S = 1.5
"""Seconds that a clean-up is waited for; it takes 5 ms (measured)."""
DEATH_S = 10.0
RECONNECT_S = 0.05
CONNECTS = 3
SHUTDOWN_GRACE_S = 2.0


class Endings(GuestActions):
    """Keeps the connection's guests, and does what their events and exits ask for. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self.guests: dict[str, Guest] = {}

    # ---- GuestActions

    def restart(self, guest: Guest) -> None:
        """Reset a guest that stopped in order to reboot, and let it run again."""
        self._shop.later(self._restart(guest))

    async def _restart(self, guest: Guest) -> None:
        deadline_s = self._shop.env.deadlines.change_s
        try:
            assert guest.monitor is not None
            await guest.monitor.execute_all(
                (Command("system_reset"), Command("cont")), kind=CommandKind.CHANGE, deadline_s=deadline_s
            )
            if not guest.holds:
                await guest.monitor.execute(
                    "set-action", {"shutdown": "poweroff"}, kind=CommandKind.CHANGE, deadline_s=deadline_s
                )
        except MechaneError as error:
            self._shop.log.warning("%s could not be rebooted: %s", guest.target.name, error)
        finally:
            guest.rebooting = False

    def end(self, guest: Guest) -> None:
        """End the process of a guest that has finished."""
        if guest.process is not None:
            guest.process.kill(SHUTDOWN_GRACE_S)

    def look(self, guest: Guest) -> None:
        """Ask for the state after a late reply, report it, then that the monitor is back."""
        self._shop.later(self._look(guest))

    async def _look(self, guest: Guest) -> None:
        with suppress(MechaneError):  # stuck again, or gone: that is reported by itself
            await self.ask_state(guest)
            guest.is_back()

    async def ask_state(self, guest: Guest) -> None:
        """Ask QEMU for the state and report it where it is another than the known one.

        An event that came meanwhile is believed rather than the answer, which may be older.
        """
        assert guest.monitor is not None
        changes = guest.changes
        reply = await guest.monitor.execute(
            "query-status", kind=CommandKind.QUERY, deadline_s=self._shop.env.deadlines.query_s
        )
        if guest.changes == changes:
            guest.correct(*state_of(reply["status"]))

    def lost(self, guest: Guest) -> None:
        """Connect again to a monitor that broke off although its process runs."""
        if guest.live:
            self._shop.later(self._reconnect(guest))

    async def _reconnect(self, guest: Guest) -> None:
        process = guest.process
        for _ in range(CONNECTS):
            await asyncio.sleep(RECONNECT_S)
            if process is None or process.exited.is_set() or self.guests.get(guest.target.uuid) is not guest:
                return
            with suppress(OSError):  # nobody listens any more: QEMU is about to end
                self.connect(guest)
                await self._look(guest)
                return
        self._shop.log.error("%s runs, but its monitor is gone; destroy and get_info still work", guest.target.name)

    def connect(self, guest: Guest) -> Monitor:
        """Connect to a guest's monitor, at once.

        Raises:
            OSError: nobody listens.
        """
        assert guest.process is not None
        monitor = Monitor(
            guest.folder.connect(guest.process.pid), self._shop.env.loop, guest, name=guest.target.name,
            crowd=self._shop.crowd,
        )  # fmt: skip
        guest.monitor = monitor
        return monitor

    def exited(self, guest: Guest) -> None:
        """Report an exit; a crash with QEMU's last words."""
        if guest.exit_reason() != "crashed":
            guest.report_exit("")
        else:
            self._shop.later(self._report_crash(guest))

    async def _report_crash(self, guest: Guest) -> None:
        said = ""
        try:
            said = await self._shop.blocking(guest.log.tail, guest.log_offset, domain=own_files(guest.target.uuid))
        except MechaneError as error:
            said = f"its log cannot be read: {error.message}"
        finally:
            guest.report_exit(said)

    def stubborn(self, guest: Guest) -> None:
        """Report a process that SIGKILL does not end, with its cause."""
        self._shop.later(self._report_zombie(guest))

    async def _report_zombie(self, guest: Guest) -> None:
        assert guest.process is not None
        pid = guest.process.pid
        try:
            cause = await self._shop.env.blocking(
                where_it_hangs, pid, deadline_s=2.0, domain=Itself(f"process {pid}")
            )
        except MechaneError:
            cause = "unknown: even /proc does not answer"
        if not guest.process.exited.is_set():
            guest.report_zombie(f"process {pid} does not die: {cause}")

    # ---- cleaning up

    async def discard(self, guest: Guest) -> None:
        """Take away all of a start that failed; what the kernel or its storage holds is taken away when it comes."""
        process = guest.process
        alive = process is not None and not process.exited.is_set()
        if process is not None and alive:
            process.kill(0.0)
        what = f"process {process.pid}, which does not die" if process is not None and alive else ""
        await self.tidy(guest, self._discard(guest), what=what)

    async def _discard(self, guest: Guest) -> None:
        if guest.process is not None:
            await guest.process.exited.wait()
        if self.guests.get(guest.target.uuid) is guest:
            del self.guests[guest.target.uuid]
        await self.clean(guest)

    async def tidy(self, guest: Guest, work: Coroutine[Any, Any, None], *, what: str = "") -> None:
        """Clean up after a guest; what takes long goes on behind the caller, and the node says what is left."""
        name, uuid = guest.target.name, guest.target.uuid
        what = what or f"what was made for {name}"
        if not await self._shop.env.tidy(work, domain=uuid, what=what, wait_s=TIDY_S):
            self._shop.log.warning("the clean-up after %s goes on: %s", name, what)

    async def finished(self, target: Target) -> None:
        """Clean up after a guest that exited."""
        guest = self.guests.get(target.uuid)
        if guest is None:
            await self._shop.blocking(self._shop.folder_of(target.uuid).remove, domain=own_files(target.uuid))
        elif guest.incarnation == target.incarnation:
            await self.tidy(guest, self.clean(guest))
            if self.guests.get(target.uuid) is guest:  # known until then, where it failed: the next time does it
                del self.guests[target.uuid]

    async def clean(self, guest: Guest, *, search: bool = False) -> None:
        """Close the monitor, and give back what the guest used on the host, `search`: as far as it is found."""
        if guest.monitor is not None:
            guest.monitor.close()
        if guest.grouping is not None:
            await asyncio.wait([guest.grouping], timeout=DEATH_S)
        await guest.host.end_helpers()
        self._shop.ports.release(guest.target.uuid)
        shop, uuid = self._shop, guest.target.uuid
        await give_back(
            shop, uuid, guest.owners if shop.options.set_ownership else (), overlays=shop.env.state_dir / "nvram",
            sockets=[item.path for item in guest.profile.consoles if item.kind == "unix"],
        )  # fmt: skip
        problems = await shop.env.blocking(
            lambda: clean_up(guest.folder, uuid, cgroups=shop.options.cgroups, host=guest.host, search=search),
            deadline_s=DEATH_S, domain=own_files(uuid),
        )  # fmt: skip
        for problem in problems:
            shop.log.warning("after %s: %s", guest.target.name, problem)
