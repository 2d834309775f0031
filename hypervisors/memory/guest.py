"""One guest of the in-memory hypervisor: a state, a clock of fake processor time, and its monitor.

Everything but `cpu_time_ns` and the kill handle belongs to the connection's loop. A guest
ends once; whoever still waits for its monitor then is told so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config.errors import OperationFailed
from ...config.states import State
from ..contract import Target
from ..facts import Exited, Fact, FactSink, GuestEvent, MonitorBack, MonitorStuck, StateChanged, Zombie
from .switches import Switch, Switches

DEFAULT_SHUTDOWN_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What guests share: the loop, both clocks, and who wants to know of changes."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    wall: Callable[[], float]
    changed: Callable[[Guest], None]
    ended: Callable[[Guest], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Hold:
    """One command that the monitor has not answered."""

    verb: str
    answered: asyncio.Future[None]
    late: Callable[[], None] | None = None
    """What the command does when its answer comes after the caller has gone."""
    left: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Guest:
    """A running guest."""

    def __init__(
        self, target: Target, plan: Mapping[str, Any], facts: FactSink | None, around: Surroundings
    ) -> None:
        self.uuid = target.uuid
        self.name = target.name
        self.id = target.id
        self.incarnation = self.frozen_incarnation = target.incarnation
        self.plan = plan
        self.facts = facts
        self.state = State.PAUSED
        self.reason = "starting_up"
        self.gone = False
        self.switches = Switches(tuple(Switch.of(kind, values) for kind, values in plan["switches"]))
        self.balloon_kib = int(plan["memory_kib"])
        self.consoles: list[Callable[[], None]] = []
        self._around = around
        self._cpu: tuple[int, float | None] = (0, None)
        self._holds: list[Hold] = []
        self._stuck = False
        self._asked_off = False

    def freeze(self) -> dict[str, Any]:
        """Return what a state file keeps of it."""
        switches = [(switch.kind, switch.values()) for switch in self.switches]
        return {
            "uuid": self.uuid,
            "name": self.name,
            "id": self.id,
            "incarnation": self.frozen_incarnation,
            "plan": {**self.plan, "switches": switches},
            "state": self.state.value,
            "reason": self.reason,
            "cpu": self._cpu,
        }

    @classmethod
    def thaw(cls, kept: Mapping[str, Any], around: Surroundings) -> Guest:
        """Return the guest that a state file kept; nobody hears of it until it is taken up."""
        target = Target(uuid=kept["uuid"], name=kept["name"], incarnation=kept["incarnation"], id=kept["id"])
        guest = cls(target, kept["plan"], None, around)
        guest.state, guest.reason = State(kept["state"]), kept["reason"]
        guest._cpu = (kept["cpu"][0], kept["cpu"][1])
        return guest

    # -- what anybody may ask, from any thread

    def cpu_time_ns(self) -> int:
        """Return the fake processor time: one second a second for each processor while it runs."""
        used_ns, since = self._cpu
        if since is None:
            return used_ns
        return used_ns + int((self._around.clock() - since) * 1e9) * int(self.plan["vcpus"])

    # -- state

    def report(self, fact: Fact) -> None:
        """Hand a fact to the domain's cell."""
        if self.facts is not None:
            self.facts.put(fact)

    def change(self, state: State, reason: str, event: str = "", detail: str = "") -> None:
        """Take a new state and report it, once; nothing happens where it is the old one."""
        if self.gone or (state, reason) == (self.state, self.reason):
            return
        self.place(state, reason)
        self.report(
            StateChanged(incarnation=self.incarnation, state=state, reason=reason, event=event, detail=detail)
        )
        if state is State.RUNNING and self._asked_off:
            self.press_power_button()

    def place(self, state: State, reason: str) -> None:
        """Take a new state without reporting it, as a start does."""
        used_ns = self.cpu_time_ns()
        self.state, self.reason = state, reason
        self._cpu = (used_ns, self._around.clock() if state is State.RUNNING else None)
        self.changed()

    def changed(self) -> None:
        """Have the guest kept as it is now, where guests are kept."""
        self._around.changed(self)

    def event(self, kind: str, event: str, detail: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Report something that changes no state."""
        if not self.gone:
            self.report(
                GuestEvent(
                    incarnation=self.incarnation, kind=kind, event=event, detail=detail, data=data or {}
                )
            )

    def press_power_button(self) -> None:
        """Begin to shut down; a paused guest notices when it goes on."""
        self._asked_off = self.state is not State.RUNNING
        if self._asked_off or "shutdown" in self.plan["ignores"]:
            return
        self._after_shutdown_time(lambda: self.exit("shutdown", status=0))

    def restart(self) -> None:
        """Begin to shut down and boot again."""
        self._after_shutdown_time(self.reset)

    def reset(self) -> None:
        """Boot again at once."""
        self.event("reboot", "reboot")

    def _after_shutdown_time(self, action: Callable[[], None]) -> None:
        ms = self.plan["shutdown_ms"]
        self._around.loop.call_later(DEFAULT_SHUTDOWN_S if ms is None else ms / 1000, action)

    def exit(self, reason: str, *, status: int | None = None, message: str = "") -> None:
        """End. The first end counts; commands without an answer fail, consoles close."""
        if self.gone:
            return
        self.gone = True
        self._cpu = (self.cpu_time_ns(), None)
        for hold in self._holds:
            self._quiet(hold)
            if not hold.answered.done():
                hold.answered.set_exception(
                    OperationFailed(
                        f"{self.name} ended before it answered {hold.verb}", remedy="look at its state"
                    )
                )
        self._holds.clear()
        for close in self.consoles:
            close()
        self.consoles.clear()
        self._around.ended(self)
        self.report(Exited(incarnation=self.incarnation, reason=reason, status=status, message=message))

    # -- the monitor

    async def answer(
        self, verb: str, hang: Switch, *, stuck_s: float, deadline_s: float, late: Callable[[], None] | None
    ) -> None:
        """Wait for a monitor that hangs.

        It is reported stuck after `stuck_s`. When `deadline_s` passes or the caller goes, the
        command stays with the monitor: `late` runs when it answers after all.

        Raises:
            TimeoutError: the deadline passed.
            OperationFailed: the guest ended meanwhile.
        """
        loop = self._around.loop
        hold = Hold(verb=verb, answered=loop.create_future())
        self._holds.append(hold)
        since = self._around.wall()
        hold.timers.append(loop.call_later(min(stuck_s, deadline_s), self._say_stuck, hold, since))
        if hang.seconds is not None:
            hold.timers.append(loop.call_later(hang.seconds, self._release, hold))
        try:
            async with asyncio.timeout(None if hang.forever else deadline_s):
                await asyncio.shield(hold.answered)
        except TimeoutError:
            self._say_stuck(hold, since)
            self._leave(hold, late)
            raise
        except asyncio.CancelledError:
            self._leave(hold, late)
            raise

    def _leave(self, hold: Hold, late: Callable[[], None] | None) -> None:
        """Go without the answer. Of queries that nobody waits for, one is kept for each verb."""
        hold.left, hold.late = True, late
        hold.answered.add_done_callback(_retrieve)
        same = [
            other for other in self._holds if other.left and other.verb == hold.verb and other is not hold
        ]
        if same and late is None and hold in self._holds:
            self._holds.remove(hold)
            self._quiet(hold)

    def _say_stuck(self, hold: Hold, since: float) -> None:
        if not self._stuck and hold in self._holds:
            self._stuck = True
            self.report(MonitorStuck(incarnation=self.incarnation, command=hold.verb, since=since))

    def release(self, verb: str) -> int:
        """Let commands (* for all) have their answer; returns how many waited."""
        released = [hold for hold in self._holds if verb in ("*", hold.verb)]
        for hold in released:
            self._release(hold)
        return len(released)

    def _release(self, hold: Hold) -> None:
        if hold not in self._holds:
            return
        self._holds.remove(hold)
        self._quiet(hold)
        if not hold.answered.done():
            hold.answered.set_result(None)
        if hold.late is not None:
            hold.late()
        if self._stuck and not self._holds and not self.gone:
            self._stuck = False
            self.report(MonitorBack(incarnation=self.incarnation))

    def _quiet(self, hold: Hold) -> None:
        for timer in hold.timers:
            timer.cancel()


def _retrieve(answered: asyncio.Future[None]) -> None:
    """Look at an answer that nobody waits for any more, so that the loop does not complain."""
    if not answered.cancelled():
        answered.exception()


class GuestKill:
    """Ends a guest of the in-memory hypervisor; any thread."""

    __slots__ = ("_around", "_guest")

    def __init__(self, guest: Guest, around: Surroundings) -> None:
        self._guest = guest
        self._around = around

    def kill(self, grace_s: float) -> None:
        """Ask the guest's fake process to end now, and end it after `grace_s` seconds."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the guests went with it
            self._around.loop.call_soon_threadsafe(self._signal, grace_s)

    def cpu_time_ns(self) -> int:
        """Return the fake processor time."""
        return self._guest.cpu_time_ns()

    def _signal(self, grace_s: float) -> None:
        if "sigterm" in self._guest.plan["ignores"] and grace_s > 0:
            self._around.loop.call_later(grace_s, self._end)
        else:
            self._end()

    def _end(self) -> None:
        guest = self._guest
        if guest.switches.take("hang", "kill", every=False) is not None and not guest.gone:
            guest.report(Zombie(incarnation=guest.incarnation, cause="test-hang: kill"))
        else:
            guest.exit("destroyed")
