"""Switches that make the in-memory hypervisor misbehave: hang, delay, fail or crash a verb.

They come from three places: the connection's URI, a domain's XML, and `test-…` monitor
commands at run time. One set belongs to the connection, one to each guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.errors import InvalidArgument, MechaneError, all_errors, from_wire

KINDS = ("hang", "delay", "fail", "crash")
EVERY = "*"
VERBS = (
    "open", "close", "discover", "define", "undefine", "start", "reattach", "abandon", "inspect",
    "shutdown", "reboot", "destroy", "finished", "sweep", "suspend", "resume", "reset",
    "monitor_command", "stats", "open_console", "get_capabilities", "get_domain_capabilities", "kill",
)  # fmt: skip
"""The verbs of the contract, and `kill`: a guest that does not die of its kill handle."""

MONITOR_VERBS = frozenset(
    {"inspect", "shutdown", "reboot", "suspend", "resume", "reset", "monitor_command", "stats", "reattach"}
)


class Crash(RuntimeError):
    """The bug that a crash switch plays: an exception that no driver should let out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One way to misbehave.

    `seconds` is the length of a delay, or after how long a hang ends by itself. `count` is
    how often it works (None: always). `forever` hangs past the verb's deadline, as a broken
    driver would. `present` names a file: the switch works only while that exists.
    """

    kind: str
    verb: str = EVERY
    seconds: float | None = None
    message: str = ""
    code: str = "operation_failed"
    count: int | None = None
    forever: bool = False
    present: str = ""

    @classmethod
    def of(cls, kind: str, values: Mapping[str, Any]) -> Switch:
        """Build a switch from a monitor command's arguments or an XML element's attributes.

        Args:
            kind: hang, delay, fail or crash.
            values: verb (or *), ms, message, code, count, forever, present.

        Raises:
            InvalidArgument: an unknown kind, verb, error word or argument, or a bad number.
        """
        unknown = set(values) - {"verb", "ms", "message", "code", "count", "forever", "present"}
        verb, code = str(values.get("verb", EVERY)), str(values.get("code", "operation_failed"))
        if unknown:
            raise InvalidArgument(f"test-{kind} takes no {sorted(unknown)[0]!r}", path=sorted(unknown)[0])
        if kind not in KINDS or (verb != EVERY and verb not in VERBS):
            raise InvalidArgument(
                f"no verb {verb!r} to {kind}", remedy=f"use {EVERY} or one of {', '.join(VERBS)}", path="verb"
            )
        if code not in {error.code for error in all_errors()}:
            raise InvalidArgument(f"no error is called {code!r}", path="code", remedy="see config/errors.py")
        try:
            seconds = float(values["ms"]) / 1000 if "ms" in values else None
            count = int(values["count"]) if "count" in values else None
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                f"test-{kind}: {error}", path="ms or count", remedy="give numbers"
            ) from error
        forever = str(values.get("forever", "")).lower() in ("1", "yes", "true")
        return cls(
            kind=kind, verb=verb, seconds=seconds, message=str(values.get("message", "")), code=code,
            count=count, forever=forever, present=str(values.get("present", "")),
        )  # fmt: skip

    def values(self) -> dict[str, Any]:
        """Return what `of` builds the same switch from."""
        found: dict[str, Any] = {"verb": self.verb, "message": self.message, "code": self.code}
        found |= {"ms": self.seconds * 1000} if self.seconds is not None else {}
        found |= {"count": self.count} if self.count is not None else {}
        return found | {"forever": self.forever, "present": self.present}

    def error(self) -> MechaneError:
        """Return the error that a fail switch answers with."""
        message = self.message or f"test-fail: {self.verb} was told to fail"
        return from_wire({"code": self.code, "message": message, "remedy": "remove the test-fail switch"})


class Switches:
    """The switches of one guest or of the whole connection. Only the connection's loop uses them."""

    __slots__ = ("_left", "_set")

    def __init__(self, switches: Iterator[Switch] | tuple[Switch, ...] = ()) -> None:
        self._set: dict[tuple[str, str], Switch] = {}
        self._left: dict[tuple[str, str], int] = {}
        for switch in switches:
            self.put(switch)

    def put(self, switch: Switch) -> None:
        """Set a switch; it replaces the one of the same kind and verb."""
        key = (switch.kind, switch.verb)
        self._set[key] = switch
        self._left.pop(key, None)
        if switch.count is not None:
            self._left[key] = switch.count

    def drop(self, kind: str, verb: str) -> int:
        """Remove switches of a kind (* for each verb) and return how many there were."""
        gone = [key for key in self._set if key[0] == kind and verb in (EVERY, key[1])]
        for key in gone:
            del self._set[key]
            self._left.pop(key, None)
        return len(gone)

    def take(self, kind: str, verb: str, *, every: bool = True) -> Switch | None:
        """Return the switch that applies to a verb now, and count its use.

        `every` lets a switch for * apply; of hangs that means the verbs that ask a monitor.
        """
        if not self._set:
            return None
        every = every and (kind != "hang" or verb in MONITOR_VERBS)
        for key in ((kind, verb), (kind, EVERY)) if every else ((kind, verb),):
            switch = self._set.get(key)
            if switch is None or (switch.present and not Path(switch.present).exists()):
                continue
            if key in self._left:
                self._left[key] -= 1
                if self._left[key] <= 0:
                    self.drop(*key)
            return switch
        return None

    def __iter__(self) -> Iterator[Switch]:
        return iter(self._set.values())


def from_options(options: Mapping[str, str]) -> Iterator[Switch]:
    """Yield the switches of a connection URI's options.

    `hang=`, `crash=` and `fail=` take verbs with commas between, or 1 for every verb;
    `delay_ms=` delays every verb; `while=FILE` makes all of them work only while FILE exists.
    """
    present = options.get("while", "")
    for kind in ("hang", "crash", "fail"):
        for verb in filter(None, options.get(kind, "").split(",")):
            yield Switch.of(kind, {"verb": EVERY if verb == "1" else verb, "present": present})
    if "delay_ms" in options:
        yield Switch.of("delay", {"ms": options["delay_ms"], "present": present})
