"""Files of what was found out and can be found out again: a map with a format number. Blocks; for the pool."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...config.record import FORMAT


def read(file: Path, newest: int) -> dict[str, Any] | None:
    """Return what a cache of a format holds; None where it is missing, damaged, or of another format."""
    values = _whole(file)
    return values if values is not None and values.get(FORMAT, 1) == newest else None


def write(file: Path, newest: int, values: Mapping[str, Any]) -> None:
    """Write a cache, whole or not at all; one that a newer version wrote is left to it."""
    found = (_whole(file) or {}).get(FORMAT, 1)
    if isinstance(found, int) and found > newest:
        return
    with suppress(OSError):  # a cache: the next node looks again
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({FORMAT: newest, **values}))
        fresh.replace(file)


def _whole(file: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        values = json.loads(file.read_bytes())
        if isinstance(values, dict):
            return values
    return None
