"""Facts that the node itself adds to a cell, beside those that drivers report."""

from __future__ import annotations

from dataclasses import dataclass

from ...config.states import State
from .snapshot import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined:
    """The definition was stored."""

    name: str
    title: str
    size: Size
    detail: str = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTransient:
    """The definition was removed while the guest runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undefined:
    """The domain is gone."""

    detail: str = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """The domain has another name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Titled:
    """Title or description changed."""

    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """The running guest has another size now (`live`), or its definition has (`defined`)."""

    live: Size | None = None
    defined: Size | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutostartSet:
    """Whether it starts with the node was set."""

    autostart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBegan:
    """A start was claimed: from now on facts carry this incarnation."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDone:
    """The guest runs (or was taken up again)."""

    incarnation: int
    id: int
    state: State
    reason: str
    pid: int | None
    started_at: float
    detail: str = "booted"
    size: Size | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartGaveUp:
    """The start failed or was cancelled; nothing of the guest is left."""

    incarnation: int
    reason: str = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """The clean-up after a guest waits for its storage."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedUp:
    """Nothing of a guest is left on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasQuarantined:
    """Its actor crashed too often."""

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """An operator took it into service again."""
