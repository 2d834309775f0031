"""What a step of the day is, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


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
    HOST = "host"
    """Something is done to both hosts that is not the tool's work; it is no step that counts."""
    EVENTS = "events"
    """What the followers of events printed since the day began is compared."""


class Shape(StrEnum):
    """How two outputs are compared."""

    TEXT = "text"
    """Line for line; numbers, times and generated paths are one like the other, and so is white space."""
    TABLE = "table"
    """Titles and cells of a table, the numbers of cells that count included."""
    KEYS = "keys"
    """The names in `name: value` or `name=value`, and how many there are of each."""
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
    expects: str = ""
    """What an UNTIL step waits for."""
    timeout_s: float = 60.0
    fault: str = ""
    """Which known fault the step shows, in few words; empty: none."""
