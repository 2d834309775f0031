"""The one pure function that changes a domain's snapshot: reduce(snapshot, fact).

It returns the new snapshot (the same object when nothing changed) and the events that the
change makes. Facts of another incarnation than the current one are dropped, so no late
reply of an earlier start brings `running` back. One exit gives one event, whoever saw it
first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ...config.states import State
from ...hypervisors import facts as driver
from . import facts as own
from .snapshot import Snapshot, Stuck


@dataclass(frozen=True, slots=True)
class Change:
    """An event to publish: kind, event, detail and data."""

    kind: str
    event: str
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Outcome = tuple[Snapshot, tuple[Change, ...]]
_NONE: tuple[Change, ...] = ()


def reduce(snapshot: Snapshot, fact: Any) -> Outcome:
    """Return the snapshot after `fact`, and the events it makes."""
    if isinstance(fact, driver.Fact) and fact.incarnation != snapshot.incarnation:
        return snapshot, _NONE
    handler = _HANDLERS[type(fact)]
    after, changes = handler(snapshot, fact)
    if after is not snapshot:
        after = replace(after, version=snapshot.version + 1)
    return after, changes


def _lifecycle(event: str, detail: str, **data: Any) -> tuple[Change, ...]:
    return (Change("lifecycle", event, detail, data),)


def _defined(s: Snapshot, f: own.Defined) -> Outcome:
    size = s.size if s.active else f.size
    detail = "updated" if s.persistent else f.detail
    after = replace(s, name=f.name, title=f.title, size=size, defined=f.size, persistent=True)
    return after, _lifecycle("defined", detail)


def _made_transient(s: Snapshot, f: own.MadeTransient) -> Outcome:
    return replace(s, persistent=False, autostart=False, defined=None), _lifecycle("undefined", "removed")


def _resized(s: Snapshot, f: own.Resized) -> Outcome:
    defined = f.defined or s.defined
    size = (f.live or s.size) if s.active else (defined or s.size)
    if (size, defined) == (s.size, s.defined):
        return s, _NONE
    return replace(s, size=size, defined=defined), _NONE


def _undefined(s: Snapshot, f: own.Undefined) -> Outcome:
    changes = _lifecycle("undefined", f.detail) if s.persistent else _NONE
    return replace(s, persistent=False, autostart=False), changes


def _renamed(s: Snapshot, f: own.Renamed) -> Outcome:
    return replace(s, name=f.name), (
        Change("lifecycle", "undefined", "renamed", {"name": s.name}),
        Change("lifecycle", "defined", "renamed", {"old_name": s.name}),
    )


def _titled(s: Snapshot, f: own.Titled) -> Outcome:
    return (s if f.title is None else replace(s, title=f.title)), _NONE


def _autostart(s: Snapshot, f: own.AutostartSet) -> Outcome:
    return (s if s.autostart == f.autostart else replace(s, autostart=f.autostart)), _NONE


def _start_began(s: Snapshot, f: own.StartBegan) -> Outcome:
    return replace(s, incarnation=f.incarnation, starting=True, pid=None, stuck=None, zombie=""), _NONE


def _spawned(s: Snapshot, f: driver.Spawned) -> Outcome:
    return replace(s, pid=f.pid), _NONE


def _start_done(s: Snapshot, f: own.StartDone) -> Outcome:
    if f.incarnation != s.incarnation or not s.starting:
        return s, _NONE
    after = replace(
        s, starting=False, id=f.id, state=f.state, reason=f.reason, pid=f.pid or s.pid,
        started_at=f.started_at, size=f.size or s.size,
    )  # fmt: skip
    if f.detail == "adopted":
        return after, _NONE
    changes = _lifecycle("started", f.detail)
    if f.state is State.PAUSED and f.detail == "booted":
        changes += _lifecycle("suspended", "paused")
    return after, changes


def _gave_up(s: Snapshot, f: own.StartGaveUp) -> Outcome:
    if f.incarnation != s.incarnation or not s.starting:
        return s, _NONE
    after = replace(
        s, starting=False, id=None, pid=None, state=State.SHUTOFF, reason=f.reason, stuck=None, zombie="",
    )  # fmt: skip
    return after, _lifecycle("stopped", f.reason)


def _state_changed(s: Snapshot, f: driver.StateChanged) -> Outcome:
    if s.starting or not s.active:
        return s, _NONE
    if (s.state, s.reason) == (f.state, f.reason) or f.asked_at not in (None, s.changes):
        return s, _NONE
    more = {"folded": f.folded} if f.folded else {}
    changes = _lifecycle(f.event, f.detail, **more) if f.event else _NONE
    return replace(s, state=f.state, reason=f.reason, changes=s.changes + 1), changes


def _exited(s: Snapshot, f: driver.Exited) -> Outcome:
    if not (s.active or s.starting):
        return s, _NONE
    after = replace(
        s, state=State.SHUTOFF, reason=f.reason, id=None, pid=None, started_at=0.0, stuck=None, zombie="",
        starting=False, size=s.defined or s.size,
    )  # fmt: skip
    data: dict[str, Any] = {}
    if f.status is not None:
        data["status"] = f.status
    if f.message:
        data["message"] = f.message
    return after, _lifecycle("stopped", f.reason, **data)


def _zombie(s: Snapshot, f: driver.Zombie) -> Outcome:
    if s.zombie == f.cause or not (s.active or s.starting):
        return s, _NONE
    return replace(s, zombie=f.cause), (Change("control", "zombie", f.cause),)


def _left_behind(s: Snapshot, f: own.LeftBehind) -> Outcome:
    if s.left == f.what:
        return s, _NONE
    return replace(s, left=f.what), (Change("control", "cleaning", f.what),)


def _cleaned_up(s: Snapshot, f: own.CleanedUp) -> Outcome:
    if not s.left:
        return s, _NONE
    return replace(s, left=""), (Change("control", "cleaned", s.left),)


def _stuck(s: Snapshot, f: driver.MonitorStuck) -> Outcome:
    if s.stuck is not None or not (s.active or s.starting):
        return s, _NONE
    change = Change("control", "unresponsive", f.command, {"command": f.command, "since": f.since})
    return replace(s, stuck=Stuck(command=f.command, since=f.since)), (change,)


def _back(s: Snapshot, f: driver.MonitorBack) -> Outcome:
    if s.stuck is None:
        return s, _NONE
    change = Change("control", "responsive", s.stuck.command, {"since": s.stuck.since})
    return replace(s, stuck=None), (change,)


def _guest_event(s: Snapshot, f: driver.GuestEvent) -> Outcome:
    return s, (Change(f.kind, f.event, f.detail, dict(f.data)),)


def _quarantined(s: Snapshot, f: own.WasQuarantined) -> Outcome:
    return replace(s, quarantined=f.cause), (Change("control", "quarantined", f.cause),)


def _taken_back(s: Snapshot, f: own.TakenBack) -> Outcome:
    if not s.quarantined:
        return s, _NONE
    return replace(s, quarantined=""), (Change("control", "reattached"),)


_HANDLERS: dict[type, Callable[[Snapshot, Any], Outcome]] = {
    own.Defined: _defined,
    own.MadeTransient: _made_transient,
    own.Undefined: _undefined,
    own.Renamed: _renamed,
    own.Titled: _titled,
    own.Resized: _resized,
    own.AutostartSet: _autostart,
    own.StartBegan: _start_began,
    own.StartDone: _start_done,
    own.StartGaveUp: _gave_up,
    own.LeftBehind: _left_behind,
    own.CleanedUp: _cleaned_up,
    own.WasQuarantined: _quarantined,
    own.TakenBack: _taken_back,
    driver.Spawned: _spawned,
    driver.StateChanged: _state_changed,
    driver.Exited: _exited,
    driver.Zombie: _zombie,
    driver.MonitorStuck: _stuck,
    driver.MonitorBack: _back,
    driver.GuestEvent: _guest_event,
}
