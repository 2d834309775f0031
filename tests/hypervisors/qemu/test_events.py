"""What QEMU's events mean, one by one."""

from typing import Any

import pytest

from mechane.config.states import LIFECYCLE_EVENTS, REASONS, State
from mechane.hypervisors.facts import GuestEvent, StateChanged
from mechane.hypervisors.qemu.events import NOTHING, Action, GuestView, react

VIEW = GuestView(incarnation=3)
QUIT = {"guest": False, "reason": "host-signal"}
OFF = {"guest": True, "reason": "guest-shutdown"}


@pytest.mark.parametrize(
    ("name", "data", "state", "reason", "event", "detail"),
    [
        ("STOP", {}, State.PAUSED, "user", "suspended", "paused"),
        ("RESUME", {}, State.RUNNING, "unpaused", "resumed", "unpaused"),
        ("SUSPEND", {}, State.PMSUSPENDED, "unknown", "pmsuspended", "memory"),
        ("SUSPEND_DISK", {}, State.PMSUSPENDED, "unknown", "pmsuspended", "disk"),
        ("WAKEUP", {}, State.RUNNING, "wakeup", "started", "wakeup"),
        ("GUEST_PANICKED", {"action": "pause"}, State.CRASHED, "panicked", "crashed", "panicked"),
        ("SHUTDOWN", OFF, State.SHUTDOWN, "user", "", ""),
    ],
)
def test_changes_of_state(name: str, data: dict[str, Any], state: State, reason: str, event: str, detail: str) -> None:
    (fact,) = react(name, data, VIEW).facts
    assert fact == StateChanged(incarnation=3, state=state, reason=reason, event=event, detail=detail)
    assert reason in REASONS[state]
    assert not event or detail in LIFECYCLE_EVENTS[event]


@pytest.mark.parametrize(
    ("name", "data", "kind", "event", "detail"),
    [
        ("RESET", {"guest": True, "reason": "guest-reset"}, "reboot", "reboot", "guest-reset"),
        ("WATCHDOG", {"action": "reset"}, "watchdog", "reset", ""),
        ("BLOCK_IO_ERROR", {"device": "", "node-name": "n", "action": "report"}, "io_error", "report", "n"),
        ("DEVICE_DELETED", {"device": "net1", "path": "/x"}, "device", "removed", "net1"),
        ("RTC_CHANGE", {"offset": 5}, "device", "rtc_changed", ""),
        ("BALLOON_CHANGE", {"actual": 5}, "device", "balloon_changed", ""),
        ("JOB_STATUS_CHANGE", {"id": "j", "status": "running"}, "job", "running", "j"),
        ("GUEST_CRASHLOADED", {"action": "run"}, "lifecycle", "crashed", "crashloaded"),
    ],
)
def test_events_that_change_no_state(name: str, data: dict[str, Any], kind: str, event: str, detail: str) -> None:
    (fact,) = react(name, data, VIEW).facts
    assert fact == GuestEvent(incarnation=3, kind=kind, event=event, detail=detail, data=fact.data)  # type: ignore[attr-defined]


def test_a_disk_error_says_why_the_next_stop_stops() -> None:
    reaction = react("BLOCK_IO_ERROR", {"node-name": "n", "action": "stop"}, VIEW)
    assert reaction.pause_reason == "ioerror"
    stop = react("STOP", {}, GuestView(incarnation=3, pause_reason="ioerror"))
    assert stop.facts == (
        StateChanged(incarnation=3, state=State.PAUSED, reason="ioerror", event="suspended", detail="ioerror"),
    )
    assert stop.pause_reason == "user"


def test_the_guests_own_shutdown_ends_the_process_once() -> None:
    reaction = react("SHUTDOWN", OFF, VIEW)
    assert (reaction.action, reaction.ending) == (Action.END, "shutdown")
    stop = react("STOP", {}, GuestView(incarnation=3, pause_reason=reaction.pause_reason))
    assert stop.facts == ()


def test_our_own_signal_is_a_destroy_and_a_foreign_one_a_shutdown() -> None:
    assert react("SHUTDOWN", QUIT, GuestView(incarnation=3, asked_to_end=True)).ending == "destroyed"
    assert react("SHUTDOWN", QUIT, VIEW).ending == "shutdown"


@pytest.mark.parametrize(
    ("view", "data"),
    [
        (GuestView(incarnation=3, rebooting=True), OFF),
        (GuestView(incarnation=3, on_poweroff="restart"), OFF),
        (GuestView(incarnation=3, on_reboot="restart"), {"guest": True, "reason": "guest-reset"}),
    ],
)
def test_a_shutdown_that_becomes_a_reboot(view: GuestView, data: dict[str, Any]) -> None:
    reaction = react("SHUTDOWN", data, view)
    assert reaction.action is Action.RESTART
    assert [fact.kind for fact in reaction.facts if isinstance(fact, GuestEvent)] == ["reboot"]


@pytest.mark.parametrize(
    ("on_crash", "action", "ending"),
    [("destroy", Action.END, "crashed"), ("restart", Action.RESTART, ""), ("preserve", Action.NONE, "")],
)
def test_panics_do_what_the_definition_says(on_crash: str, action: Action, ending: str) -> None:
    reaction = react("GUEST_PANICKED", {"action": "pause"}, GuestView(incarnation=3, on_crash=on_crash))
    assert (reaction.action, reaction.ending) == (action, ending)


def test_unknown_events_mean_nothing() -> None:
    assert react("POWERDOWN", {}, VIEW) is NOTHING
    assert react("X_FUTURE", {"a": 1}, VIEW) is NOTHING
