"""The monitor of in-memory guests: QMP's common commands, and `test-…` ones for the switches.

    {"execute": "test-hang",   "arguments": {"verb": "stats", "ms": 500, "forever": false}}
    {"execute": "test-delay",  "arguments": {"verb": "start", "ms": 100}}
    {"execute": "test-fail",   "arguments": {"verb": "suspend", "code": "busy", "message": "…", "count": 1}}
    {"execute": "test-crash",  "arguments": {"verb": "*"}}
    {"execute": "test-unhang", "arguments": {"verb": "*"}}        (test-undelay, …-unfail, …-uncrash)
    {"execute": "test-exit",   "arguments": {"reason": "crashed", "status": 1, "message": "…"}}
    {"execute": "test-event",  "arguments": {"kind": "watchdog", "event": "watchdog", "detail": "reset"}}
    {"execute": "test-switches"}

Each test command takes `domain` (UUID or name) to act on another guest of the connection,
because a guest that hangs takes no commands, or `connection: true` for the switches of the
connection. Test commands are a way round the monitor: no switch holds them up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...config.errors import InvalidArgument, MonitorError, NoDomain
from ...config.states import State
from .guest import Guest
from .switches import EVERY, KINDS, Switch, Switches

TEST_PREFIX = "test-"
_QMP_STATUS = {State.RUNNING: "running", State.PAUSED: "paused", State.SHUTDOWN: "shutdown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A monitor command as it was parsed."""

    word: str
    arguments: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Command:
        """Read QMP's JSON.

        Raises:
            InvalidArgument: not an object with `execute`.
        """
        try:
            data = json.loads(text)
            return cls(word=str(data["execute"]), arguments=dict(data.get("arguments") or {}))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidArgument(
                "the monitor command is not QMP", path="params.command",
                remedy='write {"execute": "query-status"}, or say hmp for a human command',
            ) from error  # fmt: skip

    @property
    def test(self) -> bool:
        """Return whether it goes round the monitor."""
        return self.word.startswith(TEST_PREFIX)


class TestCommands:
    """Carries out `test-…` commands."""

    __test__ = False  # pytest: no test class

    def __init__(self, guests: Mapping[str, Guest], switches: Switches) -> None:
        self._guests = guests
        self._switches = switches

    def run(self, guest: Guest, command: Command) -> Any:
        """Carry out one command and return its answer.

        Raises:
            NoDomain: `domain` names no running guest.
            InvalidArgument: a bad argument.
            MonitorError: no such command.
        """
        values = dict(command.arguments)
        whole = bool(values.pop("connection", False))
        guest = self._named(values.pop("domain", guest.uuid))
        switches = self._switches if whole else guest.switches
        action = command.word.removeprefix(TEST_PREFIX)
        if action in KINDS:
            switches.put(Switch.of(action, values))
            guest.changed()
            return {}
        if action.startswith("un") and action[2:] in KINDS:
            verb = str(values.get("verb", EVERY))
            dropped = switches.drop(action[2:], verb)
            guest.changed()
            of_guests = list(self._guests.values()) if whole else [guest]
            released = sum(each.release(verb) for each in of_guests) if action == "unhang" else 0
            return {"dropped": dropped, "released": released}
        if action == "switches":
            return [{"kind": switch.kind, "verb": switch.verb} for switch in switches]
        return self._happen(guest, action, values)

    def _happen(self, guest: Guest, action: str, values: dict[str, Any]) -> Any:
        if action == "exit":
            guest.exit(
                str(values.get("reason", "crashed")),
                status=values.get("status"),
                message=str(values.get("message", "")),
            )
            return {}
        if action == "event":
            kind, event = str(values.get("kind", "device")), str(values.get("event", ""))
            detail = str(values.get("detail", ""))
            if kind == "lifecycle":
                state = State(values.get("state", State.PAUSED))
                guest.change(state, str(values.get("reason", "unknown")), event, detail)
            else:
                guest.event(kind, event, detail, values.get("data"))
            return {}
        raise unknown_command(TEST_PREFIX + action)

    def _named(self, reference: str) -> Guest:
        for guest in self._guests.values():
            if reference in (guest.uuid, guest.name):
                return guest
        raise NoDomain(f"no guest {reference!r} runs here", remedy="start it first")


def unknown_command(word: str) -> MonitorError:
    """Return QMP's error for a command that it has not."""
    return MonitorError(
        f"The command {word} has not been found", remedy='ask {"execute": "query-commands"}',
        error_class="CommandNotFound",
    )  # fmt: skip


def run_qmp(guest: Guest, command: Command, version: str) -> Any:
    """Carry out a QMP command (QEMU QMP Reference Manual 7.2, the commands in `_QMP`)."""
    if command.word == "query-version":
        return {"package": version, "qemu": {"major": 0, "minor": 0, "micro": 0}}
    action = _QMP.get(command.word)
    if action is None:
        raise unknown_command(command.word)
    return action(guest)


def run_hmp(guest: Guest, command: str) -> str:
    """Carry out a human command; errors are text too, as in QEMU."""
    words = command.split()
    if words == ["info", "status"]:
        return f"VM status: {_QMP_STATUS.get(guest.state, guest.state.value)}\r\n"
    if words in (["stop"], ["cont"], ["system_powerdown"], ["system_reset"], ["quit"]):
        _QMP[words[0]](guest)
        return ""
    return f"unknown command: '{words[0] if words else ''}'\r\n"


def _status(guest: Guest) -> dict[str, Any]:
    running = guest.state is State.RUNNING
    return {
        "status": _QMP_STATUS.get(guest.state, guest.state.value),
        "running": running,
        "singlestep": False,
    }


def _cpus(guest: Guest) -> list[dict[str, Any]]:
    return [{"cpu-index": i, "target": "test", "props": {}} for i in range(guest.plan["vcpus"])]


def _nothing(action: Callable[[Guest], None]) -> Callable[[Guest], dict[str, Any]]:
    def run(guest: Guest) -> dict[str, Any]:
        action(guest)
        return {}

    return run


def pause(guest: Guest, reason: str = "unknown") -> None:
    """Stop the guest's processors."""
    guest.change(State.PAUSED, reason, "suspended", "paused")


def unpause(guest: Guest) -> None:
    """Let the guest's processors go on."""
    guest.change(State.RUNNING, "unpaused", "resumed", "unpaused")


_QMP: dict[str, Callable[[Guest], Any]] = {
    "query-status": _status,
    "query-name": lambda guest: {"name": guest.name},
    "query-uuid": lambda guest: {"UUID": guest.uuid},
    "query-balloon": lambda guest: {"actual": guest.balloon_kib * 1024},
    "query-cpus-fast": _cpus,
    "query-commands": lambda _: [{"name": name} for name in sorted(_QMP)],
    "stop": _nothing(pause),
    "cont": _nothing(unpause),
    "system_powerdown": _nothing(Guest.press_power_button),
    "system_reset": _nothing(Guest.reset),
    "quit": _nothing(lambda guest: guest.exit("shutdown", status=0)),
}
"""What a guest's monitor knows; query-version beside it."""
