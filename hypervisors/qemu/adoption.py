"""Take up guests that ran before the node was restarted, and find those that no record fits.

A process is ours when its PID, its start time and the host's boot are those of the handle
and its command line names the guest's own folder. The pidfd is opened first and the checks
are made after it, so what is checked is what is watched. Where the handle does not fit, the guest is looked for by
its lock and its folder (strays.py): a record that is too old never makes a running guest "shut off".
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ...config.errors import ConnectionLost, MechaneError, OperationFailed
from ...config.states import State
from ..contract import Found, Handle, Itself, Started, Target
from ..facts import Fact, FactSink, Spawned
from . import live
from .endings import Endings
from .folder import GuestFolder
from .guest import Guest
from .handle import GuestRecord
from .host.parts import adopt
from .process import QemuProcess
from .procfs import read_cmdline, read_stat
from .qmp import CommandKind, Monitor
from .states import state_of
from .strays import Emulator, emulators, end_processes, find, is_guest, look_around, sweep
from .workshop import Workshop

LOOK_S = 5.0
"""Seconds that reading command lines may take: see procfs.py."""
OFFLOADED = 1 << 20
"""Reading a command line takes some ms of plain Python: as if it were large."""
RUNNING = Itself("guests that run")
ANSWER_S = 2.0
"""Seconds that an adopted guest's monitor may take before the guest is adopted as it was recorded."""


