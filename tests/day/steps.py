"""What a step of the day is, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is done in a step."""

    RUN = "run"
    """The command is run on both sides."""
    CONSOLE = "console"
    """The guest is asked something on its console; its answer is what is compared."""
    RESTART = "restart"
    """The daemon is ended with SIGTERM and started again."""
    KILL = "kill -9"
    """The daemon is killed and started again."""
    REBOOT = "reboot"
    """The host loses its power and boots again."""
    UNTIL = "until"
    """The command is run until it prints what is expected, or the deadline has passed."""
    TRY = "try"
    """A file is defined and its guest is started: whether a side refuses it at once or at the start is its own way."""
    HOST = "host"
    """Something is done to both hosts that is not the tool's work; it is no step that counts."""
    LOOK = "look"
    """A look at both hosts from outside; what it prints is compared."""
    FOLLOW = "follow"
    """A follower of events is started; it is no step that counts."""
    EVENTS = "events"
    """What the followers of events have printed is compared, and they are ended."""


class Shape(StrEnum):
    """How two outputs are compared."""

    TEXT = "text"
    """Line for line; numbers, times and generated paths are one like the other, and so is white space."""
    TABLE = "table"
    """Titles and cells of a table; ids are one like the other."""
    KEYS = "keys"
    """The names in `name: value` or `name=value`: all that virsh prints are there; a script looks for names, so more of
    them do no harm."""
    XML = "xml"
    """Documents in meaning."""
    VALUE = "value"
    """Letter for letter."""
    ANY = "any"
    """Not at all: what is printed is the tool's own business (what went wrong, a version)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; what is compared after each is its status and the state of every domain."""

    words: str
    """The command without the tool's name, as one types it; it names the step too."""
    mechane: str | None = None
    """The words for mechane where they differ on purpose (docs/from-virsh.md says why)."""
    kind: Kind = Kind.RUN
    shape: Shape = Shape.TEXT
    xml: tuple[str, ...] = ()
    """Domains whose documents are compared afterwards."""
    env: dict[str, str] = field(default_factory=dict)
    asks: str = ""
    """What the guest's shell is told in a CONSOLE step."""
    expects: str = ""
    """What an UNTIL step waits for."""
    timeout_s: float = 60.0
    fault: str = ""
    """Which known fault the step shows, in few words; empty: none."""

    @property
    def counts(self) -> bool:
        """Tell whether it is a step of the day, not a preparation."""
        return self.kind not in (Kind.HOST, Kind.FOLLOW)


def run(words: str, *xml: str, shape: Shape = Shape.TEXT, fault: str = "", **more: Any) -> Step:
    """Return the step of a command."""
    return Step(words=words, xml=xml, shape=shape, fault=fault, **more)


def refused(words: str, **more: Any) -> Step:
    """Return the step of a command that libvirt refuses; what it says is its own."""
    return Step(words=words, shape=Shape.ANY, **more)


def console(name: str, asks: str = "", **more: Any) -> Step:
    """Return the step of a console on which the guest is asked something."""
    return Step(words=f"console {name}", kind=Kind.CONSOLE, asks=asks, shape=Shape.VALUE, **more)


def until(name: str, state: str, **more: Any) -> Step:
    """Return the step that waits for a state."""
    return Step(words=f"domstate {name}", kind=Kind.UNTIL, expects=state, shape=Shape.VALUE, **more)


def host(script: str) -> Step:
    """Return what is done to both hosts by their shell."""
    return Step(words=script, kind=Kind.HOST)


def look(script: str, **more: Any) -> Step:
    """Return a look at both hosts, whose outcome is compared."""
    return Step(words=script, kind=Kind.LOOK, shape=Shape.VALUE, **more)


RESTART = Step(words="(restart of the daemon)", kind=Kind.RESTART)
KILL = Step(words="(kill -9 of the daemon)", kind=Kind.KILL)
REBOOT = Step(words="(reboot of the host)", kind=Kind.REBOOT)
