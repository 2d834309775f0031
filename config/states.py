"""Domain states, their reasons and lifecycle event details, in libvirt's words.

Numbers: virDomainState and the vir…Reason enumerations of libvirt 9.0
(include/libvirt/libvirt-domain.h).
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a domain is doing; the names of libvirt's enumeration."""

    NOSTATE = "nostate"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"


STATE_NUMBERS: dict[State, int] = {state: number for number, state in enumerate(State)}
ACTIVE_STATES = frozenset({State.RUNNING, State.BLOCKED, State.PAUSED, State.SHUTDOWN, State.PMSUSPENDED})

REASONS: dict[State, tuple[str, ...]] = {
    State.NOSTATE: ("unknown",),
    State.RUNNING: (
        "unknown", "booted", "migrated", "restored", "from_snapshot", "unpaused",
        "migration_canceled", "save_canceled", "wakeup", "crashed", "postcopy", "postcopy_failed",
    ),
    State.BLOCKED: ("unknown",),
    State.PAUSED: (
        "unknown", "user", "migration", "save", "dump", "ioerror", "watchdog", "from_snapshot",
        "shutting_down", "snapshot", "crashed", "starting_up", "postcopy", "postcopy_failed",
    ),
    State.SHUTDOWN: ("unknown", "user"),
    State.SHUTOFF: (
        "unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed",
        "from_snapshot", "daemon",
    ),
    State.CRASHED: ("unknown", "panicked"),
    State.PMSUSPENDED: ("unknown",),
}  # fmt: skip

STATE_TEXTS: dict[str, str] = {
    "nostate": "no state", "blocked": "idle", "shutdown": "in shutdown", "shutoff": "shut off",
}  # fmt: skip
"""What `virsh domstate` prints, where it is not the word itself (tools/virsh-domain-monitor.c of libvirt 9.0)."""

REASON_TEXTS: dict[tuple[str, str], str] = {
    ("running", "wakeup"): "event wakeup",
    ("paused", "migration"): "migrating",
    ("paused", "save"): "saving",
    ("paused", "dump"): "dumping",
    ("paused", "ioerror"): "I/O error",
    ("paused", "snapshot"): "creating snapshot",
}
"""What `virsh domstate --reason` prints, where it is not the word with blanks for underscores."""


def state_text(state: str) -> str:
    """Return a state as scripts know it from virsh, such as `shut off`."""
    return STATE_TEXTS.get(state, state)


def reason_text(state: str, reason: str) -> str:
    """Return the reason for a state as scripts know it from virsh, such as `I/O error`."""
    known = REASON_TEXTS.get((state, reason))
    return known if known is not None else reason.replace("postcopy", "post-copy").replace("_", " ")


def reason_number(state: State, reason: str) -> int:
    """Return libvirt's number of a state's reason (0, unknown, for a word it lacks)."""
    words = REASONS[state]
    return words.index(reason) if reason in words else 0


def is_active(state: State) -> bool:
    """Return whether a domain in `state` has a running hypervisor process behind it.

    A crashed domain counts as active only while its process is kept; the cell says so
    with its id.
    """
    return state in ACTIVE_STATES


LIFECYCLE_EVENTS: dict[str, tuple[str, ...]] = {
    "defined": ("added", "updated", "renamed", "from_snapshot"),
    "undefined": ("removed", "renamed"),
    "started": ("booted", "migrated", "restored", "from_snapshot", "wakeup", "adopted"),
    "suspended": ("paused", "migrated", "ioerror", "watchdog", "restored", "from_snapshot", "api_error"),
    "resumed": ("unpaused", "migrated", "from_snapshot"),
    "stopped": ("shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot"),
    "shutdown": ("finished", "guest", "host"),
    "pmsuspended": ("memory", "disk"),
    "crashed": ("panicked", "crashloaded"),
}
