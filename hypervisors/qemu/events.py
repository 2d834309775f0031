"""What QEMU's events mean: facts for the domain's cell, and what the driver shall do.

An event of which many came at once brings `folded` in its data: how many like it are not told (torrent.py).

Pure: an event and what is known of the guest in, a `Reaction` out. Events come before the
reply of the command that caused them, and a command's own fact and its event's fact are
equal, so the cell publishes one lifecycle event.

Source: qapi/run-state.json, qapi/block-core.json, qapi/qdev.json, qapi/misc-target.json,
qapi/machine.json of QEMU 7.2; the lifecycle details are those of libvirt 9.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ...config.states import State
from ..facts import Fact, GuestEvent, StateChanged


class Action(Enum):
    """What the driver does after an event."""

    NONE = "none"
    END = "end"
    """End the process: the guest has finished."""
    RESTART = "restart"
    """Reset the guest and let it run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestView:
    """What an event's meaning depends on."""

    incarnation: int
    on_poweroff: str = "destroy"
    on_reboot: str = "restart"
    on_crash: str = "destroy"
    rebooting: bool = False
    """We asked the guest to shut down in order to reboot it."""
    asked_to_end: bool = False
    keeping: bool = False
    """Its state is being saved or brought back, which stops and resumes it."""
    pause_reason: str = "user"
    """Why the next STOP stops the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What an event means."""

    facts: tuple[Fact, ...] = ()
    action: Action = Action.NONE
    ending: str = ""
    """Reason of shutoff once the process has ended."""
    pause_reason: str = ""


def react(name: str, data: Mapping[str, Any], view: GuestView) -> Reaction:
    """Return what an event means; nothing for one that mechane does not follow."""
    handler = _HANDLERS.get(name)
    return handler(data, view) if handler is not None else NOTHING


NOTHING = Reaction()
QUIET = "quiet"
"""Pause reason of a STOP that is part of something already reported."""


def _change(
    view: GuestView, state: State, reason: str, event: str = "", detail: str = "", folded: Any = 0
) -> StateChanged:  # fmt: skip
    number = folded if type(folded) is int else 0  # else QEMU lies
    return StateChanged(
        incarnation=view.incarnation, state=state, reason=reason, event=event, detail=detail, folded=number
    )  # fmt: skip


def _stop(data: Mapping[str, Any], view: GuestView) -> Reaction:
    if view.rebooting or view.keeping:
        return NOTHING
    if view.pause_reason == QUIET:
        return Reaction(pause_reason="user")
    detail = {"ioerror": "ioerror", "watchdog": "watchdog"}.get(view.pause_reason, "paused")
    return Reaction(
        facts=(_change(view, State.PAUSED, view.pause_reason, "suspended", detail, data.get("folded", 0)),),
        pause_reason="user",
    )  # fmt: skip


def _resume(data: Mapping[str, Any], view: GuestView) -> Reaction:
    if view.rebooting or view.keeping:
        return NOTHING
    resumed = _change(view, State.RUNNING, "unpaused", "resumed", "unpaused", data.get("folded", 0))
    return Reaction(facts=(resumed,), pause_reason="user")


def _shutdown(data: Mapping[str, Any], view: GuestView) -> Reaction:
    reason = data.get("reason", "")
    by_guest = bool(data.get("guest"))
    if reason == "guest-panic":
        return Reaction(ending="crashed")  # GUEST_PANICKED came before and said what is to be done
    if by_guest and (view.rebooting or _acts(view, reason) == "restart"):
        return Reaction(action=Action.RESTART, facts=(_rebooted(view, reason),))
    if by_guest and _acts(view, reason) == "preserve":
        return Reaction(facts=(_change(view, State.SHUTDOWN, "user", "shutdown", "guest"),), pause_reason=QUIET)
    if view.asked_to_end:
        return Reaction(ending="destroyed")
    return Reaction(
        action=Action.END, ending="shutdown", facts=(_change(view, State.SHUTDOWN, "user"),), pause_reason=QUIET
    )


def _acts(view: GuestView, reason: str) -> str:
    return view.on_reboot if reason == "guest-reset" else view.on_poweroff


def _rebooted(view: GuestView, reason: str) -> GuestEvent:
    return GuestEvent(incarnation=view.incarnation, kind="reboot", event="reboot", detail=reason)


