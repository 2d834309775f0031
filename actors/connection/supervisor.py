"""The supervisor of one hypervisor connection and its domain actors.

It is a loop actor itself: connection calls arrive in its mailbox and run as tasks side by
side (bounded), so one slow definition holds up no other. Guarantees:

- all of its domains, its driver and itself share one event loop and no other;
- a crash of a domain actor means a new actor on the same mailbox, with a re-attach of the
  guest; too many within the window quarantine that domain only;
- a driver that cannot be opened is tried again with growing pauses; one that crashes too
  often is quarantined until an operator re-attaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import Any

from ...config.errors import Busy, MechaneError, NoDomain, OperationInvalid, Quarantined
from ...hypervisors.contract import Capability, Deadlines, Driver, HypervisorInfo, Target
from ...hypervisors.facts import FactSink
from ...hypervisors.registry import DRIVERS, driver_class
from ...hypervisors.uri import ConnectionUri
from ...protocol.permissions import Grants
from ..cells import facts
from ..cells.cell import Cell
from ..cells.directory import Entry
from ..cells.snapshot import Snapshot
from ..domain.actor import DomainActor
from ..domain.orders import DestroyByDriver, Order
from ..router.pending import PendingCall
from ..router.router import incident, unsupported
from ..runtime.asker import work_for
from ..runtime.loop_actor import LoopActor
from ..runtime.loop_thread import LoopThread
from ..runtime.mailbox import Mailbox
from ..runtime.sharing import Sharing
from ..runtime.supervision import RestartWindow, configured
from ..runtime.turnstile import Turnstile
from ..services import Services
from .consoles import Consoles
from .definitions import Definitions
from .discovery import Discovery
from .env import ConnectionEnv
from .sink import Sink
from .taking_up import TakingUp

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a driver that could not be opened is tried again."""
OPEN_WAIT_S = 10.0
"""How long calls wait for a driver that is being opened; QEMU is probed in about 0.1 s on an idle machine."""
CLOSE_WAIT_S = 5.0
"""How long opening, adopting and verbs may take to end when the node stops: a verb settles what it has begun."""
CALLS_AT_ONCE = 64
READERS_AT_ONCE, READERS_SHARE = 4, 0.2
"""Calls of the read-only socket's clients: how many at once, and which part of the loop's time they may use."""


