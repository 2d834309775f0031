"""What a tool driver keeps of each guest that runs: it turns what listings say into facts, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from ...config.states import State, is_active
from ..contract import Target
from ..facts import Exited, FactSink, GuestEvent, KillHandle, MonitorBack, MonitorStuck, Spawned, StateChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeGuest:
    """A guest as the hypervisor lists it now.

    `native_id` changes with each boot where the hypervisor has such an id (domid, process);
    it is never trusted alone. `xml` loads the guest's definition as domain XML.
    """

    uuid: str
    name: str
    state: State
    reason: str = "unknown"
    native_id: str = ""
    pid: int | None = None
    persistent: bool = True
    xml: Callable[[], Awaitable[str]] | None = None

    @property
    def active(self) -> bool:
        """Whether it runs in any way."""
        return is_active(self.state)


EVENTS: dict[State, tuple[str, str]] = {
    State.PAUSED: ("suspended", "paused"),
    State.PMSUSPENDED: ("pmsuspended", "memory"),
    State.SHUTDOWN: ("shutdown", "finished"),
}
"""Lifecycle event of a state that a listing shows anew (config/states.py)."""


class ToolKill:
    """Ends a guest through the driver's own tool; never waits, any thread."""

    __slots__ = ("_end", "_loop", "_watched")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watched: Watched, end: Callable[[Watched, float], None]
    ) -> None:
        self._loop = loop
        self._watched = watched
        self._end = end

    def kill(self, grace_s: float) -> None:
        """Have the guest ended; its exit is reported when the hypervisor no longer lists it."""
        self._watched.doomed = True
        with suppress(RuntimeError):  # the loop is closed: the node is going down
            self._loop.call_soon_threadsafe(self._end, self._watched, grace_s)

    def cpu_time_ns(self) -> int:
        """Return 0: it cannot be told without the hypervisor."""
        return 0


class Watched:
    """One incarnation of a guest. Loop's thread, `doomed` aside."""

    def __init__(self, target: Target, facts: FactSink, wall: Callable[[], float]) -> None:
        self.target = target
        self.facts = facts
        self.state = State.NOSTATE
        self.reason = "unknown"
        self.native_id = ""
        self.pid: int | None = None
        self.kill: KillHandle | None = None
        self.starting = False
        self.gone = False
        self.doomed = False
        """Somebody wants it dead: its exit is `destroyed`."""
        self.ends_as = ""
        """Reason of the exit that a verb brought about: shutdown, saved."""
        self.generation = 0
        """Counts what verbs changed: a listing that began before is stale."""
        self.missing_since: float | None = None
        self.stuck = ""
        self.probe_at = 0.0
        self.probe_pause_s = 0.0
        self.probing = False
        self.asked_at = float("-inf")
        self._wall = wall
        self._spawned = False

    def spawned(self, kill: KillHandle, pid: int | None = None) -> None:
        """Report that there is something to kill; once."""
        if not self._spawned:
            self._spawned = True
            self.kill, self.pid = kill, pid
            self.facts.put(Spawned(incarnation=self.target.incarnation, kill=kill, pid=pid))

    def place(self, state: State, reason: str) -> None:
        """Take a state without reporting it, as a start does."""
        self.generation += 1
        self.state, self.reason = state, reason

    def change(self, state: State, reason: str, event: str = "", detail: str = "") -> None:
        """Take a state and report it, once."""
        if self.gone or (state, reason) == (self.state, self.reason):
            return
        if state is self.state:
            event = detail = ""  # the event was the state's, not the reason's
        if state is State.SHUTDOWN and self.ends_as == "saved":
            event = detail = ""  # its memory is being written: the one event is its end
        self.place(state, reason)
        self.facts.put(
            StateChanged(
                incarnation=self.target.incarnation, state=state, reason=reason, event=event, detail=detail
            )
        )  # fmt: skip

    def meet(self, guest: NativeGuest) -> bool:
        """Compare with what a listing says now; returns whether something changed."""
        self.missing_since = None
        rebooted = bool(self.native_id and guest.native_id and guest.native_id != self.native_id)
        told = rebooted or self.pid is None  # taken up while guests could not be listed: its process is news
        self.native_id, self.pid = guest.native_id or self.native_id, guest.pid or self.pid
        incarnation = self.target.incarnation
        if rebooted:
            self.facts.put(GuestEvent(incarnation=incarnation, kind="reboot", event="reboot"))
        if told and self.kill is not None and guest.pid is not None:
            self.facts.put(Spawned(incarnation=incarnation, kill=self.kill, pid=guest.pid))
        if guest.state is self.state:
            return rebooted
        event, detail = EVENTS.get(guest.state, ("", ""))
        reason = guest.reason
        if guest.state is State.RUNNING and self.state is State.PAUSED:
            event, detail, reason = "resumed", "unpaused", "unpaused"
        elif guest.state is State.PAUSED and reason == "unknown":
            reason = "user"
        self.change(guest.state, reason, event, detail)
        return True

    def exited(self, reason: str, *, status: int | None = None, message: str = "") -> None:
        """Report the end; the first one counts."""
        if self.gone:
            return
        self.gone = True
        if self._spawned:
            self.facts.put(Exited(incarnation=self.target.incarnation, reason=reason, status=status, message=message))

    def stick(self, command: str) -> None:
        """Report that a tool did not answer for this guest; once until it does."""
        if not self.stuck and not self.gone:
            self.stuck = command
            self.facts.put(MonitorStuck(incarnation=self.target.incarnation, command=command, since=self._wall()))

    def unstick(self) -> None:
        """Report that tools answer again."""
        if self.stuck:
            self.stuck, self.probe_pause_s = "", 0.0
            if not self.gone:
                self.facts.put(MonitorBack(incarnation=self.target.incarnation))
