"""QEMU's run states in libvirt's words.

Source: RunState of QEMU's qapi/run-state.json (7.2), and how libvirt 9.0 shows them.
"""

from __future__ import annotations

from ...config.states import State

RUN_STATES: dict[str, tuple[State, str]] = {
    "running": (State.RUNNING, "unpaused"),
    "paused": (State.PAUSED, "user"),
    "prelaunch": (State.PAUSED, "user"),
    "preconfig": (State.PAUSED, "starting_up"),
    "inmigrate": (State.PAUSED, "migration"),
    "postmigrate": (State.PAUSED, "migration"),
    "finish-migrate": (State.PAUSED, "migration"),
    "restore-vm": (State.PAUSED, "from_snapshot"),
    "save-vm": (State.PAUSED, "save"),
    "io-error": (State.PAUSED, "ioerror"),
    "internal-error": (State.PAUSED, "unknown"),
    "watchdog": (State.PAUSED, "watchdog"),
    "debug": (State.PAUSED, "unknown"),
    "colo": (State.PAUSED, "unknown"),
    "shutdown": (State.SHUTDOWN, "user"),
    "suspended": (State.PMSUSPENDED, "unknown"),
    "guest-panicked": (State.CRASHED, "panicked"),
}


def state_of(status: str) -> tuple[State, str]:
    """Return state and reason for a status of query-status."""
    return RUN_STATES.get(status, (State.NOSTATE, "unknown"))
