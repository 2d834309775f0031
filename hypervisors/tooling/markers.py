"""Marks of guests that mechane itself started, so that a sweep never ends one started by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...config.record import FORMAT

NEWEST = 1
"""Format of a mark; one without a number is of the first. Name and native id stay what they are in all formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One guest that a start of ours brought into being (or was about to)."""

    uuid: str
    name: str
    native_id: str = ""


class Markers:
    """Small files in the connection's runtime folder, which vanishes at boot as guests do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, mark: Mark) -> None:
        """Write a mark. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"name": mark.name, "native_id": mark.native_id, FORMAT: NEWEST})
        fresh = self._folder / f".{mark.uuid}"
        fresh.write_text(text)
        fresh.rename(self._folder / mark.uuid)

    def get(self, uuid: str) -> Mark | None:
        """Return a guest's mark."""
        with suppress(OSError, ValueError, KeyError, TypeError):  # none, or half of one: no mark
            kept = json.loads((self._folder / uuid).read_text())
            return Mark(uuid=uuid, name=str(kept["name"]), native_id=str(kept["native_id"]))
        return None

    def remove(self, uuid: str) -> None:
        """Remove a mark; one that is not there is fine."""
        (self._folder / uuid).unlink(missing_ok=True)

    def all(self) -> Iterator[Mark]:
        """Yield every mark."""
        if self._folder.is_dir():
            for path in sorted(self._folder.iterdir()):
                mark = None if path.name.startswith(".") else self.get(path.name)
                if mark is not None:
                    yield mark