def _reset(data: Mapping[str, Any], view: GuestView) -> Reaction:
    if view.rebooting:
        return NOTHING  # the restart that follows SHUTDOWN has been told
    return Reaction(facts=(_rebooted(view, str(data.get("reason", ""))),))


def _suspend(data: Mapping[str, Any], view: GuestView) -> Reaction:
    return Reaction(facts=(_change(view, State.PMSUSPENDED, "unknown", "pmsuspended", "memory"),))


def _suspend_disk(data: Mapping[str, Any], view: GuestView) -> Reaction:
    return Reaction(facts=(_change(view, State.PMSUSPENDED, "unknown", "pmsuspended", "disk"),))


def _wakeup(data: Mapping[str, Any], view: GuestView) -> Reaction:
    return Reaction(facts=(_change(view, State.RUNNING, "wakeup", "started", "wakeup"),))


def _panicked(data: Mapping[str, Any], view: GuestView) -> Reaction:
    if data.get("action") == "run":
        return Reaction(facts=(_event(view, "device", "panicked", "guest", data),))
    crashed = _change(view, State.CRASHED, "panicked", "crashed", "panicked")
    if "restart" in view.on_crash:
        return Reaction(facts=(crashed,), action=Action.RESTART)
    if view.on_crash == "preserve":
        return Reaction(facts=(crashed,), pause_reason=QUIET)
    return Reaction(facts=(crashed,), action=Action.END, ending="crashed", pause_reason=QUIET)


def _crashloaded(data: Mapping[str, Any], view: GuestView) -> Reaction:
    return Reaction(facts=(_event(view, "lifecycle", "crashed", "crashloaded", data),))


def _watchdog(data: Mapping[str, Any], view: GuestView) -> Reaction:
    action = str(data.get("action", "none"))
    return Reaction(
        facts=(_event(view, "watchdog", action, "", data),), pause_reason="watchdog" if action == "pause" else ""
    )


def _io_error(data: Mapping[str, Any], view: GuestView) -> Reaction:
    action = str(data.get("action", "report"))
    shown = {"stop": "pause", "ignore": "none"}.get(action, action)
    device = str(data.get("qom-path") or data.get("device") or data.get("node-name") or "")
    return Reaction(
        facts=(_event(view, "io_error", shown, device, data),), pause_reason="ioerror" if action == "stop" else ""
    )


def _event(view: GuestView, kind: str, event: str, detail: str, data: Mapping[str, Any]) -> GuestEvent:
    return GuestEvent(incarnation=view.incarnation, kind=kind, event=event, detail=detail, data=dict(data))


@dataclass(frozen=True, slots=True)
class _Plain:
    """An event that is only passed on; `key` names what it is about."""

    kind: str
    event: str
    key: str = ""
    fields: tuple[str, ...] = field(default=())

    def __call__(self, data: Mapping[str, Any], view: GuestView) -> Reaction:
        event = str(data.get(self.event[1:], "")) if self.event.startswith("=") else self.event
        return Reaction(facts=(_event(view, self.kind, event, str(data.get(self.key, "")), data),))


_HANDLERS: dict[str, Callable[[Mapping[str, Any], GuestView], Reaction]] = {
    "STOP": _stop,
    "RESUME": _resume,
    "SHUTDOWN": _shutdown,
    "RESET": _reset,
    "SUSPEND": _suspend,
    "SUSPEND_DISK": _suspend_disk,
    "WAKEUP": _wakeup,
    "GUEST_PANICKED": _panicked,
    "GUEST_CRASHLOADED": _crashloaded,
    "WATCHDOG": _watchdog,
    "BLOCK_IO_ERROR": _io_error,
    "DEVICE_DELETED": _Plain("device", "removed", "device"),
    "DEVICE_UNPLUG_GUEST_ERROR": _Plain("device", "removal_failed", "device"),
    "DEVICE_TRAY_MOVED": _Plain("device", "tray_moved", "id"),
    "VSERPORT_CHANGE": _Plain("device", "port_changed", "id"),
    "RTC_CHANGE": _Plain("device", "rtc_changed"),
    "BALLOON_CHANGE": _Plain("device", "balloon_changed"),
    "BLOCK_WRITE_THRESHOLD": _Plain("device", "write_threshold", "node-name"),
    "JOB_STATUS_CHANGE": _Plain("job", "=status", "id"),
}
"""POWERDOWN is left out: it only says that the button was pressed."""
