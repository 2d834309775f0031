"""The driver of xen:///system: guests of Xen by `xl`, on this host or over SSH (xen+ssh://root@host/system).

xl keeps no definitions: only what runs exists for it, the node keeps the rest. A guest is known by the UUID that
`xl list -v` shows; a domid is looked up by it just before each verb, for it changes at each reboot, may be used
anew, and a name of digits would be taken for one. Traps that are met here (fact sheet, and measured with 4.17):

- `xl pause` and `xl unpause` exit 0 whatever happened: the listing decides;
- `xl create NAME=…` takes a path with `=` for a setting: the file is always given by -f;
- a guest that reboots is not listed for 2 s and more: it counts as gone after `reboot_gap_s` only;
- `xl shutdown` of a guest without PV drivers fails; it is asked again with -F (ACPI).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ...config.errors import (
    ConfigUnsupported,
    InvalidArgument,
    MechaneError,
    OperationFailed,
    OperationInvalid,
    StartFailed,
)
from ...config.states import State
from ..abilities import ConsoleChannel
from ..contract import Capability, DriverEnv, Handle, HypervisorInfo, Started, StartMode, StartRequest, Target
from ..facts import FactSink
from ..tooling.base import NativeGuest, SpawnedCall, ToolDriver
from ..tooling.run import ToolResult
from ..tooling.target import refuse_existing
from ..tooling.terminal import open_channel
from . import capabilities as offers
from . import stats, tables
from .console import DEFAULT_DEVICE, console_options
from .devices import DeviceChanges
from .events import PATHS, StoreWatch
from .native import to_native, to_xl
from .processors import VcpuChanges
from .running import xml_of

REMOTE_FOLDER = "/run/mechane-xen"
"""Where configuration files lie on a remote host, each for the time of one start."""
SAVE_S = 900.0
"""Seconds that the memory of a guest may take to be written or read."""
IDLE_S = 5.0
"""Seconds without processor time (which is told in tenths) after which a guest that waits is `blocked`."""
SHUTDOWN_MODES = (None, "default", "acpi", "paravirt")
NO_PV_CONTROL = ("rc=-10", "PV control interface")
DESTROYED_ALREADY = ("invalid domain identifier", "does not exist", "Non-existant domain", "destroy failed")


class XenDriver(DeviceChanges, VcpuChanges, ToolDriver):
    """See the module. Everything runs on the connection's loop."""

    kind = "xen"
    schemes = ("xen",)
    capabilities = frozenset(
        {Capability.SUSPEND, Capability.SAVE, Capability.STATS, Capability.CONSOLE, Capability.HOTPLUG,
         Capability.VCPUS, Capability.DOMAIN_CAPABILITIES}
    )  # fmt: skip
    reboot_gap_s = 10.0

    def __init__(self, env: DriverEnv, **options: Any) -> None:
        super().__init__(env, **options)
        self.rows: dict[str, tables.Row] = {}
        self._worked: dict[int, tuple[float, float]] = {}
        self._traffic = stats.TrafficCache(self._xentop, self.clock)
        self._watch_store = StoreWatch(self.host.argv([self._name("xenstore-watch"), *PATHS]), self.kick)

    def _name(self, tool: str) -> str:
        return str(self.env.settings.get(tool, tool))

    async def xl(
        self, *words: str, target: Target | None = None, deadline_s: float | None = None, secrets: Sequence[str] = ()
    ) -> ToolResult:
        """Run xl; see `tool`."""
        return await self.tool([self._name("xl"), *words], target=target, verb=f"xl {words[0]}", deadline_s=deadline_s,
                               secrets=secrets)  # fmt: skip

    # ---- the connection

    async def probe(self) -> HypervisorInfo:
        """Return Xen's version."""
        info = await self._info()
        version = f"{info['xen_major']}.{info.get('xen_minor', '0')}{info.get('xen_extra', '')}"
        self._watch_store.start()
        return HypervisorInfo(version=version, details=dict(info))

    async def _info(self) -> dict[str, str]:
        result = (await self.xl("info", deadline_s=self.env.deadlines.probe_s)).check()
        info = tables.read_info(result.stdout)
        if "xen_major" not in info:
            raise OperationFailed("xl info names no version of Xen", remedy="boot this host with Xen")
        return info

    async def get_capabilities(self) -> dict[str, Any]:
        """Return what the host offers now."""
        return offers.host_capabilities(await self._info())

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Return what a domain may ask for."""
        if virttype not in (None, "xen"):
            raise InvalidArgument(f"no virttype {virttype!r} here", remedy="leave it out", path="params.virttype",
                                  allowed=["xen"])  # fmt: skip
        return offers.domain_capabilities(await self._info(), arch, machine)

    async def close(self) -> None:
        """Stop watching."""
        await self._watch_store.stop()
        await super().close()

    async def list_native(self) -> Sequence[NativeGuest]:
        """List the domains that run, dom0 and zombies aside."""
        result = await self.xl("list", "-v", deadline_s=self.env.deadlines.query_s)
        rows = tables.read_list(result.check().stdout)
        listed = {row.domid for row in rows}
        self._worked = {domid: seen for domid, seen in self._worked.items() if domid in listed}
        guests: dict[str, NativeGuest] = {}
        # One UUID is there twice while the old domain of a reboot is torn down: the living one counts.
        for row in sorted(rows, key=lambda row: (not row.dying, row.domid)):
            if row.domid == 0 or row.uuid in ("", tables.NO_UUID):
                continue
            if row.name == tables.ZOMBIE_NAME and row.dying:
                continue  # nothing of it is left but memory that somebody still maps
            state, reason = self._state(row)
            guests[row.uuid] = NativeGuest(
                uuid=row.uuid, name=row.name, state=state, reason=reason, native_id=str(row.domid), persistent=False,
                xml=partial(self._xml, row),
            )  # fmt: skip
        self.rows = {row.uuid: row for row in rows}
        return list(guests.values())

    def _state(self, row: tables.Row) -> tuple[State, str]:
        """Return the state; a guest that waits at this moment and worked a short while ago counts as running."""
        state, reason = tables.state_of(row.flags)
        time_s, since = self._worked.get(row.domid, (row.time_s, -IDLE_S))
        if time_s != row.time_s or (row.uuid in self.watched and self.watched[row.uuid].starting):
            since = self.clock()
        self._worked[row.domid] = (row.time_s, since)
        if state is State.BLOCKED and self.clock() - since < IDLE_S:
            return State.RUNNING, reason
        return state, reason

    async def _xml(self, row: tables.Row) -> str:
        result = (await self.xl("list", "-l", str(row.domid), deadline_s=self.env.deadlines.query_s)).check()
        return await self.env.pure(xml_of, result.stdout, row.domid, row.name, row.uuid, size=len(result.stdout))

    async def domid(self, target: Target) -> str:
        """Return the domid that a guest has now.

        Raises: OperationInvalid when it does not run.
        """
        guest = (await self.look()).get(target.uuid)
        if guest is None or not guest.native_id:
            raise OperationInvalid(f"domain {target.name} is not running", remedy="start it first")
        return guest.native_id

    # ---- definitions

    async def define(self, target: Target, xml: str) -> None:
        """Check that Xen can run a definition."""
        if target.name == "Domain-0" or target.name == tables.ZOMBIE_NAME:
            raise ConfigUnsupported(f"{target.name} is a name of Xen's own", remedy="use another", path="/domain/name")
        await self.env.pure(to_native, xml, size=len(xml))

    async def undefine(self, target: Target) -> None:
        """Nothing to do: Xen keeps no definitions."""

    # ---- the life of a guest

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Write the configuration, let xl create the guest (or restore it), and take the file away."""
        target = request.target
        text = await self.env.pure(to_xl, request.xml, size=len(request.xml))
        path = await self._config_path(target)
        limit = self.env.deadlines.query_s
        await self.host.write(path, text.encode(), deadline_s=limit)
        try:
            request.cancel.check()
            spawned()
            await self._create(request, path)
        finally:
            await self.host.remove(path, deadline_s=limit)
        request.cancel.check()

    async def _config_path(self, target: Target) -> str:
        if self.host.local:
            return str(self.env.runtime_dir / f"{target.uuid}.cfg")
        made = await self.host.run(["mkdir", "-p", "-m", "700", REMOTE_FOLDER], deadline_s=self.env.deadlines.query_s)
        made.check()
        return f"{REMOTE_FOLDER}/{target.uuid}.cfg"

    async def _create(self, request: StartRequest, path: str) -> None:
        target, pause = request.target, ["-p"] if request.paused else []
        if request.mode is StartMode.RESTORE:
            words, limit_s = ["restore", *pause, path, request.source], SAVE_S
        elif request.mode is StartMode.BOOT:
            words, limit_s = ["create", "-q", *pause, "-f", path], self.env.deadlines.start_s
        else:
            raise OperationFailed("Xen guests are not received by migration here", remedy="save and restore it")
        result = await self.xl(*words, target=target, deadline_s=limit_s)
        if result.status != 0:
            said = [line for line in result.stderr.splitlines() if "error" in line.lower()]
            first = said[0] if said else (result.stderr.strip() or "it said nothing")
            raise StartFailed(
                f"xl {words[0]} of {target.name} failed with status {result.status}: {first}",
                remedy="look at /var/log/xen and at the definition", stderr=result.stderr[-2000:], status=result.status,
            )  # fmt: skip

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a guest; one whose tools hang is said to be stuck."""
        started = await super().reattach(target, handle, facts)
        watched = self.watched.get(target.uuid)
        if started is not None and watched is not None and not watched.stuck:
            with suppress(MechaneError):  # one that hangs is said to be stuck by `tool`
                await self.probe_guest(target)
        return started

    async def probe_guest(self, target: Target) -> None:
        """Ask for a guest's processors."""
        watched = self.running(target)
        await self.xl("vcpu-list", watched.native_id, target=target, deadline_s=self.env.deadlines.query_s)

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest by its PV drivers, else by its ACPI button."""
        await self._ask("shutdown", target, mode)

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to boot again."""
        await self._ask("reboot", target, mode)

    async def _ask(self, verb: str, target: Target, mode: str | None) -> None:
        if mode not in SHUTDOWN_MODES:
            raise InvalidArgument(f"Xen knows no mode {mode!r}", remedy="use acpi or paravirt", path="params.mode",
                                  allowed=["acpi", "paravirt"])  # fmt: skip
        domid = await self.domid(target)
        result = await self.xl(verb, *(["-F"] if mode == "acpi" else []), domid, target=target)
        if result.status != 0 and mode in (None, "default") and any(word in result.stderr for word in NO_PV_CONTROL):
            result = await self.xl(verb, "-F", domid, target=target)
        result.check()

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """End a guest at once; one that is gone already is fine."""
        try:
            domid = await self.domid(target)
        except OperationInvalid:
            return
        result = await self.xl("destroy", domid, target=target)
        if result.status != 0 and not any(word in result.stderr for word in DESTROYED_ALREADY):
            result.check()

    # ---- suspend, save

    async def suspend(self, target: Target) -> None:
        """Stop a guest's processors."""
        await self._halt("pause", target, State.PAUSED)
        self.changed(target, State.PAUSED, "user", "suspended", "paused")

    async def resume(self, target: Target) -> None:
        """Let a guest's processors go on."""
        await self._halt("unpause", target, State.RUNNING)
        self.changed(target, State.RUNNING, "unpaused", "resumed", "unpaused")

    async def _halt(self, verb: str, target: Target, wanted: State) -> None:
        """Pause or unpause: xl exits 0 whatever happened, so the next listing decides."""
        self.running(target)
        domid = await self.domid(target)
        result = (await self.xl(verb, domid, target=target)).check()
        guest = (await self.look()).get(target.uuid)
        if guest is None or (guest.state is State.PAUSED) != (wanted is State.PAUSED):
            raise OperationFailed(
                f"xl {verb} of {target.name} had no effect: {result.stderr.strip() or 'it said nothing'}",
                remedy="look at `xl list`", state=guest.state.value if guest is not None else "shutoff",
            )  # fmt: skip

    async def save(self, target: Target, path: str) -> None:
        """Write a guest's memory to a file of the hypervisor's host and end it."""
        watched = self.running(target)
        domid = await self.domid(target)
        await refuse_existing(self.host, path, deadline_s=self.env.deadlines.query_s)
        watched.starting = True  # its end is told here, after xl has ended, and not by a listing that sees it first
        try:
            (await self.xl("save", domid, path, target=target, deadline_s=SAVE_S)).check()
            await self.until(target.uuid, lambda guest: guest is None or not guest.active, self.env.deadlines.change_s)
        finally:
            watched.starting = False
        self._drop(watched, "destroyed" if watched.doomed else "saved")

    # ---- looking into a guest

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics of the groups asked for."""
        self.running(target)
        domid = await self.domid(target)
        found: dict[str, Any] = {}
        row = self.rows[target.uuid]
        if groups & {"cpu", "balloon"}:
            found |= stats.of_row(row, groups)
        if "vcpu" in groups or "cpu" in groups:
            result = await self.xl("vcpu-list", domid, target=target, deadline_s=deadline_s)
            if "vcpu" in groups:
                found |= stats.of_vcpus(tables.read_vcpus(result.check().stdout))
        if groups & {"block", "interface"}:
            found |= stats.of_traffic(await self._traffic.of(row.name, deadline_s), groups)
        return found

    async def _xentop(self) -> str:
        argv = [self._name("xentop"), "-b", "-f", "-n", "-x", "-i", "2", "-d", "1"]
        return (await self.tool(argv, deadline_s=self.env.deadlines.query_s + 1.0)).check().stdout

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open a guest's console."""
        self.running(target)
        options = console_options(device, target.name)
        domid = await self.domid(target)
        argv = self.host.argv([self._name("xl"), "console", *options, domid], tty=True)
        if not self.host.local:
            argv[1:1] = ["-e", "none"]  # ssh's own escape character would swallow what the guest should get
        return open_channel(argv, device or DEFAULT_DEVICE)