class Supervisor(LoopActor, Definitions, Discovery, TakingUp):
    """One connection; see the module."""

    def __init__(self, services: Services, uri: ConnectionUri, deadlines: Deadlines, settings: Any) -> None:
        home = LoopThread(f"c:{uri.text}"[:60], starts_processes=True)
        home.start()
        super().__init__(home, Mailbox(services.limits.mailbox_length * 16, f"connection {uri.text}"))
        self.services = services
        self.uri = uri
        self.log = logging.getLogger(f"mechane.connection.{uri.scheme}")
        self.env = ConnectionEnv(self, uri, deadlines, settings)
        self.driver: Any = None
        self.kind = uri.scheme
        self.state = "opening"
        self.info = HypervisorInfo(version="")
        self.error: MechaneError | None = None
        self.consoles = Consoles(self)
        self._tree = configured(services.settings.supervision)
        self.window = RestartWindow("connection", tree=self._tree)
        self._ids = itertools.count(1)
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self.documents, self.probes = Turnstile(), Sharing()
        self.readers = Turnstile(width=READERS_AT_ONCE, share=READERS_SHARE)
        self._opened = asyncio.Event()
        self._autodestroy: dict[int, list[tuple[Entry, int]]] = {}
        Discovery.__init__(self)

    # ---- life

    def open_soon(self) -> None:
        """Make the driver and open it; retries go on in the background. Any thread."""
        self.home.spawn_threadsafe(self._open, "open")

    async def _open(self) -> None:
        for attempt in itertools.count():
            try:
                cls = driver_class(self.uri)
                self.kind = cls.kind
                driver: Driver = cls(self.env)
                self.info = await driver.open()
                self.driver = driver
                self.state, self.error = "open", None
                self._opened.set()
                self._say("opened", self.info.version)
                self.discover_soon()
                return
            except MechaneError as error:
                self.error, self.state = error, "failed"
                self.log.warning("cannot open %s: %s", self.uri, error)
            except Exception as error:  # noqa: BLE001 - the supervisor's edge: the connection's own failure
                if not self.crashed("open", error):
                    return
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])

    def open_again(self) -> None:
        """Open a driver that failed or was quarantined anew. Loop's thread."""
        if self.state in ("failed", "quarantined"):
            self.state = "opening"
            if self.driver is None:
                self.home.spawn(self._open(), "open")
            else:
                self.state, self.error = "open", None
                self.discover_soon()

    def crashed(self, what: str, error: Exception) -> bool:
        """Count a crash of connection-level code; returns False when it is quarantined now."""
        self.error = incident(f"{what} of {self.uri}", error)
        if self.window.crashed():
            self.state = "failed"
            return True
        self.state = "quarantined"
        self._say("quarantined", self.error.message)
        return False

    def _say(self, event: str, detail: str) -> None:
        self.services.journal.append(
            {"node": self.services.node, "kind": "connection", "event": event, "detail": detail,
             "time": self.services.wall_clock(), "connection": self.uri.text, "data": {}}
        )  # fmt: skip

    async def opened(self, timeout_s: float) -> bool:
        """Wait until the driver is open; False when it is not after `timeout_s`."""
        try:
            await asyncio.wait_for(self._opened.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def settled(self) -> None:
        """Wait while the driver is opened for the first time, so that a node just started answers no `busy`."""
        if self.state == "opening":
            await self.opened(OPEN_WAIT_S)

    def hypervisor_changed(self, up: bool, message: str) -> None:
        """Note that the hypervisor went away or came back. Loop's thread."""
        self.state = "open" if up else "failed"
        self._say("up" if up else "down", message)
        if up:
            self.discover_soon()

    # ---- domains

    def new_entry(self, uuid: str, name: str, *, visible: bool) -> Entry:
        """Make an entry (not yet in the directory) for a domain of this connection."""
        snapshot = Snapshot(uuid=uuid, name=name, node=self.services.node, connection=self.uri.text)
        return self.entry_of(snapshot, visible=visible)

    def entry_of(self, snapshot: Snapshot, *, visible: bool) -> Entry:
        """Make an entry that publishes `snapshot`."""
        cell = Cell(snapshot, self.services.journal, self.services.wall_clock, self.services.later)
        mailbox: Mailbox[Any] = Mailbox(self.services.limits.mailbox_length, f"domain {snapshot.name}")
        entry = Entry(cell, mailbox, visible=visible)
        mailbox.connect(lambda: self.home.call(self.animate, entry))
        return entry

    def animate(self, entry: Entry) -> None:
        """Start the domain's actor at its first mail. Loop's thread."""
        if entry.actor is None and not entry.cell.gone:
            entry.actor = DomainActor(self, entry).launch()

    def domain_crashed(self, entry: Entry, error: Exception) -> None:
        """Restart a domain's actor and re-attach its guest, or quarantine the domain."""
        entry.actor = None
        if entry.window is None:
            entry.window = RestartWindow("domain", tree=self._tree)
        snapshot = entry.cell.snapshot
        self.log.error("the actor of %s crashed: %s", snapshot.name, error)
        if not entry.window.crashed():
            entry.cell.put(facts.WasQuarantined(cause=f"{type(error).__name__}: {error}"[:300]))
        self.animate(entry)

    def remove(self, entry: Entry) -> None:
        """Take a domain out: its waiting calls answer no_domain, its actor ends. Loop's thread."""
        entry.visible = False
        name = entry.cell.snapshot.name
        waiting = entry.mailbox.close()
        self.services.directory.remove(entry)
        entry.cell.bury()
        for item in waiting:
            if isinstance(item, Order) and item.verb in ("define", "create"):
                self.home.spawn(self.begin_anew(item), "define")  # it is for the next domain of that name
                continue
            error = NoDomain(f"domain {name} was removed", remedy="`mechane list --all` shows what there is")
            call = item if isinstance(item, PendingCall) else item.call
            if call is not None:
                call.fail(error)
            if isinstance(item, Order) and item.done is not None:
                item.done(error)
        if entry.actor is not None:
            entry.actor._end()
            entry.actor = None

    def next_id(self) -> int:
        """Return the next id for a guest that starts."""
        return next(self._ids)

    def ids_from(self, highest: int) -> None:
        """Go on counting ids behind those of adopted guests."""
        self._ids = itertools.count(highest + 1)

    def sink_of(self, entry: Entry) -> FactSink:
        """Return where facts of a domain go."""
        return Sink(entry)

    def need(self, capability: Capability | None, verb: str) -> None:
        """Refuse what the driver does not declare, and everything while it is out of service.

        Raises:
            Unsupported: the driver does not declare the capability.
            Quarantined: the connection is out of service.
        """
        if self.state == "quarantined":
            raise Quarantined(
                f"connection {self.uri} is quarantined", remedy="mend the cause, then `mechane reattach`",
                connection=self.uri.text,
            )  # fmt: skip
        if self.driver is None:
            raise self.error or Busy(f"connection {self.uri} is still being opened", remedy="try again",
                                     what="connection", limit=0)  # fmt: skip
        if capability is not None and capability not in self.driver.capabilities:
            raise unsupported(verb, self.uri.text, capability.value, drivers_with(capability))

    # ---- calls

    async def on_call(self, call: PendingCall) -> None:
        """Begin a connection call as a task of its own."""
        await self._slots.acquire()
        self.home.spawn(self._serve(call), call.spec.name)

    async def _serve(self, call: PendingCall) -> None:
        try:
            if call.done:
                return
            work_for(call.client)
            await self.settled()
            self.need(None, call.spec.name)
            if call.spec.name == "domain.define_xml":
                await self.define(call)
            else:
                await self.create(call)
        except MechaneError as error:
            call.fail(error)
        except Exception as error:  # noqa: BLE001 - the connection's edge: answer, count, maybe quarantine
            call.fail(incident(call.spec.name, error))
            self.crashed(call.spec.name, error)
        finally:
            self._slots.release()

    async def destroy_by_driver(self, entry: Entry, order: DestroyByDriver) -> None:
        """Destroy a guest through the driver, for kinds without a kill handle."""
        snapshot = entry.cell.snapshot
        target = Target(uuid=snapshot.uuid, name=snapshot.name, incarnation=snapshot.incarnation, id=snapshot.id)
        try:
            await self.driver.destroy(target, order.grace_s)
        except MechaneError as error:
            if order.call is not None:
                order.call.fail(error)

    # ---- autodestroy

    def autodestroy(self, entry: Entry, client: Any, incarnation: int) -> None:
        """Destroy this incarnation when the client is gone. Loop's thread."""
        if client.closed:
            self.end_with_client(entry, incarnation)
            return
        self._autodestroy.setdefault(client.id, []).append((entry, incarnation))

    def client_gone(self, client: int) -> None:
        """Destroy what a client wanted destroyed with it. Loop's thread."""
        for entry, incarnation in self._autodestroy.pop(client, ()):
            self.end_with_client(entry, incarnation)

    def end_with_client(self, entry: Entry, incarnation: int) -> None:
        """Destroy an incarnation whose client is gone. Loop's thread."""
        with contextlib.suppress(OperationInvalid):  # it ended before
            if not entry.cell.kill(0.0, incarnation).handled:
                entry.mailbox.post(DestroyByDriver(grace_s=0.0))

    async def close(self) -> None:
        """Let go of the driver; guests keep running."""
        await self.home.end_tasks(CLOSE_WAIT_S)  # else they go on without what is closed below
        self.probes.close()
        if self.driver is not None:
            await self.driver.close()
        self.env.close()

    def describe(self, grants: Grants | None = None) -> dict[str, Any]:
        """Return the `ConnectionInfo` map, counting only domains that `grants` may see; any thread."""
        domains, running = self.services.directory.census.seen(self.uri.text, grants)
        shown: dict[str, Any] = {
            "uri": self.uri.text,
            "kind": self.kind,
            "state": self.state,
            "version": self.info.version,
            "scope": str(self.driver.scope) if self.driver else "host",
            "domains": domains,
            "running": running,
            "capabilities": sorted(self.driver.capabilities) if self.driver else [],
        }
        if self.error is not None:
            shown["error"] = self.error.to_wire()
        return shown


def drivers_with(capability: Capability) -> list[str]:
    """Return the schemes of the drivers that declare a capability: products of one kind may differ in it."""
    found = []
    for scheme in DRIVERS:
        try:
            cls = driver_class(ConnectionUri.parse(f"{scheme}:///"))
        except ImportError:
            continue
        if capability in cls.capabilities:
            found.append(scheme)
    return sorted(found)
