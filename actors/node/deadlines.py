"""Timers of calls that wait without a mailbox: destroy, wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...config.errors import DeadlineExceeded
from ..router.pending import PendingCall
from ..runtime.loop_thread import LoopThread


class CallDeadlines:
    """Arms a timer on the node's loop for a call; the answer disarms it. Any thread."""

    def __init__(self, home: LoopThread) -> None:
        self._home = home

    def arm(self, call: PendingCall, release: Callable[[], None]) -> None:
        """Fail the call at its deadline unless it is answered before; `release` runs in both cases."""
        timer: list[Any] = []

        def expire() -> None:
            call.fail(
                DeadlineExceeded(
                    f"{call.spec.name} was not done after {call.deadline_s:g} s",
                    remedy="look at the domain's state", still_running=call.spec.name == "domain.destroy",
                )
            )  # fmt: skip

        def set_timer() -> None:
            if not call.done:
                timer.append(self._home.loop.call_at(call.deadline_at, expire))

        def drop_timer() -> None:
            for handle in timer:
                handle.cancel()

        def done() -> None:
            release()
            self._home.call(drop_timer)

        call.on_done = done
        if call.done:
            release()
            return
        self._home.call(set_timer)
