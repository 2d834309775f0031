"""The driver of bhyve:///system: guests of FreeBSD's bhyve, mostly over SSH (bhyve+ssh://root@host/system).

bhyve keeps no definitions and no names of its own beyond /dev/vmm: the node keeps the rest, and a small script on
the host runs each guest (runner.py), so that guests live, reboot and end without the node. What is met here:

- a machine must be destroyed before it can be loaded again, whatever ended it;
- exit 0 is a reboot, 1 and 2 are an end, 3 is a crash, 4 an error (1 as well, on old hosts);
- there is no pause; a reboot that is asked for is the ACPI button and another start;
- a name in /dev/vmm without a script of ours is a guest started by hand: shown, and destroyed by its name only;
- a process number is never trusted alone: its command line must name the guest.

Simulated in tests: bhyve cannot run here. A console is reached at the B side of its nmdm device (`cu -l`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...config.domain.document import parse
from ...config.domain.domain import Domain
from ...config.domain.interface import Interface
from ...config.errors import (
    ConfigUnsupported,
    InvalidArgument,
    MechaneError,
    NotFound,
    OperationFailed,
    OperationInvalid,
    StartFailed,
)
from ...config.states import State
from ..abilities import ConsoleChannel
from ..contract import Capability, DriverEnv, HypervisorInfo, StartMode, StartRequest, Target
from ..tooling.base import NativeGuest, SpawnedCall, ToolDriver, Watched
from ..tooling.capabilities import FixedCapabilities
from ..tooling.identity import Identities
from ..tooling.run import ToolResult
from . import runner
from . import stats as statistics
from .capabilities import guests
from .console import CARRY, open_channel, serial_port
from .native import to_native
from .plan import FIRMWARE, prepared
from .write import FIRST_VNC_PORT, arguments, loader_command

REMOTE_FOLDER = "/var/run/mechane-bhyve"
"""Where guests' folders lie on another host; FreeBSD empties /var/run at boot."""
VMM = "/dev/vmm"
LOADER_FAILED = 1000
SETTLE_S = 0.3
"""Time in which bhyve opens its devices: an error of theirs is one of the start."""
NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+ -]{0,30}")
"""What may be a file in /dev/vmm; older hosts allow 31 characters."""
MODES = (None, "default", "acpi")


