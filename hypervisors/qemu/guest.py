"""One running guest as the driver sees it: process, monitor, and what its end will mean.

Everything runs on the loop's thread, except what QemuProcess says of itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...config.states import State
from ..contract import Handle, Target
from ..facts import Exited, Fact, FactSink, GuestEvent, MonitorBack, MonitorStuck, StateChanged, Zombie
from .events import NOTHING, Action, GuestView, Reaction, react
from .folder import GuestFolder
from .host.parts import HostParts
from .logfile import GuestLog
from .ownership import Owner
from .process import QemuProcess
from .profile import Profile
from .qmp import Monitor, Stuck

if TYPE_CHECKING:
    from .keeping.saved import Source

REBOOT_S = 1.0
"""Resets within this many seconds are one reboot: SeaBIOS resets once more by itself (measured)."""


class Guest:
    """A guest from its spawn to the end of its process."""

    def __init__(
        self, target: Target, *, folder: GuestFolder, log: GuestLog, facts: FactSink, actions: GuestActions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.target = target
        self.folder = folder
        self.log = log
        self.log_offset = 0
        self.profile = Profile()
        self.owners: list[Owner] = []
        self.host = HostParts()
        self.leaving: dict[str, Mapping[str, Any]] = {}
        """Devices that it was asked to let go of and has not yet: what is to be cleared behind each, by alias."""
        self.grouping: asyncio.Task[None] | None = None
        self.placed = False
        """Whether it was put into control groups at its start already."""
        """Puts the process into its control group, in the background."""
        self.process: QemuProcess | None = None
        self.monitor: Monitor | None = None
        self.lock = -1
        """Descriptor of its lock while it is started; QEMU inherits it (locks.py)."""
        self.live = False
        """Whether the start is over: from then on the exit is reported as a fact."""
        self.state: tuple[State, str] = (State.PAUSED, "starting_up")
        self.changes = 0
        self.rebooting = False
        self.holds = False
        """Whether QEMU stays when its guest has shut down (-no-shutdown)."""
        self.threads: dict[int, int] = {}
        """Thread of each virtual CPU, learnt from query-cpus-fast."""
        self.watcher: Callable[[str, Mapping[str, Any]], None] | None = None
        """Who follows its device events, where devices come and go."""
        self.followers: list[Callable[[str, Mapping[str, Any]], None]] = []
        """Who waits for an event of a job or of a migration."""
        self.source: Source | None = None
        """The saved state that it is started from."""
        self.keeping = False
        """Whether its state is being saved or brought back: stops and resumes are told by whoever does that."""
        self._facts = facts
        self._actions = actions
        self._clock = clock
        self._rebooted_at = float("-inf")
        self._ending = ""
        self._pause_reason = "user"

    @property
    def incarnation(self) -> int:
        """The start this guest came from."""
        return self.target.incarnation

    def refresh(self, handle: Handle) -> Handle:
        """Return the handle with what changed since it was written."""
        return {
            **handle, "owners": [list(owner) for owner in self.owners], "profile": self.profile.to_map(),
            "host": self.host.record().to_map(), "leaving": list(self.leaving.values()),
        }  # fmt: skip

    # ---- facts

    def report(self, fact: Fact) -> None:
        """Tell the cell; remembers the state, so that an inspection reports only changes."""
        if isinstance(fact, StateChanged):
            self.state = (fact.state, fact.reason)
            self.changes += 1
        if isinstance(fact, GuestEvent) and fact.kind == "reboot" and not self._is_new_reboot():
            return
        self._facts.put(fact)

    def _is_new_reboot(self) -> bool:
        """Tell a reboot from the further resets that belong to it."""
        now = self._clock()
        before, self._rebooted_at = self._rebooted_at, now
        return now - before > REBOOT_S

    def believe(self, state: State, reason: str) -> None:
        """Note a state that the cell has learnt another way."""
        self.state = (state, reason)

    def correct(self, state: State, reason: str) -> None:
        """Report what an inspection found, when it is another state than the known one."""
        if state is self.state[0]:
            return
        known = self.state[0] is not State.NOSTATE
        event, detail = _EVENTS.get(state, ("", "")) if known else ("", "")
        self.report(StateChanged(incarnation=self.incarnation, state=state, reason=reason, event=event, detail=detail))

    # ---- MonitorListener

    def on_event(self, name: str, data: Mapping[str, Any]) -> None:
        """Translate an event, report it, and do what it asks for."""
        if self.watcher is not None:
            self.watcher(name, data)
        for follower in tuple(self.followers):
            follower(name, data)
        reaction = react(name, data, self._view())
        if reaction is not NOTHING:
            self._follow(reaction)

    def _follow(self, reaction: Reaction) -> None:
        if reaction.ending and not self._ending:  # our own SIGTERM after a guest's shutdown is no destroy
            self._ending = reaction.ending
        if reaction.pause_reason:
            self._pause_reason = reaction.pause_reason
        for fact in reaction.facts:
            self.report(fact)
        if reaction.action is Action.RESTART:
            self.rebooting = True
            self._actions.restart(self)
        elif reaction.action is Action.END and self.holds:
            self._actions.end(self)

    def _view(self) -> GuestView:
        profile = self.profile
        return GuestView(
            incarnation=self.incarnation, on_poweroff=profile.on_poweroff, on_reboot=profile.on_reboot,
            on_crash=profile.on_crash, rebooting=self.rebooting, pause_reason=self._pause_reason,
            asked_to_end=self.process is not None and self.process.asked_to_end, keeping=self.keeping,
        )  # fmt: skip

    def on_stuck(self, stuck: Stuck) -> None:
        """Report that the monitor does not answer."""
        self._facts.put(MonitorStuck(incarnation=self.incarnation, command=stuck.command, since=stuck.since))

    def on_back(self, stuck: Stuck) -> None:
        """Report that it answers again; after a changing command, look what became of it first."""
        if stuck.changing:
            self._actions.look(self)
        else:
            self.is_back()

    def is_back(self) -> None:
        """Report that the monitor answers again."""
        self._facts.put(MonitorBack(incarnation=self.incarnation))

    def on_closed(self) -> None:
        """Lost the monitor: mostly the process ends now, which its pidfd tells."""
        self._actions.lost(self)

    # ---- the process

    def on_exit(self) -> None:
        """Report the end, with the last events that QEMU wrote before it."""
        if self.monitor is not None:
            self.monitor.drain()
            self.monitor.close()
        if self.live:
            self._actions.exited(self)

    def exit_reason(self) -> str:
        """Return the reason of shutoff, as far as it can be told.

        A process that ended unasked and without saying SHUTDOWN has crashed, as libvirt
        takes it too.
        """
        if self._ending:
            return self._ending
        return "destroyed" if self.process is not None and self.process.asked_to_end else "crashed"

    def report_exit(self, message: str) -> None:
        """Report the end of the process."""
        status = self.process.status if self.process is not None else None
        self._facts.put(
            Exited(incarnation=self.incarnation, reason=self.exit_reason(), status=status, message=message)
        )

    def expect_end(self, reason: str) -> None:
        """Say why the process ends, before it is ended on the driver's own account."""
        self._ending = reason

    def report_zombie(self, cause: str) -> None:
        """Report that the process was killed and does not die."""
        self._facts.put(Zombie(incarnation=self.incarnation, cause=cause))


class GuestActions:
    """What a guest asks of its driver; each returns at once."""

    def restart(self, guest: Guest) -> None:
        """Reset the guest and let it run."""
        raise NotImplementedError

    def end(self, guest: Guest) -> None:
        """End the process of a guest that has finished."""
        raise NotImplementedError

    def look(self, guest: Guest) -> None:
        """Ask for the state and report it, then that the monitor is back."""
        raise NotImplementedError

    def lost(self, guest: Guest) -> None:
        """Connect to the monitor again if the process still runs."""
        raise NotImplementedError

    def exited(self, guest: Guest) -> None:
        """Report the exit."""
        raise NotImplementedError


_EVENTS: dict[State, tuple[str, str]] = {
    State.PAUSED: ("suspended", "paused"),
    State.RUNNING: ("resumed", "unpaused"),
    State.PMSUSPENDED: ("pmsuspended", "memory"),
    State.CRASHED: ("crashed", "panicked"),
}
