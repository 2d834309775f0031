"""The driver of vbox:///session: VirtualBox 6.1 and 7 by VBoxManage, as the user who owns the machines.

VirtualBox keeps definitions itself. A machine is known by its UUID, which every command takes. Two lists tell
which machines there are and which run; those that run, and those that just stopped, are asked for their state
one by one, so that a machine whose session hangs holds up no other. What is met here:

- right after a stop the machine is still locked by the session that ends: such commands are tried again;
- `startvm` cannot start paused: the guest is paused as soon as it runs, some moments late;
- there is no graceful reboot: the ACPI button, and a start once the machine is off;
- a machine whose file cannot be read is listed without its name, and keeps the one it had;
- saved memory is a file of VirtualBox's own; it is copied out, and adopted again by a restore.

Everything runs on the connection's loop. Simulated in tests: the product does not run here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ...config.domain.document import parse
from ...config.errors import (
    Busy,
    InvalidArgument,
    MechaneError,
    NotFound,
    OperationInvalid,
    StartFailed,
    Unsupported,
)
from ...config.states import State
from ..abilities import ConsoleChannel
from ..contract import Capability, DriverEnv, HypervisorInfo, StartMode, StartRequest, Target
from ..facts import GuestEvent
from ..tooling.base import NativeGuest, SpawnedCall
from ..tooling.capabilities import FixedCapabilities
from ..tooling.socket_console import open_socket
from . import text
from .capabilities import GUESTS
from .console import serial_socket
from .read import xml_of
from .registration import Registration
from .saving import Saving
from .snaps import Snaps
from .stats import PATTERN, counters, stats_of

REBOOT_S = 120.0
"""Seconds that a guest has to switch itself off when a reboot was asked for."""
ASKED_AT_ONCE = 4
"""Machines that are asked for their state side by side."""
GONE = ("VBOX_E_INVALID_VM_STATE", "VBOX_E_OBJECT_NOT_FOUND")
MODES = (None, "default", "acpi")


class VboxDriver(FixedCapabilities, Registration, Saving, Snaps):
    """See the module."""

    kind = "vbox"
    schemes = ("vbox",)
    capabilities = frozenset(
        {Capability.NATIVE_DEFINITIONS, Capability.SUSPEND, Capability.RESET, Capability.SAVE, Capability.SNAPSHOTS,
         Capability.STATS, Capability.CONSOLE, Capability.DOMAIN_CAPABILITIES}
    )  # fmt: skip
    guests = GUESTS

    def __init__(self, env: DriverEnv, **options: Any) -> None:
        super().__init__(env, **options)
        self._known: dict[str, NativeGuest] = {}
        self._ran: set[str] = set()
        self._reboots: dict[str, asyncio.Task[None]] = {}
        self._few = asyncio.Semaphore(ASKED_AT_ONCE)

    # ---- the connection

    async def probe(self) -> HypervisorInfo:
        """Return VirtualBox's version."""
        result = await self.manage("--version", deadline_s=self.env.deadlines.probe_s)
        version = text.version_of(text.check(result).stdout)
        self.major = text.major_of(version)
        return HypervisorInfo(version=version)

    async def close(self) -> None:
        """Stop watching; a reboot that waits for its guest is given up."""
        tasks = list(self._reboots.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await super().close()

    async def list_native(self) -> Sequence[NativeGuest]:
        """List all registered machines with their states."""
        limit_s = self.env.deadlines.query_s
        listed = text.machines(text.check(await self.manage("list", "vms", deadline_s=limit_s)))
        running = text.machines(text.check(await self.manage("list", "runningvms", deadline_s=limit_s)))
        run = {each.uuid for each in running}
        guests = await asyncio.gather(*(self._guest(each, each.uuid in run) for each in listed))
        self._known = {guest.uuid: guest for guest in guests}
        self._ran = {guest.uuid for guest in guests if guest.active}
        return [guest for guest in guests if guest.name]

    async def _guest(self, listed: text.Listed, runs: bool) -> NativeGuest:
        known = self._known.get(listed.uuid)
        name = listed.name if listed.accessible else known.name if known is not None else ""
        target = Target(uuid=listed.uuid, name=name)
        guest = NativeGuest(
            uuid=listed.uuid, name=name, state=State.RUNNING if runs else State.SHUTOFF,
            native_id=listed.uuid if runs else "", xml=partial(self.get_definition, target),
        )  # fmt: skip
        if not listed.accessible or not name:
            return guest
        watched = self.watched.get(listed.uuid)
        if not runs and known is not None and not known.active and listed.uuid not in self._ran and watched is None:
            return replace(guest, state=known.state, reason=known.reason)
        if watched is not None and watched.stuck:
            return replace(guest, state=watched.state) if runs else guest
        state, reason = await self._state(target, guest)
        if listed.uuid in self._reboots and state is State.SHUTOFF:
            state, reason = State.RUNNING, "unknown"  # it comes back at once
        return replace(guest, state=state, reason=reason)

    async def _state(self, target: Target, guest: NativeGuest) -> tuple[State, str]:
        try:
            async with self._few:
                said = await self.said(target)
        except NotFound:
            return State.SHUTOFF, "unknown"  # removed since it was listed
        except MechaneError:
            if target.uuid not in self.watched:
                return guest.state, guest.reason
            return (self.watched[target.uuid].state, "unknown") if guest.active else (guest.state, guest.reason)
        state, reason = text.state_of(said["VMState"])
        if guest.active and (state is State.NOSTATE or (state is State.SHUTOFF and reason == "unknown")):
            return State.RUNNING, "unknown"  # listed as running a moment ago: the next look will tell
        return state, reason

    async def probe_guest(self, target: Target) -> None:
        """Ask for a machine's state."""
        await self.said(target)

    async def get_definition(self, target: Target) -> str:
        """Return a machine's definition as VirtualBox has it."""
        said = await self.said(target)
        return await self.env.pure(xml_of, said, size=sum(map(len, said.values())))

    # ---- the life of a guest

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Start a machine without a window; register it first where a start brings its own definition."""
        target = request.target
        if request.mode is StartMode.INCOMING:
            raise StartFailed("VirtualBox machines are not received by migration here", remedy="save and restore it")
        if await self.registered(target) is None:
            await self.define(target, request.xml)
        request.cancel.check()
        if request.mode is StartMode.RESTORE:
            await self.adopt_state(target, request.source)
        spawned()
        limit_s = self.env.deadlines.start_s
        result = await self.manage("startvm", target.uuid, "--type", "headless", target=target, deadline_s=limit_s,
                                   patient=True)  # fmt: skip
        if result.status != 0:
            try:
                text.check(result, target.name)
            except Busy:
                raise
            except MechaneError as error:
                raise StartFailed(error.message, remedy="look at the machine's Logs/VBox.log") from error
        if request.paused:
            await self.done("controlvm", target.uuid, "pause", target=target)
        request.cancel.check()

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Press the machine's ACPI button."""
        if mode not in MODES:
            raise InvalidArgument(f"VirtualBox knows no mode {mode!r}", remedy="use acpi", path="params.mode",
                                  allowed=["acpi"])  # fmt: skip
        self._forget_reboot(target)
        await self._press(target)

    async def _press(self, target: Target) -> None:
        watched = self.running(target)
        if watched.state is State.PAUSED:
            raise OperationInvalid(f"{target.name} is paused and sees no button", remedy="resume it first")
        await self.done("controlvm", target.uuid, "acpipowerbutton", target=target)

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Press the ACPI button, and start the machine again once it is off."""
        if mode not in MODES:
            raise InvalidArgument(f"VirtualBox knows no mode {mode!r}", remedy="use acpi", path="params.mode",
                                  allowed=["acpi"])  # fmt: skip
        if target.uuid in self._reboots:
            return
        await self._press(target)
        self._reboots[target.uuid] = self.env.loop.create_task(self._come_back(target))

    async def _come_back(self, target: Target) -> None:
        """Wait until a machine is off, then start it; a guest that pays no heed runs on."""
        watched = self.watched.get(target.uuid)
        try:
            end = self.clock() + REBOOT_S
            while (await self.said(target))["VMState"] not in ("poweroff", "aborted"):
                if self.clock() >= end or watched is None or watched.gone or watched.doomed:
                    return
                await asyncio.sleep(0.2)
            if watched is None or watched.gone or watched.doomed:
                return
            await self.done("startvm", target.uuid, "--type", "headless", target=target,
                            deadline_s=self.env.deadlines.start_s)  # fmt: skip
            watched.facts.put(GuestEvent(incarnation=watched.target.incarnation, kind="reboot", event="reboot"))
        except MechaneError as error:
            self._listing.warn(f"{target.name} did not come back from its reboot: {error}")
        finally:
            self._reboots.pop(target.uuid, None)
            self.kick()

    def _forget_reboot(self, target: Target) -> None:
        task = self._reboots.pop(target.uuid, None)
        if task is not None:
            task.cancel()

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """Pull the plug; a machine that is off already is fine."""
        self._forget_reboot(target)
        with suppress(NotFound, OperationInvalid):
            await self._power_off(target)

    async def _power_off(self, target: Target) -> None:
        result = await self.manage("controlvm", target.uuid, "poweroff", target=target, patient=True)
        if result.status != 0 and "is not currently running" not in result.stderr:
            text.check(result, target.name)

    async def clean(self, target: Target) -> None:
        """Forget that the machine ran."""
        self._forget_reboot(target)

    # ---- suspend, reset

    async def suspend(self, target: Target) -> None:
        """Stop a guest's processors."""
        self.running(target)
        await self.done("controlvm", target.uuid, "pause", target=target)
        self.changed(target, State.PAUSED, "user", "suspended", "paused")

    async def resume(self, target: Target) -> None:
        """Let a guest's processors go on."""
        self.running(target)
        await self.done("controlvm", target.uuid, "resume", target=target)
        self.changed(target, State.RUNNING, "unpaused", "resumed", "unpaused")

    async def reset(self, target: Target) -> None:
        """Press the reset button."""
        watched = self.running(target)
        await self.done("controlvm", target.uuid, "reset", target=target)
        watched.facts.put(GuestEvent(incarnation=watched.target.incarnation, kind="reboot", event="reboot"))

    # ---- console and statistics

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Connect to a serial port's socket; VirtualBox serves one client at a time."""
        self.running(target)
        if not self.host.local:
            raise Unsupported("serial ports of another host's machines cannot be reached", remedy="run a node there")
        name, path = serial_socket(parse(await self.get_definition(target)), device)
        return await open_socket(path, name, self.env.deadlines.query_s)

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics as the machine's debugger and its settings have them."""
        self.running(target)
        end = self.clock() + deadline_s
        result = await self.manage("debugvm", target.uuid, "statistics", "--pattern", PATTERN, target=target,
                                   deadline_s=deadline_s)  # fmt: skip
        counted = counters(result, target.name)
        settings: dict[str, str] = {}
        if groups & {"balloon", "vcpu"}:
            settings = await self.said(target, deadline_s=max(end - self.clock(), 0.01))
        return stats_of(counted, settings, groups)
