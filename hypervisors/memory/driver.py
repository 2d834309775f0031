"""The driver of test:///default: a hypervisor in memory that keeps state and can misbehave.

It does all of the contract and every optional protocol, so that the node and its clients
can be tried without an emulator. Guests die with the node unless the URI says
`?state=FILE`. Further options: `shutdown_ms=`, and the switches of switches.py. The monitor
commands that set switches at run time are in monitor.py, those of a domain's XML in plan.py.

A monitor told to hang behaves as a stopped QEMU: the command is reported stuck after the
deadline for queries, fails at the deadline of its own kind, and takes effect late when the
monitor is released. `forever` drops the deadline, as a broken driver would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...config.errors import DeadlineExceeded, InvalidArgument, NotFound, OperationInvalid
from ...config.states import State
from ..abilities import ConsoleChannel
from ..contract import (
    Capability,
    Driver,
    DriverEnv,
    Found,
    Handle,
    HypervisorInfo,
    Inspection,
    Started,
    StartMode,
    StartRequest,
    Target,
)
from ..facts import FactSink, Spawned
from . import monitor, report
from .guest import Guest, GuestKill, Surroundings
from .keeper import Keeper
from .keeping import Keeping, read_saved
from .plan import read_plan
from .shell import Shell
from .switches import Crash, Switch, Switches, from_options

VERSION = "mechane-test 1"


class MemoryDriver(Keeping, Driver):
    """Guests that are nothing but state. Everything runs on the connection's loop."""

    kind = "test"
    schemes = ("test",)
    capabilities = frozenset(
        {Capability.SUSPEND, Capability.RESET, Capability.MONITOR, Capability.STATS, Capability.CONSOLE,
         Capability.DOMAIN_CAPABILITIES, Capability.SAVE, Capability.SNAPSHOTS, Capability.HOTPLUG,
         Capability.MEMORY}
    )  # fmt: skip

    def __init__(
        self,
        env: DriverEnv,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(env)
        options = env.uri.options
        self._switches = Switches(from_options(options))
        self._around = Surroundings(
            loop=env.loop, clock=clock, wall=wall, changed=lambda _: self._save(), ended=self._ended
        )
        self._guests: dict[str, Guest] = {}
        self._found: list[Guest] = []
        self._definitions: dict[str, Switches] = {}
        self._snapshots = {}
        self._last_id = 0
        self._shutdown_ms = _milliseconds(options.get("shutdown_ms"))
        self._keeper = Keeper(Path(options["state"])) if "state" in options else None
        self._kept_open = False
        self._tests = monitor.TestCommands(self._guests, self._switches)

    # -- the connection

    async def open(self) -> HypervisorInfo:
        """Open the hypervisor: empty, or with the guests that its file kept."""
        await self._meet("open", self.env.deadlines.query_s)
        if self._keeper is not None and not self._kept_open:
            for kept in self._keeper.open():
                guest = Guest.thaw(kept, self._around)
                self._guests[guest.uuid] = guest
                self._found.append(guest)
                self._last_id = max(self._last_id, guest.id or 0)
            self._kept_open = True
        return HypervisorInfo(version=VERSION, details={"guests": len(self._guests)})

    async def close(self) -> None:
        """Let go; guests go on only in a state file."""
        await self._meet("close", self.env.deadlines.query_s)
        if self._keeper is not None and self._kept_open:
            self._kept_open = False
            self._keeper.close()

    async def discover(self) -> Sequence[Found]:
        """Return the guests of the state file that nobody has taken up."""
        await self._meet("discover", self.env.deadlines.query_s)
        return [report.found(guest) for guest in self._found if self._guests.get(guest.uuid) is guest]

    async def get_capabilities(self) -> dict[str, Any]:
        """Return the capabilities."""
        await self._meet("get_capabilities", self.env.deadlines.probe_s)
        return report.capabilities()

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Return what a domain may ask for.

        Raises:
            InvalidArgument: a virttype other than test.
        """
        await self._meet("get_domain_capabilities", self.env.deadlines.probe_s)
        if virttype not in (None, "test"):
            raise InvalidArgument(
                f"no virttype {virttype!r} here",
                path="params.virttype",
                allowed=["test"],
                remedy="leave it out",
            )
        return report.domain_capabilities(arch, machine)

    # -- definitions

    async def define(self, target: Target, xml: str) -> None:
        """Check a definition."""
        plan = await self.env.pure(read_plan, xml, size=len(xml))
        switches = Switches(tuple(Switch.of(kind, values) for kind, values in plan["switches"]))
        await self._meet("define", self.env.deadlines.change_s, switches)
        self._definitions.pop(target.uuid, None)
        if tuple(switches):
            self._definitions[target.uuid] = switches

    async def undefine(self, target: Target) -> None:
        """Forget a definition."""
        await self._meet("undefine", self.env.deadlines.change_s, self._definitions.get(target.uuid))
        self._definitions.pop(target.uuid, None)
        self._snapshots.pop(target.uuid, None)

    # -- the life of a guest

    async def start(self, request: StartRequest) -> Started:
        """Start a guest: record, spawn, wait for its monitor, go."""
        target = request.target
        if target.uuid in self._guests:
            raise OperationInvalid(f"{target.name} runs already", remedy="destroy it first")
        if request.mode is StartMode.RESTORE:
            await self.env.blocking(
                read_saved, request.source, target, deadline_s=self.env.deadlines.query_s, domain=target.uuid
            )
        plan = await self.env.pure(read_plan, request.xml, size=len(request.xml))
        if plan["shutdown_ms"] is None:
            plan["shutdown_ms"] = self._shutdown_ms
        guest = Guest(target, plan, request.facts, self._around)
        if guest.id is None:
            guest.id = self._last_id + 1
        self._last_id = max(self._last_id, guest.id)
        request.cancel.check()
        handle = report.handle(target.incarnation, complete=False)
        await request.record(handle)
        request.cancel.check()
        self._guests[guest.uuid] = guest
        self._save()
        try:
            return await self._bring_up(guest, request, handle)
        except BaseException:
            guest.exit("failed", message="the start did not come to its end")
            raise

    async def _bring_up(self, guest: Guest, request: StartRequest, handle: Handle) -> Started:
        kill = GuestKill(guest, self._around)
        request.facts.put(Spawned(incarnation=guest.incarnation, kill=kill))
        await asyncio.sleep(0)  # a process takes a while to come up, and may be killed meanwhile
        await self._meet("start", self.env.deadlines.start_s, guest.switches, guest)
        self._still(guest, request)
        handle = {**handle, "complete": True}
        await request.record(handle)
        self._still(guest, request)
        if request.paused:
            guest.place(State.PAUSED, "user")
        else:
            guest.place(State.RUNNING, "restored" if request.mode is StartMode.RESTORE else "booted")
        return Started(handle=handle, state=guest.state, reason=guest.reason, kill=kill)

    def _still(self, guest: Guest, request: StartRequest) -> None:
        request.cancel.check()
        if guest.gone:
            raise OperationInvalid(f"{guest.name} ended while it started", remedy="look at its events")

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take a guest up again when it still runs; one that hangs comes with its last state."""
        guest = self._guests.get(target.uuid)
        if guest is None:
            return None
        report.check(handle, target.name)
        self._found = [found for found in self._found if found is not guest]
        guest.facts, guest.incarnation = facts, target.incarnation
        guest.id = target.id if target.id is not None else guest.id
        kill = GuestKill(guest, self._around)
        facts.put(Spawned(incarnation=guest.incarnation, kill=kill))
        with contextlib.suppress(DeadlineExceeded):  # it was reported stuck, and recovers when released
            await self._meet("reattach", self.env.deadlines.query_s, guest.switches, guest)
        if guest.gone:
            return None
        return Started(handle=handle, state=guest.state, reason=guest.reason, kill=kill)

    async def abandon(self, target: Target, handle: Handle) -> None:
        """End what an unfinished start left."""
        await self._meet("abandon", self.env.deadlines.change_s)
        guest = self._guests.get(target.uuid)
        if guest is not None and handle.get("incarnation") == guest.frozen_incarnation:
            guest.exit("failed", message="the node died while it started")

    async def finished(self, target: Target) -> None:
        """Nothing is left to clean up; here so that it can be told to misbehave."""
        await self._meet("finished", self.env.deadlines.change_s)

    async def sweep(self, known: Mapping[str, Handle]) -> Sequence[str]:
        """Remove nothing: guests leave nothing behind."""
        await self._meet("sweep", self.env.deadlines.change_s)
        return ()

    async def inspect(self, target: Target) -> Inspection:
        """Return the guest's state; one that does not run is shut off."""
        guest = self._guests.get(target.uuid)
        if guest is None:
            await self._meet("inspect", self.env.deadlines.query_s)
            return Inspection(state=State.SHUTOFF, reason="unknown")
        await self._meet("inspect", self.env.deadlines.query_s, guest.switches, guest)
        return Inspection(state=guest.state, reason=guest.reason, id=guest.id)

    async def shutdown(self, target: Target, mode: str | None) -> None:
        """Press the guest's power button."""
        guest = self._running(target)
        await self._command(guest, "shutdown", guest.press_power_button)

    async def reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to boot again."""
        guest = self._running(target)
        await self._command(guest, "reboot", guest.restart)

    async def reset(self, target: Target) -> None:
        """Boot the guest again without asking it."""
        guest = self._running(target)
        await self._command(guest, "reset", guest.reset)

    async def suspend(self, target: Target) -> None:
        """Stop the guest's processors."""
        guest = self._running(target)
        await self._command(guest, "suspend", lambda: monitor.pause(guest, "user"))

    async def resume(self, target: Target) -> None:
        """Let the guest's processors go on."""
        guest = self._running(target)
        await self._command(guest, "resume", lambda: monitor.unpause(guest))

    async def destroy(self, target: Target, grace_s: float) -> None:
        """End a guest at once."""
        guest = self._running(target)
        await self._meet("destroy", self.env.deadlines.change_s, guest.switches)
        guest.exit("destroyed")

    # -- looking into a guest

    async def monitor_command(self, target: Target, command: str, *, hmp: bool, deadline_s: float) -> Any:
        """Carry out a monitor command; `test-…` ones go round whatever holds the monitor."""
        guest = self._running(target)
        if hmp:
            await self._meet("monitor_command", deadline_s, guest.switches, guest)
            return monitor.run_hmp(guest, command)
        parsed = monitor.Command.parse(command)
        if parsed.test:
            return self._tests.run(guest, parsed)
        await self._meet("monitor_command", deadline_s, guest.switches, guest)
        return monitor.run_qmp(guest, parsed, VERSION)

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics that grow with the guest's fake processor time."""
        guest = self._running(target)
        await self._meet("stats", deadline_s, guest.switches, guest)
        return report.stats_of(guest, groups)

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open a console with a small shell behind it.

        Raises:
            NotFound: the domain has no such device.
        """
        guest = self._running(target)
        await self._meet("open_console", self.env.deadlines.query_s, guest.switches, guest)
        devices = guest.plan["consoles"]
        name = device or (devices[0] if devices else "console0")
        if name not in devices:
            raise NotFound(
                f"{guest.name} has no console device {name!r}", remedy="add <console type='pty'/> to its XML",
                path="params.device", allowed=list(devices),
            )  # fmt: skip
        shell = Shell(guest, self.env.loop)
        guest.consoles.append(shell.close)
        fd = shell.take_fd()
        return ConsoleChannel(device=name, fd=fd, close=_closer(fd))

    # -- within

    def _running(self, target: Target) -> Guest:
        guest = self._guests.get(target.uuid)
        if guest is None:
            raise OperationInvalid(f"domain {target.name} is not running", remedy="start it first")
        return guest

    def _ended(self, guest: Guest) -> None:
        if self._guests.get(guest.uuid) is guest:
            del self._guests[guest.uuid]
        self._save()

    def _save(self) -> None:
        if self._keeper is not None and self._kept_open:
            self._keeper.save([guest.freeze() for guest in self._guests.values()])

    async def _command(self, guest: Guest, verb: str, effect: Callable[[], None]) -> None:
        """Send a changing command: it takes effect now, or when the monitor answers late."""

        def late() -> None:
            if not guest.gone:
                effect()

        await self._meet(verb, self.env.deadlines.change_s, guest.switches, guest, late)
        effect()

    async def _meet(
        self, verb: str, deadline_s: float, switches: Switches | None = None, guest: Guest | None = None,
        late: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Let the switches of the connection, then those of the guest, do their worst."""
        for each in (self._switches, switches):
            if each is None:
                continue
            if each.take("crash", verb) is not None:
                raise Crash(f"test-crash: {verb} was told to crash")
            fail = each.take("fail", verb)
            if fail is not None:
                raise fail.error()
            delay = each.take("delay", verb)
            hang = each.take("hang", verb)
            if delay is not None:
                await self._wait(verb, delay, deadline_s, guest, late)
            if hang is not None:
                await self._wait(verb, hang, deadline_s, guest, late)

    async def _wait(
        self, verb: str, hang: Switch, deadline_s: float, guest: Guest | None, late: Callable[[], None] | None
    ) -> None:
        try:
            if guest is not None:
                await guest.answer(
                    verb, hang, stuck_s=self.env.deadlines.query_s, deadline_s=deadline_s, late=late
                )
                return
            async with asyncio.timeout(None if hang.forever else deadline_s):
                await (asyncio.sleep(hang.seconds) if hang.seconds is not None else asyncio.Event().wait())
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{verb} had no answer within {deadline_s:g} s", remedy="release it with test-unhang",
                command=verb, still_running=late is not None,
            ) from error  # fmt: skip


def _milliseconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise InvalidArgument(
            f"shutdown_ms={text}: no number", path="shutdown_ms", remedy="give a number"
        ) from error


def _closer(fd: int) -> Callable[[], None]:
    def close() -> None:
        os.close(fd)

    return close
