"""The node: builds everything once, hands it down, starts in order and stops in reverse.

Threads: main (signals), gateway, node loop, one loop for each connection, executors,
store, reader, and the few of each driver's tool pool. Start order: lock and read the
stores, open the connections, take up running guests, listen, say READY. Stop order: stop
listening, let go of drivers (guests keep running), close the stores.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from ...config.errors import InvalidArgument, SettingsError
from ...config.settings import Settings
from ...hypervisors.contract import Deadlines
from ...hypervisors.registry import place_of
from ...hypervisors.uri import ConnectionUri
from ...protocol.catalogue import Catalogue, load
from ...protocol.limits import Limits
from ...protocol.permissions import Grant, Policy, check_words
from ..cells.directory import Directory, Entry
from ..connection.autostart import autostart_all
from ..connection.supervisor import READERS_AT_ONCE, READERS_SHARE, Supervisor
from ..domain.boots import Boots, boot_id
from ..domain.legality import RULES
from ..domain.undertaking import take_up
from ..events.journal import Journal
from ..events.subscriptions import Subscriptions
from ..gateway.gateway import Gateway
from ..handlers.hands import Hands
from ..handlers.polling import Polls
from ..handlers.published import PUBLISHED
from ..handlers.view import View
from ..offload.offload import Offload
from ..router.executors import Executors
from ..router.mailboxes import PriorityMailbox
from ..router.pending import FAULT, PendingCall
from ..router.router import Router
from ..runtime.loop_thread import LoopThread
from ..runtime.spread import Spread
from ..runtime.turnstile import Turnstile
from ..services import Services
from ..stores.sqlite import SqliteStore
from . import loading
from .access import access_of
from .deadlines import CallDeadlines
from .faults import fault_of, or_nothing
from .notify import Notifier

VERSION = "0.1.0"
SWITCH_INTERVAL_S = 0.0001
"""A thread of plain Python holds the GIL no longer than this (measured: DESIGN.md, the GIL)."""
TEND_S = 0.1
"""How often is looked whether the executors are stuck."""
PACK_PAUSE_S = 0.001
"""Between two pages, of some 40 domains where there are 10,000: about 0.1 ms to pack (measured)."""
OPEN_WAIT_S = 86400.0
"""How long sweep and autostart wait for a connection that cannot be opened yet; it is tried again meanwhile."""
STOP_S = 12.0
"""How long a connection may take to end its verbs and to let go of its driver."""
ADOPT_WAIT_S = 0.5
"""How long READY waits for guests to be taken up; a hung one goes on in the background."""
_log = logging.getLogger("mechane.node")


class Node:
    """One node; `start`, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.node.name or socket.gethostname()
        self.version = VERSION
        self.pid = os.getpid()
        self.started_at = time.time()
        self.ready = False
        self.default_grace_s = settings.deadlines.destroy_grace_s
        self.catalogue: Catalogue = load()
        fault = fault_of(os.environ)
        FAULT.before_reply = fault
        self.home = LoopThread("node")
        self.deadlines = CallDeadlines(self.home)
        self.polls = Polls()
        self.readers = Turnstile(width=READERS_AT_ONCE, share=READERS_SHARE)
        self.notifier = Notifier(os.environ)
        limits: Limits = settings.limits
        self.journal = Journal(self.name, length=limits.journal_length)
        self.subscriptions = Subscriptions(self.journal)
        self.store = SqliteStore(settings.state_dir, fault=fault)
        self.offload = Offload(
            memory_bytes=settings.workers.process_memory_mib << 20, modules=("mechane.config.domain.document",)
        )
        self.services = Services(
            node=self.name, directory=Directory(), definitions=self.store, runtime=self.store, journal=self.journal,
            offload=self.offload, limits=limits, settings=settings, state_dir=settings.state_dir,
            runtime_dir=settings.runtime_dir, wall_clock=time.time, clock=time.monotonic, fault=or_nothing(fault),
            boots=Boots(self.store, boot_id()),
            later=Spread(self.home).soon,
        )  # fmt: skip
        self.connections: dict[str, Supervisor] = {}
        self.view = View(
            node=self.name, version=VERSION, catalogue=self.catalogue, directory=self.services.directory,
            journal=self.journal, connections=self.connections, limits=lambda: self.services.limits,
        )  # fmt: skip
        self._wire()

    def _wire(self) -> None:
        limits, workers = self.services.limits, self.settings.workers
        self.executors = Executors(
            PriorityMailbox("high", limits.router_length),
            PriorityMailbox("low", limits.router_length, behind_at_once=max(1, workers.min_workers // 2)),
            lambda call: self.router.handle(call), prio_workers=workers.prio_workers,
            min_workers=workers.min_workers, max_workers=workers.max_workers,
        )  # fmt: skip
        self.router = Router(
            self.catalogue, self.services.directory, self.view, self.executors, published=PUBLISHED,
            hand_of=Hands(self).of, deadline_of=lambda kind: self.services.limits.deadline_s(kind),
            needs=self._needs, closed=self._client_closed,
            slow_high_s=self.settings.watchdog.slow_high_s, limits=limits,
        )  # fmt: skip
        grants = [Grant.from_settings(entry) for entry in self.settings.grants]
        check_words(grants, self.catalogue)
        self.access = access_of(self.settings.node, grants)
        policy = Policy(grants, administrators=(0, os.geteuid()), admin_gid=self.access.admin_gid)
        self.services.policy = policy
        self.gateway = Gateway(limits, self.router, policy=policy, catalogue=self.catalogue)

    # ---- start and stop

    def start(self) -> None:
        """Start everything; returns when the sockets answer.

        Raises:
            SettingsError: the state or the runtime folder can be neither found nor made.
            InvalidArgument: a connection is no URI.
            Unsupported: no driver serves a connection.
            StoreError: the state folder cannot be used, or another node has it.
            OperationFailed: the sockets cannot be opened.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        _raise_open_files()
        if os.geteuid() == 0 and self.settings.node.nice < 0:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.settings.node.nice)
        _folder(self.settings.state_dir, 0o711)
        _folder(self.settings.runtime_dir, 0o755)
        self.store.open()
        self.offload.start()
        self.home.start()
        self._connect()
        loaded = loading.load(self.services, self.connections)
        self.services.directory.load(loaded.entries)
        take_up(self.services)
        for uri in loaded.runs:
            self.connections[uri].open_soon()
        adopting = self._adopt(loaded)
        self.executors.start()
        access = self.access
        runtime = self.settings.runtime_dir
        self.gateway.listen_unix(
            runtime / "mechane.sock", mode=access.mode, gid=access.gid, admitted=access.admitted
        )
        self.gateway.listen_unix(runtime / "mechane-ro.sock", mode=0o666, read_only=True)
        self._listen_tls()
        adopting.wait(ADOPT_WAIT_S)
        self.gateway.start()
        for uri, supervisor in self.connections.items():
            if uri not in loaded.runs:  # importing a driver takes 0.1 s: calls wait for it, the sockets do not
                supervisor.open_soon()
        self.ready = True
        self.notifier.send("READY=1")
        self.home.spawn_threadsafe(self._watchdog, "watchdog")
        self.home.spawn_threadsafe(self._pack_ahead, "pack")
        self.home.spawn_threadsafe(self._tend_executors, "executors")
        _log.info("%s is ready: %d domains, %s", self.name, len(loaded.entries), ", ".join(self.connections))

    def _connect(self) -> None:
        limits = self.settings.deadlines
        deadlines = Deadlines(
            query_s=limits.query_s, change_s=limits.change_s, start_s=limits.start_s, probe_s=limits.probe_s,
            tool_s=limits.tool_s, destroy_grace_s=limits.destroy_grace_s,
        )  # fmt: skip
        for text in self.settings.connections:
            uri = ConnectionUri.parse(text)
            place_of(uri)  # a slip of the pen is said now, and not each time that it is tried
            supervisor = Supervisor(self.services, uri, deadlines, self.settings.section(uri.scheme))
            self.connections[uri.text] = supervisor
            supervisor.launch()

    def _adopt(self, loaded: loading.Loaded) -> threading.Event:
        """Have each connection take up its guests; the event is set when all did."""
        done = threading.Event()
        left = len(self.connections)
        lock = threading.Lock()

        async def adopt(supervisor: Supervisor, uri: str) -> None:
            nonlocal left
            runs = loaded.runs.get(uri, {})
            supervisor.ids_from(loaded.highest_id.get(uri, 0))
            try:
                if runs:
                    await supervisor.adopt_all(runs)
            finally:
                with lock:
                    left -= 1
                    if not left:
                        done.set()
            await supervisor.opened(OPEN_WAIT_S)
            await supervisor.take_stock(runs)
            await autostart_all(supervisor)

        for uri, supervisor in self.connections.items():
            supervisor.home.spawn_threadsafe(partial(adopt, supervisor, uri), "adopt")
        if not self.connections:
            done.set()
        return done

    def _listen_tls(self) -> None:
        tls = self.settings.tls
        if tls.enabled:
            from ..gateway.trust import TlsFiles

            files = TlsFiles(
                certificate=Path(tls.certificate), key=Path(tls.key), authority=Path(tls.ca),
                revoked=Path(tls.crl) if tls.crl else None,
            )  # fmt: skip
            self.gateway.listen_tls(tls.listen, tls.port, files)

    async def _tend_executors(self) -> None:
        """Add executors when calls wait and none of those that are there takes them."""
        while True:
            await asyncio.sleep(TEND_S)
            self.executors.tend()

    async def _pack_ahead(self) -> None:
        """Pack the records of all domains before the first list asks for them, in small slices."""
        for _ in self.services.directory.packed():
            await asyncio.sleep(PACK_PAUSE_S)

    async def _watchdog(self) -> None:
        """Tell systemd that all loops turn."""
        period_s = (self.notifier.watchdog_s or 30.0) / 3
        while self.notifier.watchdog_s:
            turned = [asyncio.wrap_future(_turn(s.home.loop)) for s in self.connections.values()]
            turned.append(asyncio.wrap_future(self._gateway_turn()))
            done = await asyncio.wait(turned, timeout=period_s)
            if not done[1]:
                self.notifier.send("WATCHDOG=1")
            await asyncio.sleep(period_s)

    def _gateway_turn(self) -> Future[None]:
        turned: Future[None] = Future()
        self.gateway.loop.call(partial(turned.set_result, None))
        return turned

    def renew(self) -> None:
        """Read again what may change while the node runs: the files of [tls]; any thread."""
        self.gateway.renew_trust()

    def stop(self) -> None:
        """Stop listening, let go of the guests (they keep running) and close the stores."""
        self.notifier.send("STOPPING=1")
        self.ready = False
        self.gateway.stop(5.0)
        self.executors.stop()
        for supervisor in self.connections.values():
            closing = asyncio.run_coroutine_threadsafe(supervisor.close(), supervisor.home.loop)
            try:
                closing.result(STOP_S)
            except TimeoutError:
                _log.error("%s did not close in time", supervisor.uri)
            supervisor.home.stop(5.0)
        self.home.stop(5.0)
        self.subscriptions.close(2.0)
        self.offload.close(2.0)
        self.store.close(10.0)

    # ---- what handlers ask of the node

    def _needs(self, spec: Any, entry: Entry | None, args: dict[str, Any]) -> None:
        """Answer `unsupported` before anything is queued."""
        rule = RULES.get(spec.name)
        if entry is None or rule is None or rule.capability is None:
            return
        supervisor = self.connections[entry.connection]
        if supervisor.state != "opening":  # else the domain's actor waits for the driver, and asks then
            supervisor.need(rule.capability, spec.name)

    def current_call(self, entry: Entry) -> PendingCall | None:
        """Return the call that the domain's actor works on."""
        actor = entry.actor
        current: PendingCall | None = actor._current if actor is not None else None
        return current

    def change_limits(self, values: dict[str, Any]) -> None:
        """Change limits; they hold for new clients and new calls.

        Raises:
            InvalidArgument: an unknown limit or a value out of range.
        """
        if not values:
            raise InvalidArgument("no limit was given", remedy="give name and value", path="params.limits")
        limits = self.services.limits.changed(values)
        self.services.limits = limits
        self.gateway.set_limits(limits)
        self.journal.resize(limits.journal_length)
        self.router.compile(limits)
        self.executors.high.limit = self.executors.low.limit = limits.router_length
        for entry in self.services.directory.all():
            entry.mailbox.limit = limits.mailbox_length

    def _client_closed(self, session: Any) -> None:
        self.subscriptions.closed(session)
        for supervisor in self.connections.values():
            supervisor.home.call(supervisor.client_gone, session.id)


def _turn(loop: asyncio.AbstractEventLoop) -> Any:
    async def nothing() -> None:
        return None

    return asyncio.run_coroutine_threadsafe(nothing(), loop)


def _folder(path: Any, mode: int) -> None:
    """Make a folder with just this mode, whatever the umask; one that is there keeps its own."""
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(mode)
    except OSError as error:
        raise SettingsError(
            f"the folder {path} cannot be used: {error.strerror}", path=str(path),
            remedy="give the node's user access to it, or name another with --state-dir and --runtime-dir",
        ) from error  # fmt: skip


def _raise_open_files() -> None:
    """Allow as many descriptors as the hard limit: each client and each guest takes a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
