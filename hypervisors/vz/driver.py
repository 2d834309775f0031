"""The driver of vz:///system: guests of Virtuozzo 7 by prlctl and prlsrvctl, here or over SSH.

Virtuozzo keeps definitions itself and knows guests by UUID, which every command takes. What is met here:

- prlctl's JSON is not escaped: lists are read as a table, descriptions mended, and such names refused on defining;
- `snapshot-list` names no names: they are asked for by the id, or remembered from the snapshot's making;
- prlctl cannot start a guest paused: it is paused as soon as it runs, some moments late;
- a resume from pause is `prlctl resume` (as users of Parallels do it; the reference speaks of suspended guests only);
- undefine unregisters: the guest's files stay.

Simulated in tests: the product does not run here. Containers are shown and driven, virtual machines defined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ...config.errors import (
    InvalidArgument,
    MechaneError,
    NotFound,
    OperationFailed,
    OperationInvalid,
    StartFailed,
    Unsupported,
)
from ...config.states import State
from ..abilities import ConsoleChannel, SnapshotInfo
from ..contract import Capability, HypervisorInfo, StartMode, StartRequest, Target
from ..facts import GuestEvent
from ..tooling.asking import SoftAsking
from ..tooling.base import NativeGuest, SpawnedCall, ToolDriver
from ..tooling.capabilities import FixedCapabilities
from ..tooling.run import ToolResult
from ..tooling.terminal import open_channel
from . import text
from .capabilities import GUESTS
from .definition import plan_of, xml_of
from .stats import counters, stats_of

MODES = (None, "default", "acpi")
CONSOLE = "console0"
SNAPSHOT_S = 900.0
SOFT_S = 300.0
"""How long prlctl may wait for a guest that shuts down; the product gives it two minutes."""
GONE = (NotFound, OperationInvalid)


class VzDriver(FixedCapabilities, SoftAsking, ToolDriver):
    """See the module. Everything runs on the connection's loop."""

    kind = "vz"
    schemes = ("vz",)
    capabilities = frozenset(
        {Capability.NATIVE_DEFINITIONS, Capability.SUSPEND, Capability.RESET, Capability.SNAPSHOTS, Capability.STATS,
         Capability.CONSOLE, Capability.DOMAIN_CAPABILITIES}
    )  # fmt: skip
    guests = GUESTS

    async def prlctl(self, *words: str, target: Target | None = None, deadline_s: float | None = None) -> ToolResult:
        """Run prlctl; see `tool`."""
        return await self.tool([str(self.env.settings.get("prlctl", "prlctl")), *words], target=target,
                               verb=f"prlctl {words[0]}", deadline_s=deadline_s)  # fmt: skip

    async def done(self, *words: str, target: Target, deadline_s: float | None = None) -> ToolResult:
        """Run prlctl for a guest; raise what its failure means."""
        return text.check(await self.prlctl(*words, target=target, deadline_s=deadline_s), target.name)

    # ---- the connection

    async def probe(self) -> HypervisorInfo:
        """Return Virtuozzo's version."""
        tool = str(self.env.settings.get("prlsrvctl", "prlsrvctl"))
        result = text.check(await self.tool([tool, "info"], deadline_s=self.env.deadlines.probe_s))
        found = re.search(r"^Version:\s*(.+)$", result.stdout, re.MULTILINE)
        if found is None:
            raise OperationFailed("prlsrvctl info names no version", remedy="run it by hand")
        return HypervisorInfo(version=found[1].strip())

    async def list_native(self) -> Sequence[NativeGuest]:
        """List all guests, virtual machines and containers."""
        result = await self.prlctl("list", "-a", "-o", "uuid,status,name", deadline_s=self.env.deadlines.query_s)
        guests = []
        for row in text.listed(result):
            state, reason = text.STATES.get(row.status, (State.NOSTATE, "unknown"))
            watched = self.watched.get(row.uuid)
            if state is State.NOSTATE and watched is not None and row.status != "invalid":
                state = watched.state  # a word of a later release: it tells nothing of an end
            definition = partial(self.get_definition, Target(uuid=row.uuid, name=row.name))
            guests.append(NativeGuest(uuid=row.uuid, name=row.name, state=state, reason=reason, xml=definition))
        return guests

    async def get_definition(self, target: Target) -> str:
        """Return a guest's definition as Virtuozzo has it."""
        said = await self._said(target)
        return await self.env.pure(xml_of, said, size=len(str(said)))

    async def _said(self, target: Target) -> dict[str, object]:
        limit_s = self.env.deadlines.query_s
        return text.details(await self.prlctl("list", "-i", "-f", "-j", target.uuid, target=target, deadline_s=limit_s))

    # ---- definitions

    async def define(self, target: Target, xml: str) -> None:
        """Create a virtual machine, or change one that is off."""
        plan = await self.env.pure(plan_of, xml, size=len(xml))
        guest = (await self.look()).get(target.uuid)
        if guest is None:
            await self.done("create", plan.name, "--vmtype", "vm", "--uuid", target.uuid, "--no-hdd", target=target)
        elif guest.active or guest.reason == "saved":
            raise OperationInvalid(f"{target.name} cannot be changed while it runs or is suspended",
                                   remedy="shut it down first")  # fmt: skip
        try:
            await self._apply(target, plan.options, plan.devices)
        except BaseException:
            if guest is None:
                with suppress(MechaneError):  # the first failure is the one to be told
                    await self.done("unregister", target.uuid, target=target)
            raise

    async def _apply(self, target: Target, options: list[str], devices: list[list[str]]) -> None:
        await self.done("set", target.uuid, *options, target=target)
        hardware = (await self._said(target)).get("Hardware", {})
        for device in hardware if isinstance(hardware, dict) else ():
            if re.fullmatch(r"(hdd|cdrom|net)\d+", device):
                keep = ["--detach-only"] if device.startswith("hdd") else []
                await self.done("set", target.uuid, "--device-del", device, *keep, target=target)
        for words in devices:
            await self.done("set", target.uuid, *words, target=target)

    async def undefine(self, target: Target) -> None:
        """Unregister a guest; its files stay."""
        guest = (await self.look()).get(target.uuid)
        if guest is None:
            return
        if guest.active:
            raise OperationInvalid(f"{target.name} runs", remedy="destroy it first")
        await self.done("unregister", target.uuid, target=target)

    # ---- the life of a guest

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Start a guest; define it first where a start brings its own definition."""
        target = request.target
        if request.mode is not StartMode.BOOT:
            raise StartFailed("Virtuozzo keeps saved memory itself: start the suspended guest", remedy="boot it")
        if target.uuid not in await self.look():
            await self.define(target, request.xml)
        request.cancel.check()
        spawned()
        result = await self.prlctl("start", target.uuid, target=target, deadline_s=self.env.deadlines.start_s)
        if result.status != 0:
            try:
                text.check(result, target.name)
            except (OperationFailed, OperationInvalid, NotFound) as error:
                raise StartFailed(error.message, remedy="look at the guest's parallels.log") from error
        if request.paused:
            await self.done("pause", target.uuid, target=target)
        request.cancel.check()

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest to shut down; prlctl itself waits for the end, so its answer is not awaited for long."""
        _check_mode(mode)
        await self.ask_softly(self._soft(target, "stop", target.uuid, "--noforce"))

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to boot again."""
        _check_mode(mode)
        await self.ask_softly(self._soft(target, "restart", target.uuid))

    async def _soft(self, target: Target, *words: str) -> None:
        watched = self.running(target)
        argv = [str(self.env.settings.get("prlctl", "prlctl")), *words]
        text.check(await self.host.run(argv, deadline_s=SOFT_S), target.name)
        if words[0] == "restart" and not watched.gone:
            watched.facts.put(GuestEvent(incarnation=watched.target.incarnation, kind="reboot", event="reboot"))
        self.kick()

    async def close(self) -> None:
        """Let go; soft stops that are under way go on without us."""
        await self.forget_asked()
        await super().close()

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """Pull the plug; a guest that is off already is fine."""
        with suppress(*GONE):
            await self.done("stop", target.uuid, "--kill", target=target)

    async def suspend(self, target: Target) -> None:
        """Stop a guest's processors."""
        self.running(target)
        await self.done("pause", target.uuid, target=target)
        self.changed(target, State.PAUSED, "user", "suspended", "paused")

    async def resume(self, target: Target) -> None:
        """Let a guest's processors go on."""
        self.running(target)
        await self.done("resume", target.uuid, target=target)
        self.changed(target, State.RUNNING, "unpaused", "resumed", "unpaused")

    async def reset(self, target: Target) -> None:
        """Press the reset button."""
        watched = self.running(target)
        await self.done("reset", target.uuid, target=target)
        watched.facts.put(GuestEvent(incarnation=watched.target.incarnation, kind="reboot", event="reboot"))

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open a container's console; Esc and a full stop leave it, as with prlctl itself.

        Raises:
            Unsupported: it is a virtual machine: prlctl has no console for those.
        """
        self.running(target)
        if device not in (None, CONSOLE):
            raise NotFound(f"{target.name} has no console {device}", remedy=f"use {CONSOLE}", path="params.device")
        if (await self._said(target)).get("Type") != "CT":
            raise Unsupported(f"{target.name} is a virtual machine, and `prlctl console` is for containers",
                              remedy="use its VNC screen, or a serial port in a socket")  # fmt: skip
        tool = str(self.env.settings.get("prlctl", "prlctl"))
        return open_channel(self.host.argv([tool, "console", target.uuid], tty=True), CONSOLE)

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics as prlctl has them."""
        self.running(target)
        result = await self.prlctl("statistics", target.uuid, target=target, deadline_s=deadline_s)
        said = counters(result, target.name)
        vcpus = 0
        if "vcpu" in groups and not any(name.startswith("guest.vcpu") for name in said):  # a container
            hardware = (await self._said(target)).get("Hardware")
            cpu = hardware.get("cpu") if isinstance(hardware, dict) else None
            vcpus = text.mebibytes(cpu.get("cpus", 0)) if isinstance(cpu, dict) else 0
        return stats_of(said, groups, vcpus)

    # ---- snapshots

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """Return a guest's snapshots; each is named by its id where its name cannot be learnt."""
        found = text.snapshots(await self.prlctl("snapshot-list", target.uuid, target=target,
                                                 deadline_s=self.env.deadlines.query_s))  # fmt: skip
        said = {each: await self._described(target, each) for each, _, _ in found}
        names = {each: words.get("Name") or each for each, words in said.items()}
        return [text.snapshot_of(said[each], names[each], names.get(parent, parent), current=current)
                for each, parent, current in found]  # fmt: skip

    async def _described(self, target: Target, snapshot: str) -> dict[str, str]:
        return text.described(await self.prlctl("snapshot-list", target.uuid, "-i", f"{{{snapshot}}}", target=target,
                                                deadline_s=self.env.deadlines.query_s))  # fmt: skip

    async def _snapshot_id(self, target: Target, name: str) -> str:
        result = await self.prlctl("snapshot-list", target.uuid, target=target, deadline_s=self.env.deadlines.query_s)
        for snapshot, _, _ in text.snapshots(result):
            if name in (snapshot, (await self._described(target, snapshot)).get("Name")):
                return snapshot
        raise NotFound(f"{target.name} has no snapshot {name}", remedy="list its snapshots")

    async def create_snapshot(self, target: Target, name: str, *, description: str, memory: bool) -> SnapshotInfo:
        """Take a snapshot; of a guest that runs, its memory is part of it."""
        for what, value in (("name", name), ("description", description)):
            if re.search(r'["\\\r\n]', value) or value.startswith("-"):
                raise InvalidArgument(f"prlctl cannot list such a {what}", path=f"params.{what}",
                                      remedy="leave out quotes, backslashes and line feeds")  # fmt: skip
        runs = target.uuid in self.watched
        if runs != memory:
            raise InvalidArgument(f"memory is {'always' if runs else 'never'} kept in this state", path="params.memory",
                                  remedy=f"ask with memory={str(runs).lower()}")  # fmt: skip
        before = await self.list_snapshots(target)
        if any(snap.name == name for snap in before):
            raise OperationInvalid(f"{target.name} has a snapshot {name} already", remedy="choose another name")
        words = ["-d", description] if description else []
        text.new_snapshot(await self.done("snapshot", target.uuid, "-n", name, *words, target=target,
                                          deadline_s=SNAPSHOT_S))  # fmt: skip
        parent = next((snap.name for snap in before if snap.current), "")
        return SnapshotInfo(name=name, parent=parent, current=True, description=description, memory=memory,
                            created_at=self.wall(), state="running" if runs else "shutoff")  # fmt: skip

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Put a guest back; it must be off."""
        if target.uuid in self.watched:
            raise OperationInvalid(f"{target.name} runs", remedy="destroy it first")
        snapshot = await self._snapshot_id(target, name)
        await self.done("snapshot-switch", target.uuid, "-i", f"{{{snapshot}}}", target=target, deadline_s=SNAPSHOT_S)

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Remove a snapshot, those made from it aside."""
        snapshot = await self._snapshot_id(target, name)
        await self.done("snapshot-delete", target.uuid, "-i", f"{{{snapshot}}}", target=target, deadline_s=SNAPSHOT_S)


def _check_mode(mode: str | None) -> None:
    if mode not in MODES:
        raise InvalidArgument(f"Virtuozzo knows no mode {mode!r}", remedy="use acpi", path="params.mode",
                              allowed=["acpi"])  # fmt: skip
