"""How a start is told that it is no longer wanted."""

from __future__ import annotations

from collections.abc import Callable

from ..config.errors import Cancelled


class CancelFlag:
    """Set when a start is no longer wanted; the driver looks after each step."""

    __slots__ = ("_heard", "_reason")

    def __init__(self) -> None:
        self._reason: str | None = None
        self._heard: Callable[[], object] | None = None

    def set(self, reason: str) -> None:
        """Ask the start to give up; the first reason stays. Any thread."""
        if self._reason is None:
            self._reason = reason
            if self._heard is not None:
                self._heard()

    def listen(self, heard: Callable[[], object] | None) -> None:
        """Have somebody told, in the thread that sets it, who must not wait; None: nobody any more."""
        self._heard = heard
        if heard is not None and self._reason is not None:
            heard()

    @property
    def reason(self) -> str | None:
        """Why the start shall give up, or None."""
        return self._reason

    def check(self) -> None:
        """Raise `Cancelled` when the start shall give up."""
        if self._reason is not None:
            raise Cancelled(f"the start was cancelled: {self._reason}")
