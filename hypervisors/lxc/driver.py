"""The driver of lxc:///system: containers by the lxc-* tools.

Which containers run, and in what state, is read from the kernel (processes.py, cgroups.py);
changes are made by tools, each under a deadline, so a tool that hangs makes its container
unresponsive and nothing else; ends are made by pidfds, without any tool. Definitions are
LXC's own configurations (folders.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.domain.document import parse
from ...config.errors import (
    ConfigUnsupported,
    MechaneError,
    OperationFailed,
    Unsupported,
)
from ...config.states import State
from ..contract import (
    Capability,
    DriverEnv,
    Handle,
    HypervisorInfo,
    Inspection,
    Itself,
    Started,
    StartRequest,
    Target,
)
from ..facts import FactSink, KillHandle
from ..reach.check import Rules, examine
from ..tooling.base import NativeGuest, SpawnedCall, Watched
from ..tooling.logkeeper import LogKeeper
from . import folders, processes
from .capabilities import capabilities, domain_capabilities
from .cgroups import by_name
from .config import LxcConfig
from .container import Container
from .definitions import Definitions, definition_of, load
from .folders import Place
from .plugging import Plugging
from .processes import Sight
from .signals import halt_signal
from .stats import stats_of

if TYPE_CHECKING:
    from ...config.domain.claim import Claim
    from ...config.reach import Guard

STATES = {
    "STOPPED": State.SHUTOFF, "STARTING": State.RUNNING, "RUNNING": State.RUNNING, "THAWED": State.RUNNING,
    "STOPPING": State.SHUTDOWN, "ABORTING": State.SHUTDOWN, "FREEZING": State.PAUSED, "FROZEN": State.PAUSED,
}  # fmt: skip
LOG_BYTES = 256 * 1024
"""Length at which the log of a container's monitor is rotated."""
LOG_FILES = 1
PID_STEP_S = 0.02
REMOVE_TRIES = 40
REMOVE_STEP_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One container as a scan found it."""

    place: Place
    sight: Sight | None


class LxcDriver(Plugging):
    """See the module. Settings: `paths` (folders of others' containers), `allow_host_network`."""

    kind = "lxc"
    schemes = ("lxc",)
    capabilities = frozenset(
        {
            Capability.SUSPEND,
            Capability.STATS,
            Capability.CONSOLE,
            Capability.EXEC,
            Capability.SNAPSHOTS,
            Capability.HOTPLUG,
            Capability.DOMAIN_CAPABILITIES,
            Capability.NATIVE_DEFINITIONS,
        }
    )
    starts_undefined = True
    reboot_gap_s = 0.0
    poll_s = (0.5, 3.0, 10.0)  # a listing reads a few files and runs no tool

    def __init__(self, env: DriverEnv, **clocks: Callable[[], float]) -> None:
        super().__init__(env, **clocks)
        self._open_folders()
        self._containers = {}
        self._swept = False
        self._logs = LogKeeper(
            env.runtime_dir / "run", limit_bytes=LOG_BYTES, files=LOG_FILES, log=logging.getLogger("mechane.lxc")
        )

    # ---- the connection

    async def probe(self) -> HypervisorInfo:
        """Return LXC's version."""
        if os.geteuid() != 0:
            raise OperationFailed("containers of lxc:///system need root", remedy="run the node as root")
        result = await self.tool(["lxc-start", "--version"], deadline_s=self.env.deadlines.query_s)
        self._folders.own.mkdir(mode=0o700, exist_ok=True)
        self._logs.start()
        return HypervisorInfo(version=f"LXC {result.check().stdout.strip()}")

    async def close(self) -> None:
        """Let go; containers run on."""
        await super().close()
        self._logs.close()
        for container in self._containers.values():
            container.forget()
        self._containers.clear()

    async def examine(self, target: Target, claims: Sequence[Claim], guard: Guard, *, live: bool = False) -> None:
        """Look where on this host the claims lead: LXC's tools open it by its path, so others may not change that."""
        del live
        await self.env.blocking(
            examine, claims, guard, Rules(live=True), deadline_s=self.env.deadlines.query_s, domain=target.uuid
        )

    # ---- what there is

    async def list_native(self) -> Sequence[NativeGuest]:
        """Return all containers that are defined, and those of them that run."""
        known = {uuid: (box.monitor, box.init) for uuid, box in self._containers.items()}
        seen = await self.env.blocking(
            self._scan, known, deadline_s=self.env.deadlines.query_s, domain=Itself("the containers' folders")
        )
        self._places = {each.place.uuid: each.place for each in seen}
        return [self._guest(each) for each in seen]

    def _scan(self, known: dict[str, tuple[processes.Process | None, processes.Process | None]]) -> list[Seen]:
        """Look at folders and processes. Runs on the pool."""
        places = {place.uuid: place for place in self._folders.scan()}
        for uuid, place in self._places.items():
            places.setdefault(uuid, place) if uuid in known else None
        seen, unknown = [], []
        for uuid, place in places.items():
            sight = self._known_sight(*known[uuid]) if uuid in known else None
            if sight is None:
                unknown.append(place)
            else:
                seen.append(Seen(place=place, sight=sight))
        sockets = processes.listening() if unknown or not self._swept else {}
        found = processes.find((place.key for place in unknown), sockets)
        seen += [Seen(place=place, sight=found.get(place.key)) for place in unknown]
        return seen if self._swept else seen + self._undefined({place.key for place in places.values()}, sockets)

    def _undefined(self, defined: set[tuple[str, str]], sockets: dict[str, int]) -> list[Seen]:
        """Return containers of ours that run though their definitions were lost, with the whole state folder maybe.

        While the node runs it knows them anyway, so they are looked for until it has taken stock once.
        """
        own = str(self._folders.own)
        marked = {mark.name: mark.uuid for mark in self._marks.all()}
        lost = [name for name in {*marked, *processes.below(own, sockets)} if (own, name) not in defined]
        found = processes.find(((own, name) for name in lost), sockets)
        return [
            Seen(place=self._folders.undefined(name, marked.get(name)), sight=sight)
            for (_, name), sight in found.items() if sight.monitor is not None and processes.is_roots(sight.monitor)
        ]  # fmt: skip

    def _known_sight(self, monitor: processes.Process | None, init: processes.Process | None) -> Sight | None:
        """Return the processes of a container that ran a moment ago; None when all of them ended."""
        monitor = monitor if monitor is not None and monitor.alive() else None
        init = init if init is not None and init.alive() else None
        if init is None and monitor is not None:
            init = processes.first_process(monitor)  # it may just have booted again
        return Sight(monitor, init) if monitor is not None or init is not None else None

    def _guest(self, seen: Seen) -> NativeGuest:
        place, sight = seen.place, seen.sight
        box = self._containers.get(place.uuid)
        if sight is not None and box is None:
            box = self._container(place)
        if sight is None or box is None:
            return NativeGuest(uuid=place.uuid, name=place.name, state=State.SHUTOFF, persistent=not place.transient)
        box.pin(sight)
        state = State.PAUSED if box.groups.frozen() else State.RUNNING
        pid = box.init.pid if box.init is not None else None
        return NativeGuest(uuid=place.uuid, name=place.name, state=state, native_id=box.native_id, pid=pid,
                           persistent=not place.transient)  # fmt: skip

    def _container(self, place: Place) -> Container:
        config = LxcConfig()
        with suppress(OSError, ConfigUnsupported):  # as LXC started it, we can watch and end it all the same
            config = LxcConfig.parse((place.folder / folders.CONFIG).read_text(errors="replace"), load)
        box = Container(place.path, place.name, self.env.loop, changed=self.kick, halt_signal=halt_signal(config))
        box.on_reboot = lambda: self._rebooted(place, box)
        self._containers[place.uuid] = box
        return box

    def _rebooted(self, place: Place, box: Container) -> None:
        """End a container that booted again although its definition says on_reboot destroy; LXC knows no such thing."""

        async def look() -> None:
            with suppress(MechaneError):  # no definition any more: it runs on
                xml = await self.env.blocking(
                    definition_of, place, deadline_s=self.env.deadlines.query_s,
                    domain=Itself(f"the definition of {place.uuid}"),
                )  # fmt: skip
                if parse(xml).on_reboot == "destroy":
                    box.kill(0.0)

        self.do(look())

    def kill_handle(self, watched: Watched, guest: NativeGuest | None) -> KillHandle:
        """Return the container itself: it is ended without tools."""
        box = self._containers.get(watched.target.uuid)
        if box is None:
            return super().kill_handle(watched, guest)
        box.on_kill = lambda: setattr(watched, "doomed", True)
        return box

    async def inspect(self, target: Target) -> Inspection:
        """Ask LXC for the state; one whose tool hangs becomes unresponsive."""
        place = self._places.get(target.uuid)
        if place is None or target.uuid not in self.watched:
            return await super().inspect(target)
        result = await self._lxc("lxc-info", place, "-sH", target=target, deadline_s=self.env.deadlines.query_s)
        state = STATES.get(result.strip(), State.NOSTATE)
        pid = self.watched[target.uuid].pid if target.uuid in self.watched else None
        return Inspection(state=state, reason="user" if state is State.PAUSED else "unknown", pid=pid)

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a container that runs, and find out whether its tools answer."""
        started = await super().reattach(target, handle, facts)
        self.ask_soon(target)
        return started

    async def probe_guest(self, target: Target) -> None:
        """Ask a container whose tool hung for its state."""
        await self.inspect(target)

    # ---- life

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Start a container; it can be killed from the moment its monitor exists."""
        target = request.target
        place = await self._find(target)
        if place is None:
            config = await self.env.pure(self._checked, target.name, request.xml, self._allows_host_network(),
                                         size=len(request.xml))  # fmt: skip
            folder = self._folders.own / target.name
            await self._write(folder, config, target.uuid, request.xml, transient=True)
            place = Place(path=str(self._folders.own), name=target.name, uuid=target.uuid, own=True)
        else:  # what an older version wrote may hold lines that no definition may add
            await self.env.pure(self.check_stored, request.xml, size=len(request.xml))
        self._places[target.uuid] = place
        request.cancel.check()
        log, pidfile = self._run_file(target, "log"), self._run_file(target, "pid")
        for file in (log, pidfile):
            file.unlink(missing_ok=True)
        argv = ["-d", "-p", str(pidfile), "-o", str(log), "-l", "WARN"]
        starting = asyncio.ensure_future(
            self._lxc("lxc-start", place, *argv, target=target, deadline_s=self.env.deadlines.start_s, log=log)
        )
        try:
            await self._spawned_early(starting, place, pidfile, spawned)
            await starting
        finally:
            starting.cancel()
        box = self._containers.get(target.uuid)
        if box is not None:
            box.learn_groups()
        if request.paused:
            await self._lxc("lxc-freeze", place, target=target)

    async def _spawned_early(
        self, starting: asyncio.Future[str], place: Place, pidfile: Path, spawned: SpawnedCall
    ) -> None:
        """Publish the kill handle as soon as lxc-start has written its monitor's number."""
        while True:
            with suppress(OSError, ValueError):  # not there yet, or not yet whole
                sight = processes.sight(int(pidfile.read_text()))
                if sight.monitor is not None:
                    box = self._container(place)
                    box.pin(sight)
                    spawned(self.kill_handle(self.watched[place.uuid], None), sight.init.pid if sight.init else None)
                    return
            if starting.done():
                return
            await asyncio.wait([starting], timeout=PID_STEP_S)

    def _run_file(self, target: Target, ending: str) -> Path:
        folder = self.env.runtime_dir / "run"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{target.name}.{ending}"

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Send the init its halt signal."""
        if mode not in (None, "signal", "initctl"):
            raise Unsupported(f"containers have no shutdown mode {mode}", remedy="use signal, or none")
        await self._lxc("lxc-stop", self._place(target), "--nokill", "-W", target=target)

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Send the init its reboot signal."""
        if mode not in (None, "signal", "initctl"):
            raise Unsupported(f"containers have no reboot mode {mode}", remedy="use signal, or none")
        await self._lxc("lxc-stop", self._place(target), "-r", "-W", target=target)

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """End the container's first process by its pidfd, whatever hangs."""
        box = self._containers.get(target.uuid)
        if box is None or (box.init is None and box.monitor is None):
            await self.look()
            box = self._containers.get(target.uuid)
        if box is not None:
            box.kill(grace_s)

    async def clean(self, target: Target) -> None:
        """Remove what the run left: control groups where LXC could not, a definition that was not to stay."""
        box = self._containers.pop(target.uuid, None)
        if box is not None:
            box.forget()
            # removing spares groups that have processes: those of a namesake elsewhere
            for groups in (*box.own_groups, *([by_name(box.name)] if box.killed else [])):
                await self._remove_groups(target.uuid, groups.remove)
        self._run_file(target, "pid").unlink(missing_ok=True)
        place = await self._find(target)
        sidecar = folders.read_sidecar(place.folder) if place is not None else None
        if place is not None and sidecar is not None and sidecar.transient:
            self._run_file(target, "log").unlink(missing_ok=True)
            await Definitions.undefine(self, target)

    async def sweep(self, known: Mapping[str, Handle]) -> Sequence[str]:
        """End containers of ours that no handle knows, and remove definitions whose only run is over."""
        swept = await super().sweep(known)
        guests = await self.look()
        for uuid, place in list(self._places.items()):
            guest = guests.get(uuid)
            over = guest is not None and not guest.active and uuid not in {*known, *self.watched}
            if over and place.own and place.transient:
                await Definitions.undefine(self, Target(uuid=uuid, name=place.name))
        self._swept = True
        return swept

    async def _remove_groups(self, uuid: str, remove: Callable[[], bool]) -> None:
        for _ in range(REMOVE_TRIES):
            if await self.env.blocking(
                remove, deadline_s=self.env.deadlines.query_s, domain=Itself(f"the control groups of {uuid}")
            ):
                return
            await asyncio.sleep(REMOVE_STEP_S)

    # ---- abilities

    async def suspend(self, target: Target) -> None:
        """Freeze all processes of the container."""
        self.running(target)
        await self._lxc("lxc-freeze", self._place(target), target=target)
        self.changed(target, State.PAUSED, "user", "suspended", "paused")

    async def resume(self, target: Target) -> None:
        """Let all processes of the container go on."""
        self.running(target)
        await self._lxc("lxc-unfreeze", self._place(target), target=target)
        self.changed(target, State.RUNNING, "unpaused", "resumed", "unpaused")

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics from the control groups: a tool that hangs does not matter, and is noticed."""
        self.running(target)
        self.ask_soon(target)
        box = self._containers.get(target.uuid)
        if box is None:
            return {}
        pid = box.init.pid if box.init is not None else None
        return await self.env.blocking(stats_of, box.groups, pid, groups, os.cpu_count() or 1, deadline_s=deadline_s,
                                       domain=target.uuid)  # fmt: skip

    async def get_capabilities(self) -> dict[str, Any]:
        """Return the capabilities of the host."""
        return capabilities()

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Return what a container may ask for; there is no emulator to ask."""
        return domain_capabilities(arch, machine, virttype)
