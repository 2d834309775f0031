"""How long a client waits for a call, by the kind of its deadline.

The node answers deadline_exceeded by itself; a client's own deadline is a little longer and
matters only when the node or the network is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .call_table import CALLS

MARGIN_S = 1.0
"""What the way to the node and back may take on top of the call's own deadline."""
UNKNOWN_S = 60.0
"""For calls that this client does not know (a newer node)."""
BY_KIND_S: Mapping[str, float] = {
    "query": 10.0, "monitor": 30.0, "change": 60.0, "destroy": 60.0, "probe": 60.0, "start": 120.0,
    "wait": 3600.0,
}  # fmt: skip
"""The defaults of protocol/limits.py; used until `session.hello` told the node's own."""


class Deadlines:
    """Knows how long to wait for each call; learns the node's own defaults from its limits."""

    __slots__ = ("_by_kind",)

    def __init__(self) -> None:
        self._by_kind = dict(BY_KIND_S)

    def learn(self, limits: Mapping[str, Any]) -> None:
        """Take the default deadlines from the limits that `session.hello` answered."""
        for kind in self._by_kind:
            value = limits.get(f"deadline_{kind}_s")
            if isinstance(value, int | float):
                self._by_kind[kind] = float(value)

    def of(self, method: str, deadline_s: float | None) -> float:
        """Return the seconds to wait for `method`, the way to the node included."""
        if deadline_s is not None:
            return deadline_s + MARGIN_S
        known = CALLS.get(method)
        if known is None:
            return UNKNOWN_S
        return self._by_kind.get(known[1], UNKNOWN_S) + MARGIN_S


def may_resend(method: str) -> bool:
    """Return whether a call that the node may have seen can be sent again."""
    known = CALLS.get(method)
    return known is not None and known[0]
