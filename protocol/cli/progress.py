"""Show on the terminal that a long call is still going on."""

from __future__ import annotations

import sys
import threading
from time import monotonic
from types import TracebackType

from ...config.characters import in_one_line
from .output import own

FIRST_S = 0.7
"""Quick calls show nothing."""
STEP_S = 0.25
MARKS = "|/-\\"


class Progress:
    """A line on stderr while a block runs: what, a turning mark and the seconds.

    Only on a terminal and only when `enabled`. Starts one thread, which ends with the block.
    """

    def __init__(self, what: str, enabled: bool) -> None:
        self._what = what
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        if enabled and sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(1)

    def _show(self) -> None:
        started = monotonic()
        if self._done.wait(FIRST_S):
            return
        turn = 0
        while True:
            elapsed_s = monotonic() - started
            mark = MARKS[turn % len(MARKS)]
            own(sys.stderr, f"\r{mark} {in_one_line(self._what)}, {elapsed_s:.0f} s \x1b[K")
            sys.stderr.flush()
            turn += 1
            if self._done.wait(STEP_S):
                own(sys.stderr, "\r\x1b[K")
                sys.stderr.flush()
                return
