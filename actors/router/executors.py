"""Executors: pykka threading actors whose inbox is the router's mailboxes.

Reserved executors serve HIGH only; ordinary ones serve any, and help with HIGH when more
waits there than there are reserved ones. They hand calls on and never wait for a domain,
a pool or a connection, so a fixed few are enough. Ordinary ones come and go between
`min_workers` and `max_workers`.

Guarantees: a token is in a queue for each lane that is ready, so no call is forgotten; an
executor that dies of a bug is replaced (up to the supervision window), its call answers
`internal_error`.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka import messages
from pykka._envelope import Envelope

from ..runtime.supervision import RestartWindow
from .mailboxes import PriorityMailbox
from .pending import PendingCall

IDLE_S = 30.0
"""An ordinary executor beyond the minimum ends after this long without work."""

_log = logging.getLogger("mechane.executor")
_WORK, _HELP, _STOP = "work", "help", "stop"


class _Tokens:
    """An executor's inbox: a shared queue of tokens, read as pykka envelopes."""

    __slots__ = ("own", "shared")

    def __init__(self) -> None:
        self.shared: queue.SimpleQueue[str] | None = None
        self.own: list[Envelope[Any]] = []

    def put(self, envelope: Envelope[Any]) -> None:
        self.own.append(envelope)
        if self.shared is not None:
            self.shared.put(_STOP)

    def get(self) -> Envelope[Any]:
        assert self.shared is not None
        try:
            return Envelope(self.shared.get(timeout=IDLE_S))
        except queue.Empty:
            return Envelope("idle")

    def empty(self) -> bool:
        return not self.own


class Executor(pykka.ThreadingActor):
    """One executor thread."""

    use_daemon_thread = True

    def __init__(self, pool: Executors, *, reserved: bool) -> None:
        super().__init__()
        self.pool = pool
        self.reserved = reserved
        inbox: Any = self.actor_inbox
        inbox.shared = pool.high_tokens if reserved else pool.low_tokens

    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Tokens()

    def on_receive(self, message: Any) -> None:
        """Serve one token."""
        if message == _STOP or message == "idle":
            if self.pool.may_leave(self, stop=message == _STOP):
                self._stop()
            return
        high = self.reserved or message == _HELP
        self.pool.serve(self.pool.high if high else self.pool.low)

    def on_failure(self, *info: Any) -> None:
        """Tell the pool to replace this executor."""
        self.pool.failed(self)

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, messages._ActorStop):
            return self._stop()
        return self.on_receive(message)


class Executors:
    """The pool of both kinds over the two mailboxes."""

    def __init__(
        self, high: PriorityMailbox, low: PriorityMailbox, handle: Callable[[PendingCall], None], *,
        prio_workers: int, min_workers: int, max_workers: int,
    ) -> None:  # fmt: skip
        self.high = high
        self.low = low
        self._handle = handle
        self.prio_workers = prio_workers
        self.min_workers = min_workers
        self.max_workers = max_workers
        self.high_tokens: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.low_tokens: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.busy = 0
        self._lock = threading.Lock()
        self._reserved: set[Executor] = set()
        self._ordinary: set[Executor] = set()
        self._window = RestartWindow("executor")
        self._stopping = False
        self._taken_before = -1

    def start(self) -> None:
        """Start the reserved and the minimum of ordinary executors."""
        self.resize()

    def resize(self) -> None:
        """Bring the number of executors to the settings: start what lacks, ask the rest to go."""
        with self._lock:
            for _ in range(self.prio_workers - len(self._reserved)):
                self._add(reserved=True)
            for _ in range(self.min_workers - len(self._ordinary)):
                self._add(reserved=False)
            for _ in range(len(self._reserved) - self.prio_workers):
                self.high_tokens.put(_STOP)
            for _ in range(len(self._ordinary) - self.max_workers):
                self.low_tokens.put(_STOP)

    def _add(self, *, reserved: bool) -> None:
        executor = Executor(self, reserved=reserved)
        pykka.ActorRegistry.register(executor.actor_ref)
        executor._start_actor_loop()
        (self._reserved if reserved else self._ordinary).add(executor)

    def submit_high(self, call: PendingCall) -> None:
        """Queue a HIGH call."""
        self.high.put(call)
        self.high_tokens.put(_WORK)
        if self.high.depth > self.prio_workers:
            self.low_tokens.put(_HELP)

    def submit_low(self, call: PendingCall) -> None:
        """Queue a LOW call."""
        self.low.put(call)
        self.low_tokens.put(_WORK)

    def tend(self) -> None:
        """Add one ordinary executor when calls wait and none was taken since the last look."""
        with self._lock:
            stuck = self.low.depth > 0 and self.low.taken == self._taken_before
            self._taken_before = self.low.taken
            if stuck and len(self._ordinary) < self.max_workers and not self._stopping:
                self._add(reserved=False)

    def serve(self, mailbox: PriorityMailbox) -> None:
        """Hand one call on (executor's thread)."""
        taken = mailbox.take()
        if taken is None:
            return
        lane, call = taken
        self.busy += 1
        try:
            if not call.done:
                self._handle(call)
        finally:
            self.busy -= 1
            if mailbox.give_back(lane):
                (self.high_tokens if mailbox is self.high else self.low_tokens).put(_WORK)

    def may_leave(self, executor: Executor, *, stop: bool) -> bool:
        """Say whether an executor shall end: the node stops, or there are more than wanted."""
        with self._lock:
            group, wanted = (
                (self._reserved, self.prio_workers) if executor.reserved else (self._ordinary, self.min_workers)
            )
            if executor.reserved and not stop:
                return False
            if self._stopping or len(group) > wanted:
                group.discard(executor)
                return True
            return False

    def failed(self, executor: Executor) -> None:
        """Replace an executor that died of a bug, within the supervision window."""
        with self._lock:
            self._reserved.discard(executor)
            self._ordinary.discard(executor)
            again = self._window.crashed() and not self._stopping
            if again:
                self._add(reserved=executor.reserved)
        if not again:
            _log.error("executors crash too often; going on with one fewer")

    def describe(self) -> dict[str, int]:
        """Return the numbers for node.get_workers."""
        return {
            "prio_workers": self.prio_workers,
            "min_workers": self.min_workers,
            "max_workers": self.max_workers,
            "prio_present": len(self._reserved),
            "present": len(self._ordinary),
            "busy": self.busy,
            "high_waiting": self.high.depth,
            "low_waiting": self.low.depth,
        }

    def stop(self) -> None:
        """Ask all executors to end; they are daemon threads and never wait, so this returns at once."""
        self._stopping = True
        for _ in range(len(self._reserved)):
            self.high_tokens.put(_STOP)
        for _ in range(len(self._ordinary)):
            self.low_tokens.put(_STOP)
