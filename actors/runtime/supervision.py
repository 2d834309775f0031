"""The supervision tree as data, and how often a restart may happen.

OTP's rules with explicit numbers: a child that crashes more often than `restarts` within
`within_s` is quarantined, not escalated to its siblings. The window slides and outlives a
restart of the supervisor, because it is kept where the child is known, not where it runs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How one kind of child is supervised."""

    kind: str
    parent: str
    restarts: int
    within_s: float
    on_crash: str
    """What a restart means."""
    beyond: str
    """What happens when it crashes too often."""


TREE: tuple[ChildSpec, ...] = (
    ChildSpec(kind="connection", parent="node", restarts=5, within_s=30.0,
              on_crash="open the driver again; guests keep running", beyond="quarantine the connection"),
    ChildSpec(kind="domain", parent="connection", restarts=3, within_s=60.0,
              on_crash="new actor on the same mailbox; a running guest is re-attached",
              beyond="quarantine the domain"),
    ChildSpec(kind="executor", parent="node", restarts=5, within_s=30.0,
              on_crash="new executor on the same mailboxes", beyond="run with one fewer and say so"),
    ChildSpec(kind="offload", parent="node", restarts=5, within_s=30.0,
              on_crash="new worker process; waiting work is tried once more", beyond="refuse large input as busy"),
)  # fmt: skip
"""The whole tree: node -> connections -> domains, and the node's own helpers."""


def spec(kind: str, tree: tuple[ChildSpec, ...] = TREE) -> ChildSpec:
    """Return how children of a kind are supervised."""
    return next(child for child in tree if child.kind == kind)


def configured(supervision: Any) -> tuple[ChildSpec, ...]:
    """Return the tree with the numbers of the settings ([supervision]) for connections and domains."""
    numbers = {
        "connection": (supervision.connection_crashes, supervision.connection_within_s),
        "domain": (supervision.domain_crashes, supervision.domain_within_s),
    }
    return tuple(
        replace(child, restarts=numbers[child.kind][0], within_s=numbers[child.kind][1])
        if child.kind in numbers
        else child
        for child in TREE
    )


class RestartWindow:
    """Counts the crashes of one child in a sliding window."""

    __slots__ = ("_clock", "_crashes", "_spec")

    def __init__(
        self, kind: str, clock: Callable[[], float] = time.monotonic, tree: tuple[ChildSpec, ...] = TREE
    ) -> None:
        self._spec = spec(kind, tree)
        self._clock = clock
        self._crashes: deque[float] = deque()

    def crashed(self) -> bool:
        """Count a crash; returns whether a restart is still allowed."""
        now = self._clock()
        self._crashes.append(now)
        while self._crashes and now - self._crashes[0] > self._spec.within_s:
            self._crashes.popleft()
        return len(self._crashes) <= self._spec.restarts

    def forget(self) -> None:
        """Start counting anew: an operator re-attached the child."""
        self._crashes.clear()
