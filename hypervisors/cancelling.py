"""How a start is told that it is no longer wanted."""

from __future__ import annotations

from ..config.errors import Cancelled


class CancelFlag:
    """Set when a start is no longer wanted; the driver looks after each step."""

    __slots__ = ("_reason",)

    def __init__(self) -> None:
        self._reason: str | None = None

    def set(self, reason: str) -> None:
        """Ask the start to give up; the first reason stays."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> str | None:
        """Why the start shall give up, or None."""
        return self._reason

    def check(self) -> None:
        """Raise `Cancelled` when the start shall give up."""
        if self._reason is not None:
            raise Cancelled(f"the start was cancelled: {self._reason}")
