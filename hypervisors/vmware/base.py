"""What the drivers of all VMware Desktop products share: everything but pausing and snapshots.

    vmwarews:///session?folder=/vms&vmrest=http://127.0.0.1:8697&credentials=/etc/vmrest.password

Options of the URI: `folder` of the definitions (FOLDER/NAME/NAME.vmx; a folder of the connection's own
where not given), `vmrun` (its path), `vmrest` and `credentials` (a file with user:password), `hardware`
(virtualHW.version of new definitions). Facts that count here:
- `vmrun list` shows running and paused guests alike; files are compared by their real paths;
- a soft stop or reset needs VMware Tools and may take for ever: it goes on behind the caller, is given
  up after `tool_s`, and never turns into a hard one by itself;
- the product rewrites the .vmx of a running guest, so a definition is refused while one runs;
- `vmrun deleteVM` removes disks: undefining removes the .vmx and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...config.errors import (
    ConfigUnsupported,
    DeadlineExceeded,
    InvalidArgument,
    MechaneError,
    NoDomain,
    OperationInvalid,
    Unresponsive,
    Unsupported,
)
from ...config.states import State
from ..contract import DriverEnv, HypervisorInfo, Itself, StartMode, StartRequest, Target
from ..facts import GuestEvent
from ..tooling.asking import SoftAsking
from ..tooling.base import NativeGuest, SpawnedCall, ToolDriver
from ..tooling.capabilities import FixedCapabilities
from . import process, vmrun
from .capabilities import GUESTS
from .library import Library, Machine
from .rest import Vmrest
from .states import POWER, Paused
from .stats import stats_of

HARDWARE = 10
"""virtualHW.version of new definitions: SATA and 16 processors; Workstation 10, Fusion 6 and later run it."""

FOLDER = Itself("the folder of definitions")


class VmwareBase(FixedCapabilities, SoftAsking, ToolDriver):
    """See the module."""

    guests = GUESTS

    def __init__(self, env: DriverEnv, **clocks: Any) -> None:
        super().__init__(env, **clocks)
        if not self.host.local:
            raise InvalidArgument(f"{env.uri} is on another host", remedy="run a node there, and name it in the URI")
        options = env.uri.options
        self._vmrun = str(env.settings.get("vmrun") or options.get("vmrun") or "vmrun")
        self._product = vmrun.PRODUCTS.get(env.uri.scheme, "ws")
        self.library = Library(Path(options.get("folder") or env.state_dir / "vms"))
        self.paused = Paused(env.runtime_dir / "paused")
        self.machines: dict[str, Machine] = {}
        self._hardware = int(options["hardware"]) if options.get("hardware", "").isdigit() else HARDWARE
        secret = options.get("credentials")
        url = options.get("vmrest")
        self._rest = Vmrest(url, Path(secret) if secret else None) if url else None
        self._rest_failed = ""
        self._made: set[str] = set()
        """Guests whose definition their start wrote: nobody had defined them."""

    # ---- the hypervisor

    async def probe(self) -> HypervisorInfo:
        """Learn that vmrun works here; it says its version above its usage text.

        Raises:
            OperationFailed: it is not installed, or the product is not.
        """
        result = await self.tool([self._vmrun], deadline_s=self.env.deadlines.probe_s, verb="version")
        words = next((line for line in result.stdout.splitlines() if line.startswith("vmrun version")), "")
        await self._running()
        version = words.removeprefix("vmrun version").strip() or "unknown"
        return HypervisorInfo(version=version, details={"product": self._product, "folder": str(self.library.folder)})

    async def list_native(self) -> Sequence[NativeGuest]:
        """List the guests of the folder, and those that run elsewhere."""
        running = await self._running()
        # Found where the list says nothing of them: a guest that is started is listed a moment later
        found = await self._files(FOLDER, self.library.scan, running)
        listed = [machine for machine in found if machine.real in _reals(running)]
        pids = await self._files(Itself("VMware's processes"), _pids, listed)
        states = await self._states(found)
        self.machines = {machine.uuid: machine for machine in found}
        reals = _reals(running)
        return [self._guest(machine, machine.real in reals, pids.get(machine.real), states) for machine in found]

    def _guest(
        self, machine: Machine, listed: bool, pid: int | None, states: dict[str, tuple[State, str]]
    ) -> NativeGuest:  # fmt: skip
        async def xml() -> str:
            return str(await self._files(machine.uuid, self.library.xml, machine))

        if listed:
            state, reason = (State.PAUSED, "user") if machine.uuid in self.paused else (State.RUNNING, "unknown")
            told = states.get(machine.real)
            if told is not None and told[0] in (State.RUNNING, State.PAUSED):
                state, reason = told
        else:
            state, reason = State.SHUTOFF, "saved" if machine.saved else "unknown"
        return NativeGuest(
            uuid=machine.uuid, name=machine.name, state=state, reason=reason, native_id=str(pid) if pid else "",
            pid=pid, persistent=machine.ours, xml=xml,
        )  # fmt: skip

    async def _running(self) -> list[str]:
        argv = [self._vmrun, "-T", self._product, "list"]
        result = await self.tool(argv, deadline_s=self.env.deadlines.query_s, verb="list")
        return vmrun.running_paths(vmrun.check(result, ""))

    async def _states(self, found: list[Machine]) -> dict[str, tuple[State, str]]:
        """Ask vmrest, where there is one; where it fails, vmrun's word and our own memory are enough."""
        if self._rest is None:
            return {}
        limit_s = self.env.deadlines.query_s
        try:
            ids = await self._rest.machines(deadline_s=limit_s)
            known = {str(Path(path).resolve()): id for path, id in ids.items() if path and id}
            wanted = [machine.real for machine in found if machine.real in known]
            rest = self._rest
            answers = await asyncio.gather(*(rest.power_state(known[real], deadline_s=limit_s) for real in wanted))
        except MechaneError as error:
            if not self._rest_failed:
                self._listing.warn(f"without vmrest: {error}")
            self._rest_failed = error.message
            return {}
        self._rest_failed = ""
        return {real: POWER[word.lower()] for real, word in zip(wanted, answers, strict=True) if word.lower() in POWER}

    async def _files(self, domain: str | Itself, function: Any, *args: Any, **named: Any) -> Any:
        """Run a function that blocks on files, on a thread: a share that hangs must not hang the loop."""
        work = partial(function, *args, **named)
        return await self.env.blocking(work, deadline_s=self.env.deadlines.query_s, domain=domain)

    # ---- definitions

    async def define(self, target: Target, xml: str) -> None:
        """Write a definition's .vmx.

        Raises:
            ConfigUnsupported: it asks for what a VMware guest cannot have.
            OperationInvalid: the guest runs; the product would overwrite the file.
        """
        guest = (await self.look()).get(target.uuid)
        if guest is not None and guest.active:
            raise OperationInvalid(
                f"{target.name} runs, and VMware rewrites its file until it ends", remedy="shut it down first"
            )
        old = self.machines.get(target.uuid)
        if old is not None and not old.ours:
            raise ConfigUnsupported(
                f"{old.path} lies outside of {self.library.folder}", remedy="change it with the program that made it"
            )
        await self._files(target.uuid, self.library.write, target.uuid, target.name, xml, old, hardware=self._hardware)
        await self.look()

    async def undefine(self, target: Target) -> None:
        """Remove the .vmx; disks and everything else stay."""
        guest = (await self.look()).get(target.uuid)
        machine = self.machines.get(target.uuid)
        if guest is not None and guest.active:
            raise OperationInvalid(f"{target.name} runs", remedy="shut it down first")
        if machine is not None:
            await self._files(machine.uuid, self.library.remove, machine)
            await self.look()

    async def get_definition(self, target: Target) -> str:
        """Return the .vmx as domain XML.

        Raises:
            NoDomain: there is no such .vmx (any more).
        """
        return str(await self._files(target.uuid, self.library.xml, await self._machine(target)))

    async def _machine(self, target: Target) -> Machine:
        if target.uuid not in self.machines:
            await self.look()
        machine = self.machines.get(target.uuid)
        if machine is None:
            raise NoDomain(f"{target.name} has no .vmx file", remedy="define it")
        return machine

    # ---- a guest's life

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Start a guest; one whose memory is kept goes on from there, as the product has it."""
        target = request.target
        if request.mode is StartMode.INCOMING:
            raise Unsupported("VMware guests do not migrate between desktops", remedy="copy the guest's folder")
        if request.paused:
            self.check_pause(target)
        machine = self.machines.get(target.uuid)
        if machine is None:
            write = self.library.write
            self._made.add(target.uuid)
            await self._files(target.uuid, write, target.uuid, target.name, request.xml, None, hardware=self._hardware)
            await self.look()
            machine = await self._machine(target)
        request.cancel.check()
        await self._files(target.uuid, self.library.settle_identity, machine)
        if request.mode is StartMode.RESTORE:
            await self.take_memory(machine, request.source)
        self.paused.discard(target.uuid)
        spawned()
        await self.command(target, "start", "nogui", deadline_s=self.env.deadlines.start_s)
        if request.paused:
            await self.command(target, "pause")
            self.paused.add(target.uuid)

    async def take_memory(self, machine: Machine, source: str) -> None:
        """Put saved memory in place for the start that follows.

        Raises:
            Unsupported: the product's driver does not save.
        """
        raise Unsupported("VMware Player's guests cannot be restored", remedy=f"start {machine.name}")

    def check_pause(self, target: Target) -> None:
        """Refuse to start paused where the product cannot pause."""

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest's Tools to shut it down."""
        await self._ask(target, "stop")

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest's Tools to reboot it."""
        await self._ask(target, "reset")

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """Switch the guest off; where vmrun hangs, its process is killed."""
        machine = self.machines.get(target.uuid)
        if machine is None:
            return
        try:
            await self.command(target, "stop", "hard")
        except OperationInvalid:
            pass  # it is off already
        except DeadlineExceeded:
            ending = Itself(f"the process of {target.uuid}")  # whatever its storage does
            pid = await self._files(ending, process.pid_of, machine.real)
            if pid is None or not await self._files(ending, process.end, pid, machine.real):
                raise
        self.paused.discard(target.uuid)

    async def clean(self, target: Target) -> None:
        """Forget that it was paused; a start that failed takes the definition back that it wrote itself."""
        self.paused.discard(target.uuid)
        made = target.uuid in self._made
        self._made.discard(target.uuid)
        machine = self.machines.get(target.uuid)
        if made and target.uuid in self.watched and machine is not None:
            await self._files(machine.uuid, self.library.remove, machine)
            self.machines.pop(target.uuid, None)

    async def close(self) -> None:
        """Let go; soft stops that are under way go on without us."""
        await self.forget_asked()
        await super().close()

    # ---- what every product can do beside

    async def reset(self, target: Target) -> None:
        """Press the guest's reset button."""
        watched = self.running(target)
        await self.command(target, "reset", "hard")
        fact = GuestEvent(incarnation=watched.target.incarnation, kind="reboot", event="reboot")
        watched.facts.put(fact)

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return what the guest's process and definition tell; vmrun itself has no statistics."""
        watched = self.running(target)
        if watched.stuck:
            raise Unresponsive(f"{target.name} does not answer", remedy="destroy it or wait", command=watched.stuck)
        machine = await self._machine(target)
        return dict(await self.env.blocking(stats_of, machine.real, watched.pid, groups, deadline_s=deadline_s,
                                            domain=target.uuid))  # fmt: skip

    # ---- vmrun

    async def probe_guest(self, target: Target) -> None:
        """Ask for the state of the guest's Tools: a question to that guest, which changes nothing."""
        machine = await self._machine(target)
        argv = [self._vmrun, "-T", self._product, "checkToolsState", machine.path]
        await self.host.run(argv, deadline_s=self.env.deadlines.query_s)

    async def command(self, target: Target, *words: str, deadline_s: float | None = None) -> str:
        """Run a vmrun command for a guest and return what it said.

        Raises:
            MechaneError: it failed, or hung.
        """
        machine = await self._machine(target)
        argv = [self._vmrun, "-T", self._product, words[0], machine.path, *words[1:]]
        limit_s = deadline_s or self.env.deadlines.change_s
        result = await self.tool(argv, target=target, verb=words[0], deadline_s=limit_s)
        return vmrun.check(result, target.name).stdout

    async def _ask(self, target: Target, verb: str) -> None:
        """Start a soft stop or reset; wait only as long as it may be refused."""
        await self.ask_softly(self._soft(target, verb, await self._machine(target)))

    async def _soft(self, target: Target, verb: str, machine: Machine) -> None:
        argv = [self._vmrun, "-T", self._product, verb, machine.path, "soft"]
        # not through `tool`: a guest that takes its time is not a tool that hangs
        result = await self.host.run(argv, deadline_s=self.env.deadlines.tool_s)
        vmrun.check(result, target.name)
        self.kick()


def _reals(paths: list[str]) -> set[str]:
    return {str(Path(path).resolve()) for path in paths}


def _pids(machines: list[Machine]) -> dict[str, int]:
    found = {}
    for machine in machines:
        pid = process.pid_of(machine.path) or process.pid_of(machine.real)
        if pid is not None:
            found[machine.real] = pid
    return found
