"""Events of one guest, handed on one by one while they are few, and folded while they are many.

A guest that writes to its panic device makes 40,000 events a second. Each name of event (or group of names, where
their order matters) may come `BURST` times at once and `RATE` times a second; what comes beyond that is folded: of
those that are equal but for their time the last is kept, with how many it stands for, and told after `FOLD_S`, in the
order in which they came last. So the last state is the right one, and nothing that differs is lost until there are
more than `MOST_KINDS` kinds of one name: then only the last of the others is kept, with their number.

Of those that say whether the guest runs or is stopped only the last is told.

Loop's thread only.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import NamedTuple

BURST, RATE = 50, 5.0
FOLD_S = 0.25
MOST_KINDS = 32
EVENT_BYTES = 64 * 1024
"""No event of QEMU comes near it; a longer one is dropped unread."""
_EVENT = re.compile(rb'\{(?:"timestamp": ?\{[^{}]{0,80}\}, ?)?"event": ?"([A-Z0-9_]{1,60})"')
RUNNING = frozenset({b"STOP", b"RESUME", b"SUSPEND", b"SUSPEND_DISK", b"WAKEUP"})
"""Each says anew whether the guest runs."""
_ONE_AFTER_THE_OTHER = RUNNING | {
    b"SHUTDOWN", b"RESET", b"GUEST_PANICKED", b"WATCHDOG", b"BLOCK_IO_ERROR", b"POWERDOWN",
}  # fmt: skip
"""What one of these means depends on those before it, so they are folded together."""
_OF_THEIR_OWN = frozenset({
    b"GUEST_CRASHLOADED", b"DEVICE_DELETED", b"DEVICE_UNPLUG_GUEST_ERROR", b"DEVICE_TRAY_MOVED", b"VSERPORT_CHANGE",
    b"RTC_CHANGE", b"BALLOON_CHANGE", b"BLOCK_WRITE_THRESHOLD", b"JOB_STATUS_CHANGE", b"MIGRATION",
})  # fmt: skip
"""Those that mechane follows; all others share one budget, however they are called."""


class Folded(NamedTuple):
    """The last of several equal events, and how many it stands for."""

    line: bytes
    times: int


class _Budget:
    """What may come of one group of names."""

    __slots__ = ("at", "left", "waiting")

    def __init__(self, now: float) -> None:
        self.left = float(BURST)
        self.at = now
        self.waiting = 0

    def take(self, now: float) -> bool:
        """Take one; False when it shall be folded: also whatever comes behind what was folded."""
        self.left = min(self.left + (now - self.at) * RATE, float(BURST))
        self.at = now
        if self.waiting or self.left < 1:
            return False
        self.left -= 1
        return True


class Torrent:
    """See the module."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tell: Callable[[Folded], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Begin with full budgets.

        Args:
            loop: whose thread everything runs on.
            tell: gets what was folded.
            clock: monotonic seconds.
        """
        self._loop = loop
        self._tell = tell
        self._clock = clock
        self._budgets: dict[bytes, _Budget] = {}
        self._kept: dict[tuple[bytes, bytes | None], Folded] = {}
        self._timer: asyncio.TimerHandle | None = None

    def takes(self, line: bytes) -> bool:
        """Return whether a line was an event that is told later, or never; all others are the caller's, at once."""
        match = _EVENT.match(line)
        if match is None:
            return False
        if len(line) > EVENT_BYTES:
            return True
        name = match[1]
        group = b"run" if name in _ONE_AFTER_THE_OTHER else name if name in _OF_THEIR_OWN else b""
        budget = self._budgets.get(group)
        if budget is None:
            budget = self._budgets[group] = _Budget(self._clock())
        if not budget.waiting and budget.take(self._clock()):
            return False
        self._fold(name if group else b"", budget, line, line[match.end() if group else match.start(1) :])
        return True

    def flush(self) -> None:
        """Tell what was folded, now."""
        self.stop()
        kept, self._kept = self._kept, {}
        for budget in self._budgets.values():
            budget.waiting = 0
        last = next((key for key in reversed(kept) if key[0] in RUNNING), None)
        for key, folded in kept.items():
            if key[0] not in RUNNING or key == last:
                self._tell(folded)

    def stop(self) -> None:
        """Tell nothing by itself any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fold(self, name: bytes, budget: _Budget, line: bytes, what: bytes) -> None:
        key: tuple[bytes, bytes | None] = (name, what)
        before = self._kept.pop(key, None)
        if before is None:
            if budget.waiting >= MOST_KINDS:
                key = (name, None)
                before = self._kept.pop(key, None)
            else:
                budget.waiting += 1
        self._kept[key] = Folded(line, 1 if before is None else before.times + 1)  # behind all that came before
        if self._timer is None:
            self._timer = self._loop.call_later(FOLD_S, self.flush)
