"""Facts: what a driver saw of a guest. Drivers report them, the domain's cell digests them.

A fact names the incarnation (one for each start) it belongs to, so that whatever arrives
late of an earlier start is dropped. Facts may be reported from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..config.states import State


class KillHandle(Protocol):
    """Ends a guest without its monitor. Never waits; any thread may call it."""

    def kill(self, grace_s: float) -> None:
        """Send the polite signal now and the last one after `grace_s` seconds (0: at once).

        The exit is reported as `Exited` by whoever watches the process.
        """
        ...

    def cpu_time_ns(self) -> int:
        """Return processor time used so far, from /proc only; 0 when it cannot be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What all facts carry."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned(Fact):
    """The guest's process exists (its monitor may not answer yet)."""

    kill: KillHandle
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Fact):
    """The guest's state changed.

    `event` and `detail` are the lifecycle event to publish (config/states.py), or empty
    for a change that is no event. `asked_at` is given where the state is what an answer said: how many
    changes of state the snapshot had seen when the question was sent. It is dropped where there were more
    since then: an event told a later state than the answer.
    """

    state: State
    reason: str
    event: str = ""
    detail: str = ""
    folded: int = 0
    """How many changes like it came before it and are not told."""
    asked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(Fact):
    """The guest is gone: its process ended, or the hypervisor no longer lists it.

    `reason` is a reason of shutoff (shutdown, destroyed, crashed, failed, …) as far as the
    driver can tell; a destroy that mechane asked for is known to the cell.
    """

    reason: str
    status: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zombie(Fact):
    """The process was killed and does not die; `cause` says where it hangs in the kernel."""

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorStuck(Fact):
    """The monitor (or tool) did not answer `command` in time."""

    command: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorBack(Fact):
    """The monitor answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestEvent(Fact):
    """Something that changes no state: kind is reboot, watchdog, io_error, device or job."""

    kind: str
    event: str
    detail: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class FactSink(Protocol):
    """Where a driver reports facts of one domain."""

    def put(self, fact: Fact) -> None:
        """Digest a fact. Never waits; any thread may call it."""
        ...
