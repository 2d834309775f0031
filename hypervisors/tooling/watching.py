"""What a tool driver sees and keeps: its tools, its listings, and the guests it watches.

`ToolWatcher` is the lower half of `ToolDriver` (base.py, which says how a driver uses both).
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar

from ...config.errors import DeadlineExceeded, MechaneError, OperationInvalid
from ...config.states import REASONS, State
from ..contract import Driver, DriverEnv, HypervisorInfo, StartRequest, Target
from ..facts import FactSink, KillHandle
from .listing import Listing
from .markers import Markers
from .poll import ACTIVE_S, CALM_S, IDLE_S, Poller
from .run import ToolResult
from .target import Host, host_of
from .watched import NativeGuest, ToolKill, Watched

STEP_S = 0.05
"""Pause between looks while something is awaited; grows to LONG_STEP_S."""
LONG_STEP_S = 0.5

SpawnedCall = Callable[..., None]
"""spawned(kill=None, pid=None): says that there is something to kill; without a kill handle the tool's own."""


class ToolWatcher(Driver):
    """See the module."""

    reboot_gap_s: ClassVar[float] = 0.0
    poll_s: ClassVar[tuple[float, float, float]] = (ACTIVE_S, CALM_S, IDLE_S)

    def __init__(
        self, env: DriverEnv, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        super().__init__(env)
        self.host: Host = host_of(env.uri, env.runtime_dir)
        self.watched: dict[str, Watched] = {}
        self.clock = clock
        self.wall = wall
        self._marks = Markers(env.runtime_dir / "started")
        self._listing = Listing(self)
        active_s, calm_s, idle_s = self.poll_s
        self._poller = Poller(self._listing.poll, lambda: bool(self.watched), active_s=active_s, calm_s=calm_s,
                              idle_s=idle_s)  # fmt: skip
        self._work: set[asyncio.Task[None]] = set()

    # ---- what a driver writes

    @abstractmethod
    async def probe(self) -> HypervisorInfo:
        """Return the version; raises OperationFailed where the hypervisor cannot be used."""

    @abstractmethod
    async def list_native(self) -> Sequence[NativeGuest]:
        """Return all guests, those that do not run included where the hypervisor keeps them.

        Raises:
            MechaneError: they cannot be listed; never return half a list.
        """

    @abstractmethod
    async def native_start(self, request: StartRequest, spawned: SpawnedCall) -> None:
        """Start a guest (paused, restored, as `request` says); it is listed soon after the return."""

    @abstractmethod
    async def native_shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest to shut down."""

    @abstractmethod
    async def native_reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to reboot."""

    @abstractmethod
    async def native_destroy(self, target: Target, grace_s: float) -> None:
        """End the guest; one that is gone already is fine."""

    async def probe_guest(self, target: Target) -> None:
        """Ask something of a guest whose tool hung, to learn whether it answers again; raises if not."""
        await self.look()

    async def clean(self, target: Target) -> None:
        """Remove what a run of the guest left behind."""

    def exit_reason(self, watched: Watched, guest: NativeGuest | None) -> str:
        """Return why a guest ended that nobody of us ended: by itself, as far as can be told."""
        return "crashed" if guest is not None and guest.state is State.CRASHED else "shutdown"

    # ---- what a driver uses

    async def tool(
        self, argv: Sequence[str], *, target: Target | None = None, verb: str = "", deadline_s: float | None = None,
        stdin: bytes | None = None, env_extra: Mapping[str, str] | None = None, secrets: Sequence[str] = (),
    ) -> ToolResult:  # fmt: skip
        """Run a tool on the connection's host; one that hangs makes its domain unresponsive.

        Args:
            argv: the tool and its arguments.
            target: whose tool it is, where it is one domain's.
            verb: how the command is called when it hangs; argv's first words where not given.
            deadline_s: seconds it may take; deadlines.change_s where not given.

        Raises:
            DeadlineExceeded: it hung and was killed.
            OperationFailed: it cannot be run. A bad exit code raises nothing: see `ToolResult.check`.
        """
        watched = self.watched.get(target.uuid) if target is not None else None
        limit_s = self.env.deadlines.change_s if deadline_s is None else deadline_s
        try:
            result = await self.host.run(argv, deadline_s=limit_s, stdin=stdin, env_extra=env_extra, secrets=secrets)
        except DeadlineExceeded:
            if watched is not None:
                watched.stick(verb or " ".join(argv[:2]))
                self._poller.kick()
            raise
        if watched is not None and watched.stuck != Listing.COMMAND:
            watched.unstick()
        return result

    def kick(self) -> None:
        """Look at the hypervisor now."""
        self._poller.kick()

    def ask_soon(self, target: Target) -> None:
        """Find out in the background, now and then, whether a guest's tools still answer (`probe_guest`).

        For verbs that somebody calls and that need no tool themselves.
        """
        watched = self.watched.get(target.uuid)
        if watched is not None:
            self._listing.ask(watched)

    def changed(self, target: Target, state: State, reason: str, event: str = "", detail: str = "") -> None:
        """Report what a verb of ours did to a guest."""
        watched = self.watched.get(target.uuid)
        if watched is not None:
            watched.change(state, reason, event, detail)

    def running(self, target: Target) -> Watched:
        """Return what is kept of a guest that runs.

        Raises:
            OperationInvalid: it does not run.
        """
        watched = self.watched.get(target.uuid)
        if watched is None:
            raise OperationInvalid(f"domain {target.name} is not running", remedy="start it first")
        return watched

    async def look(self) -> dict[str, NativeGuest]:
        """List all guests now, report what changed, and return them by UUID.

        Raises:
            MechaneError: they cannot be listed.
        """
        return await self._listing.look()

    async def until(
        self, uuid: str, want: Callable[[NativeGuest | None], bool], deadline_s: float
    ) -> NativeGuest | None:
        """Look until a guest (None: not listed) is as wanted; returns it.

        Raises:
            DeadlineExceeded: it did not become so.
        """
        end, step_s = self.clock() + deadline_s, STEP_S
        while True:
            guest = (await self.look()).get(uuid)
            if want(guest):
                return guest
            if self.clock() >= end:
                raise DeadlineExceeded(
                    f"{guest.name if guest else uuid} did not change within {deadline_s:g} s",
                    remedy="look at the hypervisor's own log", still_running=True,
                )  # fmt: skip
            await asyncio.sleep(step_s)
            step_s = min(step_s * 2, LONG_STEP_S)

    def kill_handle(self, watched: Watched, guest: NativeGuest | None) -> KillHandle:
        """Return what ends a guest that is taken up, or whose start brought no handle of its own."""
        return ToolKill(self.env.loop, watched, self._end_soon)

    # ---- within

    def _watch(self, target: Target, facts: FactSink) -> Watched:
        watched = Watched(target, facts, self.wall)
        self.watched[target.uuid] = watched
        return watched

    def _drop(self, watched: Watched, reason: str, message: str = "") -> None:
        """Report an exit and forget the guest."""
        watched.exited(reason, message=message)
        if self.watched.get(watched.target.uuid) is watched:
            del self.watched[watched.target.uuid]
        self._marks.remove(watched.target.uuid)

    def ended(self, watched: Watched, guest: NativeGuest | None) -> None:
        """Report that the hypervisor no longer runs a guest."""
        said = guest.reason if guest is not None and guest.reason in REASONS[State.SHUTOFF][1:] else ""
        reason = "destroyed" if watched.doomed else watched.ends_as or said or self.exit_reason(watched, guest)
        self._drop(watched, reason)

    def _end_soon(self, watched: Watched, grace_s: float) -> None:
        self.do(self._end(watched, grace_s))

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for; `close` does, for a while."""
        task = self.env.loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _end(self, watched: Watched, grace_s: float) -> None:
        if watched.gone:
            return
        try:
            await self.native_destroy(watched.target, grace_s)
        except DeadlineExceeded:
            watched.stick("destroy")
        except MechaneError as error:
            self._listing.warn(f"cannot end {watched.target.name}: {error}")
        self._poller.kick()

    def details(self) -> dict[str, Any]:
        """Return what an operator may want to know of the watching."""
        return {"watched": len(self.watched), "interval_s": self._poller.interval_s()}
