"""The one table that says which verb is legal in which state, and how it may be interrupted.

A verb that is not legal is refused at once with the state; a call that may be legal but
has to wait behind another verb waits in the mailbox until its deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...config.errors import OperationInvalid, Quarantined
from ...config.states import State
from ...hypervisors.contract import Capability
from ..cells.snapshot import Snapshot


class Interruption(Enum):
    """How a running verb is ended when its deadline passes or its client cancels."""

    CANCEL = "cancel"
    """Its coroutine is cancelled; the driver copes with a command without a listener."""
    FLAG = "flag"
    """The start's cancel flag is set and the process, if any, is killed."""
    NONE = "none"
    """It runs on to its own end (a commit); the caller is told so."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a verb needs."""

    active: bool | None = None
    persistent: bool | None = None
    states: frozenset[State] | None = None
    capability: Capability | None = None
    interruption: Interruption = Interruption.NONE
    quarantined: bool = False
    """Whether it is allowed while the domain is quarantined."""


_GUEST = Rule(active=True, interruption=Interruption.CANCEL)
RULES: dict[str, Rule] = {
    "domain.start": Rule(active=False, persistent=True, interruption=Interruption.FLAG),
    "domain.suspend": Rule(active=True, capability=Capability.SUSPEND, interruption=Interruption.CANCEL,
                           states=frozenset({State.RUNNING, State.BLOCKED, State.PAUSED})),
    "domain.resume": Rule(active=True, capability=Capability.SUSPEND, interruption=Interruption.CANCEL,
                          states=frozenset({State.PAUSED})),
    "domain.shutdown": _GUEST,
    "domain.reboot": _GUEST,
    "domain.reset": Rule(active=True, capability=Capability.RESET, interruption=Interruption.CANCEL),
    "domain.monitor_command": Rule(active=True, capability=Capability.MONITOR, interruption=Interruption.CANCEL),
    "domain.get_stats": Rule(interruption=Interruption.CANCEL),
    "domain.undefine": Rule(persistent=True, quarantined=True),
    "domain.set_autostart": Rule(persistent=True, quarantined=True),
    "domain.set_metadata": Rule(quarantined=True),
    "domain.rename": Rule(active=False, persistent=True, quarantined=True),
    "domain.open_console": Rule(active=True, capability=Capability.CONSOLE, interruption=Interruption.CANCEL),
    "domain.exec": Rule(active=True, capability=Capability.EXEC, interruption=Interruption.CANCEL),
    "domain.open_exec": Rule(active=True, capability=Capability.EXEC, interruption=Interruption.CANCEL),
    "domain.save": Rule(active=True, capability=Capability.SAVE, interruption=Interruption.CANCEL),
    "domain.restore": Rule(active=False, persistent=True, capability=Capability.SAVE, interruption=Interruption.FLAG),
    "domain.snapshot_list": Rule(capability=Capability.SNAPSHOTS, interruption=Interruption.CANCEL),
    "domain.snapshot_create": Rule(capability=Capability.SNAPSHOTS, interruption=Interruption.CANCEL),
    "domain.snapshot_revert": Rule(capability=Capability.SNAPSHOTS, interruption=Interruption.CANCEL),
    "domain.snapshot_delete": Rule(capability=Capability.SNAPSHOTS, interruption=Interruption.CANCEL),
    "domain.attach_device": Rule(interruption=Interruption.CANCEL),
    "domain.detach_device": Rule(interruption=Interruption.CANCEL),
    "domain.update_device": Rule(interruption=Interruption.CANCEL),
    "domain.set_vcpus": Rule(interruption=Interruption.CANCEL),
    "domain.set_memory": Rule(interruption=Interruption.CANCEL),
    "define": Rule(quarantined=True),
    "create": Rule(active=False, interruption=Interruption.FLAG),
    "adopt": Rule(quarantined=True),
    "autostart": Rule(active=False, persistent=True),
    "clean": Rule(quarantined=True),
    "meet": Rule(quarantined=True),
    "vanish": Rule(active=False, quarantined=True),
    "unplugged": Rule(quarantined=True),
    "settle": Rule(quarantined=True),
    "stats": Rule(interruption=Interruption.CANCEL),
}  # fmt: skip
"""Verb -> rule; words with a dot are calls, the others orders of mechane itself."""


def check(verb: str, snapshot: Snapshot) -> Rule:
    """Return the rule of a verb, or refuse it.

    Raises:
        OperationInvalid: not legal in this state.
        Quarantined: the domain is out of service.
    """
    rule = RULES[verb]
    if snapshot.quarantined and not rule.quarantined:
        raise Quarantined(
            f"domain {snapshot.name} is quarantined: {snapshot.quarantined}",
            remedy="mend the cause, then `mechane reattach`", cause=snapshot.quarantined,
        )  # fmt: skip
    if rule.active is not None and rule.active != snapshot.active:
        raise _invalid(verb, snapshot, "is not running" if rule.active else "is already running")
    if rule.persistent is not None and rule.persistent != snapshot.persistent:
        raise _invalid(verb, snapshot, "is transient" if rule.persistent else "is persistent")
    if rule.states is not None and snapshot.state not in rule.states:
        raise _invalid(verb, snapshot, f"is {snapshot.state.value}")
    return rule


def _invalid(verb: str, snapshot: Snapshot, why: str) -> OperationInvalid:
    name = verb.partition(".")[2] or verb
    return OperationInvalid(
        f"cannot {name} domain {snapshot.name}: it {why}",
        remedy="`mechane domstate` shows its state", state=snapshot.state.value, uuid=snapshot.uuid,
    )  # fmt: skip
