"""What the node hands down to its actors: stores, journal, clocks, names. Built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..protocol.limits import Limits
from ..protocol.permissions import Policy
from .cells.cell import EventLog, Later
from .cells.directory import Directory
from .domain.boots import Boots
from .stores.interface import Store


class Pure(Protocol):
    """Where pure functions of large input run: the worker process."""

    async def run(self, function: str, *args: Any, deadline_s: float) -> Any:
        """Run a function named module:qualname in the worker process."""
        ...


@dataclass(slots=True, kw_only=True)
class Services:
    """The services of one node; `limits` is replaced as a whole when they change."""

    node: str
    directory: Directory
    definitions: Store
    """Definitions and ownership; may be shared between nodes."""
    runtime: Store
    """What runs on this node; always local."""
    journal: EventLog
    offload: Pure
    limits: Limits
    settings: Any
    state_dir: Path
    runtime_dir: Path
    wall_clock: Callable[[], float]
    clock: Callable[[], float]
    boots: Boots
    """Which domains ran since the host booted."""
    policy: Policy | None = None
    """Whose grants say what; None where nobody is limited."""
    fault: Callable[[str], None]
    """Named points of kill tests; does nothing otherwise."""
    later: Later | None = None
    """Tells many who watch a cell, a few at a time."""
