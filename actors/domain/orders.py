"""Work that mechane itself puts into a domain's mailbox, beside clients' calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...config.errors import MechaneError
from ..router.pending import PendingCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A verb with its arguments; `call` is answered when it carries one, else `done` is."""

    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    call: PendingCall | None = None
    done: Callable[[Any | MechaneError], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guestless:
    """Control: the guest of this incarnation is gone."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """Control: end the running verb at its next step."""

    call: PendingCall
    error: MechaneError


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyByDriver:
    """Control: the driver has no kill handle, so it must destroy."""

    grace_s: float
    call: PendingCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What holds the domain: the verb that runs."""

    verb: str
    since: float
    """Monotonic."""
    wall: float
    deadline_s: float
    client: int | None = None
    request_id: str = ""

    def describe(self, now: float) -> dict[str, Any]:
        """Return the map that errors and get_control_info show."""
        shown: dict[str, Any] = {
            "verb": self.verb,
            "since": self.wall,
            "for_s": round(now - self.since, 3),
            "deadline_s": self.deadline_s,
        }
        if self.client is not None:
            shown["client"] = self.client
        if self.request_id:
            shown["request_id"] = self.request_id
        return shown
