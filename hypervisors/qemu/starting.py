"""Start a guest.

The order, and why:
1. folder, monitor socket and log are made; the command line is built;
2. the handle is durable before anything is spawned, with what must be undone later;
3. the kill handle is published right after the spawn, before the monitor answers;
4. the monitor is asked all that is needed in one round trip, and only then the guest runs.
When a step fails, whatever was made is taken away before the error goes out.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ...config.errors import (
    Cancelled,
    ConnectionLost,
    MechaneError,
    OperationFailed,
    OperationInvalid,
    OutcomeUnknown,
    StartFailed,
)
from ...config.states import State
from ..contract import Itself, Started, StartMode, StartRequest
from ..facts import Spawned
from . import live, ownership
from .cgroup import Grouping
from .claim import give_back, lock_of
from .command import Definitions, build_command, plan_needs, write_live
from .cpu.settling import Settler
from .emulation import accelerator_of, default_emulator
from .emulators import Emulators, key_of
from .endings import Endings
from .failing import why
from .files import drop_missing, ready_files
from .firmware import read_descriptors
from .greeting import NotGreetedError, first_answers
from .guest import Guest
from .handle import GuestRecord
from .holding import Held, check_opened, holding
from .host import tuning
from .host.labels import check_labels
from .host.parts import launch, note
from .host.site import Site
from .host.undefine import NVRAM
from .keeping.restoring import INCOMING, check_emulator, open_source, read_definition, receive
from .kvm import KvmProbe
from .opening import Opened, open_for, undo, wants_planning
from .prepared import Prepared
from .probe import SANDBOX
from .profile import Profile
from .qmp import CommandKind, Monitor
from .setup import before_cont
from .workshop import Workshop

if TYPE_CHECKING:
    from ...config.domain.domain import Domain
    from .argv.records import CommandLine, Emulator, FileUse, Resources
    from .capabilities import EmulatorKey
    from .keeping.saved import Source

T = TypeVar("T")
SPAWNS = 3
"""How often QEMU is spawned for one start, when it does not greet."""
Builder = Callable[["Domain", "Emulator", "Resources"], "CommandLine"]


class Starter:
    """Starts guests of one connection. Loop's thread."""

    def __init__(
        self, shop: Workshop, emulators: Emulators, kvm: KvmProbe, endings: Endings, definitions: Definitions,
        grouping: Grouping, settler: Settler, build: Builder = build_command,
    ) -> None:  # fmt: skip
        self._shop = shop
        self._emulators = emulators
        self._kvm = kvm
        self._endings = endings
        self._definitions = definitions
        self._grouping = grouping
        self._settler = settler
        self._build = build

    async def start(self, request: StartRequest) -> Started:
        """Start a guest; see the module, and `Driver.start` for the contract."""
        async with open_source(self._shop, request) as source:
            return await self._begin(request, source)

    async def _begin(self, request: StartRequest, source: Source | None) -> Started:
        domain = await drop_missing(
            self._shop, await read_definition(self._definitions, request, source), request.target.uuid
        )
        target = request.target
        present = self._endings.guests.get(target.uuid)
        if present is not None and present.process is not None and not present.process.exited.is_set():
            raise OperationInvalid(f"QEMU runs {target.name} already", remedy="destroy it first")
        lock = await lock_of(self._shop, target)
        try:
            started = await self._insist(request, domain, source, lock)
        except BaseException:
            os.close(lock)
            await asyncio.shield(give_back(self._shop, target))
            raise
        os.close(lock)  # QEMU has its own
        return started

    async def _insist(self, request: StartRequest, domain: Domain, source: Source | None, lock: int) -> Started:
        target = request.target
        for _ in range(SPAWNS - 1):
            with suppress(NotGreetedError):  # taken away again; see greeting.py
                return await self._try(request, domain, source, lock)
            self._shop.log.warning("QEMU of %s did not greet and is started anew", target.name)
        try:
            return await self._try(request, domain, source, lock)
        except NotGreetedError as error:
            raise StartFailed(
                f"QEMU's monitor did not greet when {target.name} was started", remedy="start it again"
            ) from error

    async def _try(self, request: StartRequest, domain: Domain, source: Source | None, lock: int) -> Started:
        target = request.target
        guest = Guest(
            target, folder=self._shop.folder_of(target.uuid), log=self._shop.log_of(target.name),
            facts=request.facts, actions=self._endings,
        )  # fmt: skip
        guest.source, guest.lock = source, lock
        self._endings.guests[target.uuid] = guest  # before its folder is made: see Adoption.sweep
        try:
            return await self._start(request, domain, guest)
        except BaseException as error:
            try:
                await asyncio.shield(self._endings.discard(guest))
            except MechaneError as failed:
                self._shop.log.error("after the start of %s: %s", target.name, failed)
            if request.cancel.reason is not None and isinstance(error, MechaneError):
                raise Cancelled(
                    f"the start of {target.name} was cancelled: {request.cancel.reason}", remedy=""
                ) from error
            raise

    async def _start(self, request: StartRequest, domain: Domain, guest: Guest) -> Started:
        async with holding(self._shop, request, domain) as held:
            return await self._start_held(request, held, guest)

    async def _start_held(self, request: StartRequest, held: Held, guest: Guest) -> Started:
        domain = held.domain
        accel = await self._accelerator(domain)
        prepared = await self._prepare(guest, domain)
        try:
            request.cancel.check()
            emulator = await self._emulators.get_by_key(prepared.key)
            check_emulator(guest.source, emulator)
            domain = await self._settler.settle(domain, prepared.key, accel)
            prepared.shares, prepared.limited = tuning.wanted(domain), bool(held.fds)
            check_labels(domain, self._shop.identity)
            resources = await self._resources(guest, domain, emulator, prepared, accel)
            line = await self._shop.env.pure(self._build, domain, emulator, resources, size=len(request.xml))
            held.show(line.live.domain)
            guest.holds = "-no-shutdown" in line.argv
            guest.log_offset = prepared.log_offset
            guest.profile = Profile.of(line.live.domain)
            owners = await self._ready_files(line.files, guest)
            guest.owners = held.named(owners)
            await request.record(self._record(guest, prepared.key).to_handle())
            request.cancel.check()
            await self._take_files(guest, owners)
            launch(self._shop, guest, prepared.opened, prepared.log_fd)
            self._spawn(request, guest, line, prepared, held.fds)
        finally:
            prepared.close()
        return await self._bring_up(request, guest, line, prepared)

    # ---- before the spawn

    async def _on_storage(
        self, guest: Guest, function: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None
    ) -> T:
        """Run what may touch the guest's storage: that may take as long as the start may."""
        env = self._shop.env
        return await env.blocking(
            function, *args, deadline_s=env.deadlines.start_s, domain=guest.target.uuid, undo=undo
        )

    async def _accelerator(self, domain: Domain) -> str:
        accel = accelerator_of(domain)
        if accel == "kvm":
            await self._kvm.require(domain.devices.emulator or default_emulator(domain))
        return accel

    async def _prepare(self, guest: Guest, domain: Domain) -> Prepared:
        path = domain.devices.emulator or default_emulator(domain)
        secrets = [
            (f"graphics{index}.password", item.passwd)
            for index, item in enumerate(domain.devices.graphics)
            if item.passwd
        ]
        identity = self._shop.identity

        def prepare() -> Prepared:
            key = key_of(path)
            listener = guest.folder.create(identity.uid, identity.gid)
            try:
                log_fd, offset = guest.log.open(f"starting {guest.target.name} ({guest.target.uuid}) with {path}")
            except OSError:
                listener.close()
                raise
            write = guest.folder.write_secret
            files = {name: write(name, value, identity.uid, identity.gid) for name, value in secrets}
            return Prepared(
                listener=listener, log_fd=log_fd, log_offset=offset, key=key, secrets=files, opened=Opened()
            )

        def unprepare(late: Prepared) -> None:
            late.close()
            guest.folder.remove()

        try:
            prepared: Prepared = await self._on_storage(guest, prepare, undo=unprepare)
        except OSError as error:
            raise OperationFailed(
                f"the folder or log of {guest.target.name} cannot be made: {error}",
                remedy="look at the node's state and runtime folders",
            ) from error
        return prepared

    async def _resources(
        self, guest: Guest, domain: Domain, emulator: Emulator, prepared: Prepared, accel: str
    ) -> Resources:
        from .argv.records import Resources

        shop, opened = self._shop, prepared.opened
        firmware: Sequence[Any] = ()
        if wants_planning(domain):
            planned, needed = await shop.env.pure(plan_needs, domain, emulator)
            site = Site(
                uuid=guest.target.uuid, name=guest.target.name, folder=guest.folder, ports=shop.ports,
                state_dir=shop.env.state_dir, identity=shop.identity, log_fd=prepared.log_fd,
            )  # fmt: skip
            opened = prepared.opened = await self._on_storage(guest, open_for, planned, needed, site, undo=undo)
            note(guest, opened)
            if needed.firmware:
                firmware = await shop.blocking(read_descriptors, domain=Itself("the installed firmware"))
        return Resources(
            guest_dir=str(guest.folder.own), monitor_fd=prepared.listener.fileno(), accel=accel,
            secrets=prepared.secrets | opened.secrets, tap_names=opened.tap_names,
            huge_page_dirs=opened.huge_page_dirs, sandbox=shop.options.sandbox, firmware=firmware, fds=opened.fds,
            ports=opened.ports, vsock_cid=opened.vsock_cid, generation=str(uuid.uuid4()),
            clock_base=int(time.time()), nvram_dir=str(shop.env.state_dir / NVRAM),
            incoming=INCOMING if guest.source is not None else None,
        )  # fmt: skip

    async def _ready_files(self, files: Sequence[FileUse], guest: Guest) -> list[ownership.Owner]:
        """Copy templates, and plan which files change hands."""
        if not files:
            return []
        shop = self._shop

        def ready() -> list[ownership.Owner]:
            return ready_files(files, shop.identity, set_ownership=shop.options.set_ownership)

        try:
            owners: list[ownership.Owner] = await self._on_storage(guest, ready)
        except OSError as error:
            raise StartFailed(
                f"a file of {guest.target.name} cannot be made ready: {error}", remedy="look at that file"
            ) from error
        return owners

    async def _take_files(self, guest: Guest, owners: Sequence[ownership.Owner]) -> None:
        if not owners:
            return
        identity = self._shop.identity
        try:
            await self._on_storage(guest, ownership.take, owners, identity.uid, identity.gid)
        except OSError as error:
            raise StartFailed(
                f"{error.filename} cannot be given to {identity.user}: {error.strerror}",
                remedy="give it yourself and set `set_ownership = false` in the settings' section [qemu]",
            ) from error

    # ---- the spawn, and after

    def _spawn(
        self, request: StartRequest, guest: Guest, line: CommandLine, prepared: Prepared, held: Sequence[int]
    ) -> None:
        argv = [prepared.key.path, *line.argv]
        if self._shop.options.sandbox and "-sandbox" not in argv:
            argv += ["-sandbox", SANDBOX]
        if not any(str(guest.folder.path) in argument for argument in argv):
            argv += ["-L", str(guest.folder.path)]  # how a restarted node recognises its guests
        guest.process = self._shop.spawn(
            argv, log_fd=prepared.log_fd, pass_fds=(prepared.listener.fileno(), guest.lock, *line.pass_fds, *held),
            environment=line.environment, domain=guest.target.name, raw_io=line.raw_io,
            on_exit=guest.on_exit, on_stubborn=lambda: self._endings.stubborn(guest),
        )  # fmt: skip
        request.facts.put(Spawned(incarnation=guest.incarnation, kill=guest.process, pid=guest.process.pid))

    async def _bring_up(self, request: StartRequest, guest: Guest, line: CommandLine, prepared: Prepared) -> Started:
        deadlines = self._shop.env.deadlines
        try:
            request.cancel.check()
            monitor = self._connect(guest)
            queries = live.queries(line.live)
            assert guest.process is not None
            replies = await first_answers(monitor, guest.process, queries, deadline_s=deadlines.start_s)
            named = {query.name: reply for query, reply in zip(queries, replies, strict=True)}
            guest.threads = live.threads(named)
            if prepared.limited:
                await check_opened(monitor, deadlines.start_s)
            await self._settler.verify(monitor, line.live.domain, named[live.CPUS.name], deadlines.start_s)
            handle = self._record(guest, prepared.key).to_handle()
            await request.record(handle)
            request.cancel.check()
            await tuning.tune(self._shop, guest, monitor, prepared.shares)
            if commands := before_cont(line, guest.profile):
                await monitor.execute_all(commands, kind=CommandKind.CHANGE, deadline_s=deadlines.change_s)
            if guest.source is not None:
                await receive(self._shop, guest, monitor, guest.source)
            running = None
            if not request.paused:
                running = asyncio.ensure_future(
                    monitor.execute("cont", kind=CommandKind.CHANGE, deadline_s=deadlines.change_s)
                )
                await asyncio.sleep(0)  # let it be sent; the XML is written while QEMU works
            shown = await self._describe(guest, line, named, len(request.xml))
            if running is not None:
                await running
            request.cancel.check()
        except (ConnectionLost, OutcomeUnknown, OSError) as error:
            raise await why(self._shop, guest, line) from error
        return self._started(request, guest, handle, shown)

    def _connect(self, guest: Guest) -> Monitor:
        return self._endings.connect(guest)

    async def _describe(self, guest: Guest, line: CommandLine, replies: dict[str, Any], size: int) -> str:
        domain = live.complete(line.live, replies)
        guest.profile = Profile.of(domain)
        return await self._shop.env.pure(write_live, domain, guest.target.id or 0, size=size)

    def _started(self, request: StartRequest, guest: Guest, handle: dict[str, Any], shown: str) -> Started:
        process = guest.process
        assert process is not None
        if process.exited.is_set():
            raise StartFailed(f"{guest.target.name} ended while it was being started", remedy="look at its log")
        handle["profile"] = guest.profile.to_map()
        if request.paused:
            guest.believe(State.PAUSED, "user")
        elif guest.state[1] in ("starting_up", "unpaused"):
            guest.believe(State.RUNNING, "booted" if request.mode is StartMode.BOOT else "restored")
        guest.live, guest.source = True, None
        self._grouping.add(guest)
        state, reason = guest.state
        return Started(
            handle=handle, state=state, reason=reason, pid=process.pid, live_xml=shown, kill=process,
        )  # fmt: skip

    def _record(self, guest: Guest, key: EmulatorKey) -> GuestRecord:
        process = guest.process
        return GuestRecord(
            folder=str(guest.folder.path), incarnation=guest.incarnation, boot_id=self._shop.boot_id,
            name=guest.target.name, emulator=key.path, log_offset=guest.log_offset, owners=tuple(guest.owners),
            pid=process.pid if process is not None else 0,
            start_time=process.start_time if process is not None else 0,
            holds=guest.holds, threads=guest.threads, profile=guest.profile, host=guest.host.record(),
        )  # fmt: skip
