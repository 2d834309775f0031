"""Take up guests that ran before the node was restarted, and end those that nobody owns.

A process is ours when its PID, its start time and the host's boot are those of the handle
and its command line names the guest's own folder. The pidfd is opened first and the checks
are made after it, so what is checked is what is watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...config.errors import ConnectionLost, MechaneError
from ...config.states import State
from ..contract import Handle, Started, Target
from ..facts import Fact, FactSink, Spawned
from .endings import Endings
from .guest import Guest
from .handle import GuestRecord
from .host.parts import adopt
from .process import QemuProcess
from .procfs import read_cmdline, read_stat
from .qmp import CommandKind, Monitor
from .states import state_of
from .strays import end_processes, sweep
from .workshop import Workshop

LOOK_S = 5.0
"""Seconds that reading command lines may take: see procfs.py."""
ANSWER_S = 2.0
"""Seconds that an adopted guest's monitor may take before the guest is adopted as it was recorded."""


class Adoption:
    """Finds guests again. Loop's thread."""

    def __init__(self, shop: Workshop, endings: Endings) -> None:
        self._shop = shop
        self._endings = endings

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a running guest; see `Driver.reattach`."""
        record = GuestRecord.of(handle, self._shop.env.runtime_dir)
        if record is None:
            return None
        guest = self._guest(target, record, facts)
        process = self._watch(guest, record)
        if process is None:
            await self._endings.clean(guest)
            return None
        # asked at once, while the command line is read: 30 guests answer side by side
        answer = self._shop.env.loop.create_task(self._answer(guest))
        if not await self._names(record):
            answer.cancel()
            process.forget()
            await self._endings.clean(guest)
            return None
        guest.process = process
        self._endings.guests[target.uuid] = guest
        facts.put(Spawned(incarnation=guest.incarnation, kill=process, pid=process.pid))
        try:
            await answer
        except (MechaneError, OSError) as error:
            self._shop.log.warning("%s runs, but its monitor does not answer: %s", target.name, error)
        if process.exited.is_set():
            del self._endings.guests[target.uuid]
            await self._endings.clean(guest)
            return None
        guest.live = True
        state, reason = guest.state
        return Started(handle=handle, state=state, reason=reason, pid=process.pid, kill=process)

    def _guest(self, target: Target, record: GuestRecord, facts: FactSink) -> Guest:
        guest = Guest(
            target, folder=self._shop.folder_of(Path(record.folder).name), log=self._shop.log_of(record.name),
            facts=facts, actions=self._endings,
        )  # fmt: skip
        guest.log_offset = record.log_offset
        guest.profile = record.profile
        guest.owners = list(record.owners)
        guest.holds = record.holds
        guest.threads = dict(record.threads)
        guest.leaving = {str(note["alias"]): note for note in record.leaving}
        adopt(self._shop, guest, record.host, same_boot=record.boot_id == self._shop.boot_id)
        guest.believe(State.NOSTATE, "unknown")
        return guest

    def _watch(self, guest: Guest, record: GuestRecord) -> QemuProcess | None:
        """Return the watched process of a record, or None when it is gone or another."""
        if not record.pid or record.boot_id != self._shop.boot_id:
            return None
        try:
            process = QemuProcess(
                record.pid, self._shop.env.loop, on_exit=guest.on_exit,
                on_stubborn=lambda: self._endings.stubborn(guest),
            )  # fmt: skip
        except OSError:
            return None
        stat = read_stat(record.pid)
        if stat is None or stat.ended or process.start_time != record.start_time:
            process.forget()
            return None
        return process

    async def _names(self, record: GuestRecord) -> bool:
        try:
            words = await self._shop.env.blocking(read_cmdline, record.pid, deadline_s=LOOK_S)
        except MechaneError:
            return True  # it hangs in the kernel; PID, start time and boot are proof enough
        return any(record.folder in word for word in words)

    async def _answer(self, guest: Guest) -> None:
        """Connect and ask for the state. A monitor that hangs is followed in the background.

        When the late reply comes, `Monitor` says that it is back; a query changes nothing, so
        the state is looked up anew by `_catch_up`.
        """
        monitor = self._endings.connect(guest)
        await self._ask(guest, monitor)

    async def _ask(self, guest: Guest, monitor: Monitor) -> None:
        try:
            reply = await monitor.execute("query-status", kind=CommandKind.QUERY, deadline_s=ANSWER_S)
        except MechaneError:
            if monitor.stuck is not None:
                self._shop.later(self._catch_up(guest))
            raise
        guest.believe(*state_of(reply["status"]))
        if reply["status"] == "shutdown" and guest.profile.on_poweroff == "destroy":
            guest.expect_end("shutdown")  # it finished while nobody looked
            self._endings.end(guest)

    async def _catch_up(self, guest: Guest) -> None:
        """Report the state of a guest whose monitor hung at the adoption, once it answers."""
        assert guest.monitor is not None
        while not guest.monitor.closed:
            try:
                await self._endings.ask_state(guest)
            except ConnectionLost:
                return
            except MechaneError:
                continue  # each try waits its own deadline
            return

    # ---- what nobody owns

    async def abandon(self, target: Target, handle: Handle) -> None:
        """End whatever an unfinished start left behind, and remove its files."""
        record = GuestRecord.of(handle, self._shop.env.runtime_dir)
        folder = str(self._shop.folder_of(target.uuid).path)
        await self._shop.env.blocking(end_processes, folder, deadline_s=LOOK_S)
        guest = Guest(
            target, folder=self._shop.folder_of(target.uuid), log=self._shop.log_of(target.name),
            facts=_Nowhere(), actions=self._endings,
        )  # fmt: skip
        if record is not None:
            guest.owners = list(record.owners)
            adopt(self._shop, guest, record.host, same_boot=record.boot_id == self._shop.boot_id)
        await self._endings.clean(guest, search=True)

    async def sweep(self, known: Mapping[str, Handle]) -> list[str]:
        """End guests of our folders that no handle knows, and remove folders of none.

        A start registers its guest before it makes the folder, so whoever is not registered
        once the folder was seen is nobody's.
        """
        guests = self._endings.guests

        def is_ours(uuid: str) -> bool:
            return uuid in guests or uuid in known

        ended: list[str] = await self._shop.env.blocking(
            sweep, self._shop.env.runtime_dir, is_ours, deadline_s=self._shop.env.deadlines.tool_s
        )
        return ended


class _Nowhere:
    """Takes facts of what was never a guest."""

    def put(self, fact: Fact) -> None:
        """Nobody asked."""
