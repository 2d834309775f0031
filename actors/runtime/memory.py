"""Gives memory that is free inside the process back to the system, after somebody made it large for a while.

glibc keeps what a flood took: after 600 clients that did not read, half a gigabyte stayed with a node of 35 MiB.
malloc_trim(3) gives it back; it takes some milliseconds for each 100 MiB, without the GIL, so it runs seldom and on a
thread of its own.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

WORTH_BYTES = 16 * 1024 * 1024
"""What must have been freed before it is worth a look."""


def trim() -> None:
    """Give free memory back, where the C library can. Blocks for some milliseconds, without the GIL."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if function is not None:
        function(0)


class Freed:
    """Counts what clients held when they went, and gives memory back when it was much. One thread's."""

    def __init__(
        self, later: Callable[[float, Callable[[], None]], None], give_back: Callable[[], None] = trim
    ) -> None:  # fmt: skip
        """Use a timer of the thread that counts.

        Args:
            later: calls something once, so many seconds from now.
            give_back: what is done then, on a thread of its own.
        """
        self._later = later
        self._give_back = give_back
        self._bytes = 0
        self._asked = False

    def count(self, size: int) -> None:
        """Note that so many bytes were let go of."""
        self._bytes += size
        if self._bytes >= WORTH_BYTES and not self._asked:
            self._asked = True
            self._later(1.0, self._run)  # after those that go with it

    def _run(self) -> None:
        self._asked, self._bytes = False, 0
        threading.Thread(target=self._give_back, name="trim", daemon=True).start()