class BhyveDriver(FixedCapabilities, ToolDriver):
    """See the module. Everything runs on the connection's loop."""

    kind = "bhyve"
    schemes = ("bhyve",)
    capabilities = frozenset(
        {Capability.RESET, Capability.STATS, Capability.CONSOLE, Capability.DOMAIN_CAPABILITIES}
    )
    guests = guests(0)

    def __init__(self, env: DriverEnv, **options: Any) -> None:
        super().__init__(env, **options)
        self.folder = str(env.runtime_dir / "g") if self.host.local else REMOTE_FOLDER
        self._ids = Identities(env.state_dir / "names.json", env.uri.text)
        self._kept: dict[str, runner.Kept] = {}
        self._machines: set[str] = set()
        self._consoles: dict[str, list[Callable[[], None]]] = {}
        self._old = False
        self._tsc_hz = 0

    def _name(self, tool: str) -> str:
        return str(self.env.settings.get(tool, tool))

    # ---- the connection

    async def probe(self) -> HypervisorInfo:
        """Return FreeBSD's version; refuses hosts that are no FreeBSD."""
        limit_s = self.env.deadlines.probe_s
        said = (await self.tool([self._name("uname"), "-sr"], deadline_s=limit_s)).check().stdout.split()
        if len(said) != 2 or said[0] != "FreeBSD":
            where = self.host.name or "this host"
            raise OperationFailed(
                f"bhyve runs on FreeBSD only, and {where} runs {' '.join(said) or 'something else'}",
                remedy=f"name a FreeBSD host: {self.env.uri.scheme}+ssh://root@host/system",
            )
        usage = await self.tool([self._name("bhyve"), "-h"], deadline_s=limit_s)
        if "bhyve" not in usage.stderr + usage.stdout:
            raise usage.failure("look whether bhyve can be run by hand")
        release = int(re.match(r"\d*", said[1])[0] or 0)  # type: ignore[index]  # it matches any text
        self._old = release < 12
        self.guests = guests(release)
        return HypervisorInfo(version=said[1])

    async def list_native(self) -> Sequence[NativeGuest]:
        """List the guests of our folders, and machines that somebody else started."""
        vmm = str(self.env.settings.get("vmm_dir", VMM))
        result = await self.tool(["sh", "-c", runner.LIST, "sh", vmm, self.folder],
                                 deadline_s=self.env.deadlines.query_s)  # fmt: skip
        machines, kept = runner.read_list(result)
        self._machines, self._kept = machines, {each.uuid: each for each in kept}
        guests = [self._guest(each) for each in kept]
        ours = {each.name for each in kept}
        for name in sorted(machines - ours):
            guests.append(self._foreign(name))
        return guests

    def _guest(self, kept: runner.Kept) -> NativeGuest:
        async def xml() -> str:
            return kept.xml

        state, reason = State.RUNNING, "unknown"
        if kept.status is not None or not (kept.alive or kept.name in self._machines) or not kept.boots:
            state, reason = State.SHUTOFF, runner.reason_of(kept, old=self._old)
        return NativeGuest(
            uuid=kept.uuid, name=kept.name, state=state, reason=reason, native_id=str(kept.pid or ""), xml=xml,
            pid=kept.pid if self.host.local and kept.pid else None, persistent=False,
        )  # fmt: skip

    def _foreign(self, name: str) -> NativeGuest:
        uuid = self._ids.uuid_of(name)

        async def xml() -> str:
            return f"<domain type='bhyve'><name>{name}</name><uuid>{uuid}</uuid><memory>0</memory>" \
                "<os><type>hvm</type></os></domain>"  # fmt: skip

        shown = xml if NAME.fullmatch(name) else None
        return NativeGuest(uuid=uuid, name=name, state=State.RUNNING, persistent=False, native_id=name, xml=shown)

    # ---- definitions

    async def define(self, target: Target, xml: str) -> None:
        """Check that bhyve can run a definition."""
        if not NAME.fullmatch(target.name):
            raise ConfigUnsupported(f"bhyve takes no machine named {target.name!r}", path="/domain/name",
                                    remedy="use up to 31 letters, digits, _ . + and -")  # fmt: skip
        await self.env.pure(to_native, xml, size=len(xml))

    async def undefine(self, target: Target) -> None:
        """Nothing to do: bhyve keeps no definitions."""

    # ---- the life of a guest

    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Make the guest's taps and folder, and begin to run its script."""
        target = request.target
        if request.mode is not StartMode.BOOT:
            raise StartFailed("bhyve neither restores nor receives guests", remedy="boot it")
        if request.paused:
            raise ConfigUnsupported("bhyve cannot pause a guest", remedy="start it running", path="params.paused")
        await self.define(target, request.xml)
        if target.name in self._machines:
            await self._clear_stale(target)
        domain = prepared(parse(request.xml), firmware=str(self.env.settings.get("firmware", FIRMWARE)))
        taken = {kept.port for kept in self._kept.values() if kept.status is None}
        port = next(port for port in range(FIRST_VNC_PORT, 65536) if port not in taken)
        kept = runner.Kept(uuid=target.uuid, name=target.name, xml=request.xml, port=port)
        folder = self._folder(target.uuid)
        (await self._shell('rm -rf -- "$1" && mkdir -p -m 700 "$1"', folder, target=target)).check()
        try:
            await self._make_taps(domain, kept)
        finally:
            await self._write(f"{folder}/info", runner.info(kept))
        await self._write_script(domain, kept, folder)
        request.cancel.check()
        spawned()
        (await self._shell(runner.LAUNCH, folder, target=target)).check()
        await self._await_boot(request)

    async def _clear_stale(self, target: Target) -> None:
        """Destroy a machine that no process runs any more; leave one that somebody runs.

        Only a machine of ours whose script ended is known to be such.
        """
        kept = next((each for each in self._kept.values() if each.name == target.name), None)
        if kept is None or kept.alive:
            raise OperationInvalid(f"a machine {target.name} exists already",
                                   remedy=f"end it, or `bhyvectl --destroy --vm={target.name}`")  # fmt: skip
        await self._ctl(target, "--destroy")

    async def _make_taps(self, domain: Domain, kept: runner.Kept) -> None:
        ifconfig, limit_s = self._name("ifconfig"), self.env.deadlines.query_s
        for nic in domain.devices.interfaces:
            made = nic.target.dev or ""
            if not made:
                made = (await self.tool([ifconfig, "tap", "create"], deadline_s=limit_s)).check().stdout.strip()
                kept.taps.append(made)
            nic.target.dev = made
            bridge = nic.source.bridge or nic.source.network
            if bridge:
                (await self.tool([ifconfig, bridge, "addm", made], deadline_s=limit_s)).check()
            (await self.tool([ifconfig, made, "up"], deadline_s=limit_s)).check()

    async def _write_script(self, domain: Domain, kept: runner.Kept, folder: str) -> None:
        loader = loader_command(domain, device_map=f"{folder}/device.map", bhyveload=self._name("bhyveload"))
        argv = [self._name("bhyve"), *arguments(domain, tap=_tap, vnc_port=kept.port)]
        restarts = domain.on_reboot in (None, "restart", "rename-restart")
        text = runner.script(folder, kept.name, argv, loader.argv if loader else [], self._name("bhyvectl"),
                             restarts=restarts)  # fmt: skip
        if loader is not None and loader.device_map:
            await self._write(f"{folder}/device.map", loader.device_map.encode())
        await self._write(f"{folder}/run", text.encode())

    async def _await_boot(self, request: StartRequest) -> None:
        """Wait until bhyve runs, or say why it does not."""
        def settled(_: NativeGuest | None) -> bool:
            request.cancel.check()
            kept = self._kept.get(request.target.uuid)
            return kept is not None and (kept.boots > 0 or kept.status is not None)

        await self.until(request.target.uuid, settled, self.env.deadlines.start_s)
        await asyncio.sleep(SETTLE_S)
        await self.look()
        kept = self._kept[request.target.uuid]
        if kept.status is not None:
            log = await self.host.read(f"{self._folder(kept.uuid)}/log", deadline_s=self.env.deadlines.query_s)
            what = "its loader failed" if kept.status >= LOADER_FAILED else "bhyve ended at once"
            last = (log.strip().splitlines() or ["it said nothing"])[-1]
            raise StartFailed(f"{kept.name}: {what}: {last}", remedy="look at the definition", status=kept.status)

    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Press the ACPI button: bhyve takes SIGTERM for it."""
        _check_mode(mode)
        await self._signal(target, "pid", "TERM")

    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Press the ACPI button, and have the script boot the guest again."""
        _check_mode(mode)
        (await self._shell(': >"$1/again"', self._folder(target.uuid), target=target)).check()
        await self._signal(target, "pid", "TERM")

    async def _signal(self, target: Target, file: str, signal: str) -> None:
        result = await self._shell(runner.SIGNAL, self._folder(target.uuid), file, target.name, signal, target=target)
        if result.status == runner.NO_PROCESS:
            raise OperationInvalid(f"the process of {target.name} is not known", remedy="destroy it by its name")
        result.check()

    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """Kill bhyve (or the loader) and destroy the machine."""
        kept = self._kept.get(target.uuid)
        # Also where no listing has shown it yet: a start that is cancelled may have its script running already.
        ended = await self._shell(runner.END, self._folder(target.uuid), target.name, target=target,
                                  deadline_s=self.env.deadlines.change_s)  # fmt: skip
        if ended.status != 0:
            raise ended.failure(f"look at the processes of {target.name} on the host")
        by_hand = kept is None and target.uuid == self._ids.uuid_of(target.name)
        if by_hand or (kept is not None and kept.name in self._machines):
            await self._ctl(target, "--destroy")  # never a machine of that name which is another guest

    async def _ctl(self, target: Target, what: str) -> None:
        result = await self.tool([self._name("bhyvectl"), what, f"--vm={target.name}"], target=target,
                                 verb=f"bhyvectl {what}")  # fmt: skip
        if result.status != 0 and not ("No such" in result.stderr or "does not exist" in result.stderr):
            result.check()

    async def reset(self, target: Target) -> None:
        """Press the reset button: bhyve exits as for a reboot, and the script boots it again."""
        self.running(target)
        await self._ctl(target, "--force-reset")
        self.kick()

    async def stats(self, target: Target, groups: frozenset[str], *, deadline_s: float) -> dict[str, Any]:
        """Return statistics of bhyve's process, its processors and its cards."""
        self.running(target)
        kept = self._kept.get(target.uuid)
        domain = parse(kept.xml) if kept is not None else None
        vcpus = domain.vcpu.maximum or 1 if domain is not None else 1
        tools = [self._name("bhyvectl"), self._name("ps"), "" if self._tsc_hz else self._name("sysctl"),
                 self._name("netstat")]  # fmt: skip
        words = [target.name, self._folder(target.uuid), str(vcpus), *tools, *(kept.taps if kept is not None else ())]
        result = await self.tool(["sh", "-c", statistics.SCRIPT, "sh", *words], target=target,
                                 verb="bhyvectl --get-stats", deadline_s=deadline_s)  # fmt: skip
        memory_kib = domain.memory.kib or 0 if domain is not None else 0
        found = statistics.seen(result)
        self._tsc_hz = found.frequency = found.frequency or self._tsc_hz
        return statistics.stats_of(found, groups, vcpus, memory_kib)

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open the host's side of a serial port; it is closed when the guest has ended."""
        self.running(target)
        kept = self._kept.get(target.uuid)
        if kept is None:
            raise NotFound(f"{target.name} was started by somebody else", remedy="open its nmdm device by hand")
        name, path = serial_port(parse(kept.xml), device)
        argv = self.host.argv(["sh", "-c", CARRY, "sh", path])
        channel, end = await open_channel(argv, name, self.env.deadlines.query_s)
        self._consoles.setdefault(target.uuid, []).append(end)
        return channel

    def exit_reason(self, watched: Watched, guest: NativeGuest | None) -> str:
        """Return why a guest ended; what is gone without a word was killed."""
        return "unknown" if guest is None else super().exit_reason(watched, guest)

    async def clean(self, target: Target) -> None:
        """Remove the guest's taps and folder."""
        for end in self._consoles.pop(target.uuid, ()):
            end()
        kept = self._kept.pop(target.uuid, None)
        for tap in kept.taps if kept is not None else []:
            try:
                await self.tool([self._name("ifconfig"), tap, "destroy"], deadline_s=self.env.deadlines.query_s)
            except MechaneError as error:
                self._listing.warn(f"{tap} of {target.name} stays: {error}")
        await self._shell('rm -rf -- "$1"', self._folder(target.uuid))

    # ---- within

    def _folder(self, uuid: str) -> str:
        return f"{self.folder}/{uuid}"

    async def _shell(
        self, text: str, *words: str, target: Target | None = None, deadline_s: float | None = None
    ) -> ToolResult:
        limit_s = deadline_s or self.env.deadlines.query_s
        return await self.tool(["sh", "-c", text, "sh", *words], target=target, verb="sh", deadline_s=limit_s)

    async def _write(self, path: str, data: bytes) -> None:
        await self.host.write(path, data, deadline_s=self.env.deadlines.query_s)


def _tap(at: int, nic: Interface) -> str:
    return nic.target.dev or f"tap{at}"


def _check_mode(mode: str | None) -> None:
    if mode not in MODES:
        raise InvalidArgument(f"bhyve knows no mode {mode!r}", remedy="use acpi", path="params.mode", allowed=["acpi"])
