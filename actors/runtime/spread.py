"""Does many small things a few at a time, so that whoever had to do them goes on, and nobody waits for the GIL.

Guarantees: steps run in the order in which they came, on the loop's thread, with `PAUSE_S` between them; a step that
raises is logged, and the next one runs.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from .loop_thread import LoopThread

PAUSE_S = 0.001

_log = logging.getLogger("mechane.spread")


class Spread:
    """See the module."""

    def __init__(self, home: LoopThread) -> None:
        """Use a loop that is started before the first step comes."""
        self._home = home
        self._steps: deque[Callable[[], None]] = deque()
        self._asked = False

    def soon(self, step: Callable[[], None]) -> None:
        """Run a step when it is its turn. Any thread; never waits."""
        self._steps.append(step)
        if not self._asked:
            self._asked = True
            self._home.call(self._run)

    def _run(self) -> None:
        try:
            if self._steps:
                self._steps.popleft()()
        except Exception:  # noqa: BLE001 - the edge: one that is told must not keep the others from being told
            _log.exception("a step failed")
        if not self._steps:
            self._asked = False  # before the second look: who appends after it asks anew
        if self._steps:
            self._asked = True
            self._home.loop.call_later(PAUSE_S, self._run)
