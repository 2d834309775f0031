"""The read-only view that PUBLISHED handlers are given: memory, nothing that can wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...protocol.catalogue import Catalogue
from ...protocol.limits import Limits
from ..cells.directory import Directory
from ..events.journal import Journal
from .patterns import Patterns


@dataclass(slots=True, kw_only=True)
class View:
    """What is published of the node."""

    node: str
    version: str
    catalogue: Catalogue
    directory: Directory
    journal: Journal
    connections: Mapping[str, Any]
    limits: Callable[[], Limits]
    clock: Callable[[], float] = field(default=time.monotonic)
    patterns: Patterns = field(default_factory=Patterns)
    packed_calls: dict[str, bytes] = field(default_factory=dict)
    """What session.list_calls says of each call, once it was asked."""
