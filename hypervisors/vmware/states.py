"""Which guests are paused: vmrun does not tell, so what mechane did itself is kept, and vmrest is asked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ...config.states import State

POWER = {
    "poweredon": (State.RUNNING, "unknown"),
    "paused": (State.PAUSED, "user"),
    "suspended": (State.SHUTOFF, "saved"),
    "poweredoff": (State.SHUTOFF, "unknown"),
}
"""power_state of vmrest -> state and reason."""


class Paused:
    """UUIDs of guests that we paused, each a small file in the runtime folder: a restart of the node knows them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()
        with suppress(OSError):  # not there yet
            self._known = {path.name for path in folder.iterdir()}

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._known

    def add(self, uuid: str) -> None:
        """Remember a guest. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / uuid).touch(mode=0o600)
        self._known.add(uuid)

    def discard(self, uuid: str) -> None:
        """Forget a guest; one that is not known is fine."""
        if uuid in self._known:
            self._known.discard(uuid)
            (self._folder / uuid).unlink(missing_ok=True)
