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