class Adoption:
    """Finds guests again. Loop's thread."""

    def __init__(self, shop: Workshop, endings: Endings) -> None:
        self._shop = shop
        self._endings = endings

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a running guest; see `Driver.reattach`."""
        record = GuestRecord.of(handle, target, self._shop.env.runtime_dir)
        guest = self._guest(target, record, facts)
        process = self._watch(guest, record)
        # asked at once, while the command line is read: 30 guests answer side by side
        answer = self._ask_soon(guest, process)
        if process is None or not await self._names(record):
            await self._forget(process, answer)
            process, record = await self._search(guest, record)
            if process is None:
                await self._endings.tidy(guest, self._endings.clean(guest))
                return None
            answer = self._ask_soon(guest, process)
        guest.process = process
        self._endings.guests[target.uuid] = guest
        facts.put(Spawned(incarnation=guest.incarnation, kill=process, pid=process.pid))
        try:
            await answer
        except (MechaneError, OSError) as error:
            self._shop.log.warning("%s runs, but its monitor does not answer: %s", target.name, error)
        if process.exited.is_set():
            del self._endings.guests[target.uuid]
            await self._endings.tidy(guest, self._endings.clean(guest))
            return None
        guest.live = True
        state, reason = guest.state
        handle = replace(record, threads=guest.threads).to_handle()
        return Started(handle=handle, state=state, reason=reason, pid=process.pid, kill=process)

    def _ask_soon(self, guest: Guest, process: QemuProcess | None) -> asyncio.Task[None]:
        guest.process = process
        return self._shop.env.loop.create_task(self._answer(guest))

    async def _forget(self, process: QemuProcess | None, answer: asyncio.Task[None]) -> None:
        answer.cancel()
        await asyncio.wait([answer])
        if process is not None:
            process.forget()

    async def _search(self, guest: Guest, record: GuestRecord) -> tuple[QemuProcess | None, GuestRecord]:
        """Find the process of a guest that its handle does not fit, and the handle that does.

        Raises:
            OperationFailed: something holds its lock and cannot be found.
        """
        uuid = guest.target.uuid
        try:
            found = await self._shop.env.blocking(
                find, self._shop.env.runtime_dir, uuid, self._shop.users, deadline_s=LOOK_S, domain=uuid
            )
        except LookupError as error:
            raise OperationFailed(
                f"a process holds the lock of {guest.target.name} and cannot be found", remedy="`lslocks` names it; "
                "end it, then `mechane reattach`", uuid=uuid,
            ) from error  # fmt: skip
        if found is None:
            return None, record
        record = replace(record, pid=found.pid, start_time=found.start_time, boot_id=self._shop.boot_id,
                         holds="-no-shutdown" in found.argv, threads={})  # fmt: skip
        guest.holds, guest.threads = record.holds, {}
        self._shop.log.warning("%s was found by its folder: process %d", guest.target.name, found.pid)
        return self._watch(guest, record), record

    def _guest(self, target: Target, record: GuestRecord, facts: FactSink) -> Guest:
        guest = Guest(
            target, folder=GuestFolder(Path(record.folder)), log=self._shop.log_of(record.name),
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
            words = await self._shop.env.blocking(
                read_cmdline, record.pid, deadline_s=LOOK_S, domain=Itself(f"process {record.pid}")
            )
        except MechaneError:
            return True  # it hangs in the kernel; PID, start time and boot are proof enough
        return any(record.folder in word for word in words)

    async def _answer(self, guest: Guest) -> None:
        """Connect and ask for the state. A monitor that hangs is followed in the background.

        When the late reply comes, `Monitor` says that it is back; a query changes nothing, so
        the state is looked up anew by `_catch_up`.
        """
        if guest.process is None:
            return
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
        if not guest.threads:
            with suppress(MechaneError):  # statistics of its processors are missing then
                cpus = await monitor.execute(live.CPUS.name, kind=CommandKind.QUERY, deadline_s=ANSWER_S)
                guest.threads = live.threads({live.CPUS.name: cpus})
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

    # ---- what nobody knows

    async def look_around(self) -> None:
        """Look which guests run, before anything is started; see strays.py."""
        self._shop.surveyed = await self._shop.blocking(
            look_around, self._shop.env.runtime_dir, self._shop.users, domain=RUNNING
        )

    async def discover(self) -> list[Found]:
        """Return the guests that run and that nobody has taken up, with what their command lines tell."""
        running = await self._shop.env.blocking(
            look_at, self._shop.env.runtime_dir, self._shop.users, deadline_s=self._shop.env.deadlines.tool_s,
            domain=RUNNING,
        )  # fmt: skip
        return [
            await self._found(emulator) for emulator in running
            if is_guest(emulator.folder) and emulator.folder not in self._endings.guests
        ]  # fmt: skip

    async def _found(self, emulator: Emulator) -> Found:
        target = Target(uuid=emulator.folder, name=emulator.name)
        record = replace(
            GuestRecord.of({}, target, self._shop.env.runtime_dir), emulator=emulator.argv[0], pid=emulator.pid,
            start_time=emulator.start_time, boot_id=self._shop.boot_id, holds="-no-shutdown" in emulator.argv,
        )  # fmt: skip
        xml = await self._shop.env.pure(definition_of, emulator.argv, target.uuid, size=OFFLOADED)
        return Found(uuid=target.uuid, name=target.name, state=State.RUNNING, reason="unknown", xml=xml,
                     handle=record.to_handle(), persistent=False)  # fmt: skip

    async def abandon(self, target: Target, handle: Handle) -> None:
        """End whatever an unfinished start left behind, and remove its files.

        A process that is another than the one of that start is left alone: somebody started the guest since.
        """
        record = GuestRecord.of(handle, target, self._shop.env.runtime_dir)
        folder = GuestFolder(Path(record.folder))
        if record.pid and await self._is_another(target, record):
            self._shop.log.warning("%s runs from a later start than the one that was not finished", target.name)
            return
        processes = Itself(f"the processes of {target.uuid}")  # whatever its storage does
        await self._shop.env.blocking(end_processes, str(folder.path), deadline_s=LOOK_S, domain=processes)
        guest = Guest(
            target, folder=folder, log=self._shop.log_of(target.name), facts=_Nowhere(), actions=self._endings
        )
        guest.owners = list(record.owners)
        adopt(self._shop, guest, record.host, same_boot=record.boot_id == self._shop.boot_id)
        await self._endings.tidy(guest, self._endings.clean(guest, search=True))

    async def _is_another(self, target: Target, record: GuestRecord) -> bool:
        try:
            found: Emulator | None = await self._shop.env.blocking(
                find, self._shop.env.runtime_dir, target.uuid, self._shop.users, deadline_s=LOOK_S, domain=target.uuid
            )
        except LookupError:
            return True
        return found is not None and (found.pid, found.start_time) != (record.pid, record.start_time)

    async def sweep(self, known: Mapping[str, Handle]) -> list[str]:
        """Remove folders of guests that no handle knows and that do not run.

        A start registers its guest before it makes the folder, so whoever is not registered
        once the folder was seen is nobody's.
        """
        guests = self._endings.guests

        def is_ours(uuid: str) -> bool:
            return uuid in guests or uuid in known

        removed: list[str] = await self._shop.env.blocking(
            sweep, self._shop.env.runtime_dir, is_ours, self._shop.users, domain=Itself("guests that nobody owns"),
            deadline_s=self._shop.env.deadlines.tool_s,
        )  # fmt: skip
        return removed


def look_at(runtime_dir: Path, users: frozenset[int]) -> list[Emulator]:
    """Return the emulators that run for us. Blocks."""
    return list(emulators(runtime_dir, users))


def definition_of(argv: tuple[str, ...], uuid: str) -> str | None:
    """Return the definition that a command line tells of, as far as it can be read; pure, for the worker process."""
    from .native import from_native

    try:
        xml = from_native(shlex.join(argv))
    except MechaneError:
        return None
    return re.sub(r"<uuid>[^<]*</uuid>", f"<uuid>{uuid}</uuid>", xml, count=1)


class _Nowhere:
    """Takes facts of what was never a guest."""

    def put(self, fact: Fact) -> None:
        """Nobody asked."""
