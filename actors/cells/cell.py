"""The cell of a domain: its published snapshot and its kill handle.

Guarantees:
- `snapshot` is read without a lock; it is replaced, never changed;
- every change goes through `put`, under the cell's lock, through the pure `reduce`;
- the events of a change are in the journal before anybody can see the next change, so
  the order of a domain's events is the order of its states;
- watchers are called after the change, outside the lock, the first `DIRECT` from the thread that reported
  the fact, the others a few at a time by whom the cell was given for that; they must not wait;
- `kill` never waits, works while the monitor hangs and while a start is under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from ...config.errors import OperationInvalid
from ...hypervisors.contract import CancelFlag
from ...hypervisors.facts import Exited, KillHandle, MonitorStuck, Spawned
from .page import Page
from .reduce import Change, reduce
from .snapshot import Snapshot

Watcher = Callable[[Snapshot], bool]
"""Called with each new snapshot; returns True when it wants no more."""


Later = Callable[[Callable[[], None]], None]
"""Calls something soon, in the order of calls and with pauses between; any thread, never waits."""
DIRECT = 16


class EventLog(Protocol):
    """Where events go; the journal."""

    def append(self, event: dict[str, Any], /) -> object:
        """Number and keep an event; never waits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What `Cell.kill` was about: an incarnation, whether it was being started, whether a kill handle took it."""

    incarnation: int
    starting: bool
    handled: bool


class Cell:
    """What is published of one domain, and how to end its guest."""

    __slots__ = ("_cancel", "_clock", "_killing", "_later", "_lock", "_log", "_packed_record", "_packed_state",
                 "_watchers", "gone", "kill_handle", "page", "snapshot")  # fmt: skip

    def __init__(
        self, snapshot: Snapshot, log: EventLog, clock: Callable[[], float], later: Later | None = None
    ) -> None:  # fmt: skip
        self._later = later
        self.snapshot = snapshot
        self.kill_handle: KillHandle | None = None
        self.gone = False
        self.page: Page | None = None
        """Where the record lies beside others, once the directory has the domain."""
        self._lock = threading.Lock()
        self._log = log
        self._clock = clock
        self._watchers: dict[Watcher, bool] = {}
        """And whether it is told behind those who administer."""
        self._cancel: CancelFlag | None = None
        self._killing = False
        self._packed_record: tuple[Snapshot, bytes] | None = None
        self._packed_state: tuple[Snapshot, bytes] | None = None

    def put(self, fact: Any) -> Snapshot:
        """Digest a fact and return the snapshot after it. Any thread; never waits."""
        with self._lock:
            before = self.snapshot
            fact = self._notice(before, fact)
            after, changes = reduce(before, fact)
            self.snapshot = after
            if after is not before and self.page is not None:
                self.page.changed()
                if after.id != before.id:
                    self.page.census.changed(after.uuid)
            for change in changes:
                self._log.append(self._event(after, change))
            watchers = self._in_order() if after is not before and self._watchers else []
        self._tell(watchers[:DIRECT], after)
        if len(watchers) > DIRECT:
            self._spread(watchers[DIRECT:], after)
        return after

    def _tell(self, watchers: Sequence[Watcher], snapshot: Snapshot) -> None:
        for watcher in watchers:
            if watcher(snapshot):
                self.unwatch(watcher)

    def _spread(self, watchers: list[Watcher], snapshot: Snapshot) -> None:
        """Tell many: thousands of them take 0.1 ms each under the GIL, and whoever reported the fact must go on."""
        if self._later is None:
            self._tell(watchers, snapshot)
            return
        for start in range(0, len(watchers), DIRECT):
            self._later(partial(self._tell, watchers[start : start + DIRECT], snapshot))

    def _notice(self, snapshot: Snapshot, fact: Any) -> Any:
        """Keep the kill handle and what a destroy promised. Under the lock."""
        if isinstance(fact, Spawned) and fact.incarnation == snapshot.incarnation:
            self.kill_handle = fact.kill
            if self._killing:
                fact.kill.kill(0.0)
        elif isinstance(fact, Exited) and fact.incarnation == snapshot.incarnation:
            self.kill_handle = None
            if self._killing:
                fact = replace(fact, reason="destroyed")
        elif isinstance(fact, MonitorStuck) and self._killing:
            fact = replace(fact, incarnation=-1)  # a guest that is being killed owes no answer
        return fact

    def _event(self, snapshot: Snapshot, change: Change) -> dict[str, Any]:
        return {
            "node": snapshot.node,
            "kind": change.kind,
            "event": change.event,
            "detail": change.detail,
            "time": self._clock(),
            "uuid": snapshot.uuid,
            "name": snapshot.name,
            "connection": snapshot.connection,
            "incarnation": snapshot.incarnation,
            "data": change.data,
        }

    def begin_start(self, cancel: CancelFlag) -> None:
        """Remember how a destroy cancels the start that begins now."""
        with self._lock:
            self._killing = False
            self._cancel = cancel
            self.kill_handle = None

    def end_start(self) -> None:
        """Forget the start's cancel flag: it ended, well or badly."""
        with self._lock:
            self._cancel = None

    def kill(self, grace_s: float, incarnation: int | None = None) -> Killed:
        """End the guest, or the start that is under way.

        Args:
            grace_s: seconds between asking the guest's process and killing it.
            incarnation: end this one only; None: whichever there is.

        Raises:
            OperationInvalid: there is no guest, or another incarnation.
        """
        with self._lock:
            snapshot = self.snapshot
            there = snapshot.active or snapshot.starting
            if not there or incarnation not in (None, snapshot.incarnation):
                raise OperationInvalid(
                    f"domain {snapshot.name} is not running", remedy="start it first", state=snapshot.state.value
                )
            self._killing = True
            if self._cancel is not None:
                self._cancel.set("destroyed")
            handle = self.kill_handle
        if handle is not None:
            handle.kill(grace_s)
        return Killed(incarnation=snapshot.incarnation, starting=snapshot.starting, handled=handle is not None)

    def cancel_start(self, reason: str) -> bool:
        """Ask a start that is under way to give up; False when there is none."""
        with self._lock:
            if self._cancel is None:
                return False
            self._cancel.set(reason)
            return True

    @property
    def killing(self) -> bool:
        """Whether somebody asked to destroy this incarnation."""
        return self._killing

    def _in_order(self) -> list[Watcher]:
        if len(self._watchers) <= DIRECT:
            return list(self._watchers)
        return sorted(self._watchers, key=self._watchers.__getitem__)  # who administers first; stable

    def watch(self, watcher: Watcher, *, behind: bool = False) -> Snapshot:
        """Call `watcher` with each snapshot from now on, `behind` those who administer; returns the present one."""
        with self._lock:
            self._watchers[watcher] = behind
            return self.snapshot

    def unwatch(self, watcher: Watcher) -> None:
        """Stop calling `watcher`."""
        with self._lock:
            self._watchers.pop(watcher, None)

    def bury(self) -> None:
        """Say that the domain is removed: watchers see `gone` and the last snapshot."""
        with self._lock:
            self.gone = True
            watchers, self._watchers = self._in_order(), {}
        self._tell(watchers[:DIRECT], self.snapshot)
        self._spread(watchers[DIRECT:], self.snapshot)

    def packed_record(self) -> bytes:
        """Return the packed record of the present snapshot, packed once for each snapshot."""
        snapshot = self.snapshot
        kept = self._packed_record
        if kept is None or kept[0] is not snapshot:
            kept = self._packed_record = (snapshot, snapshot.pack_record())
        return kept[1]

    def packed_state(self) -> bytes:
        """Return the packed state of the present snapshot, packed once for each snapshot."""
        snapshot = self.snapshot
        kept = self._packed_state
        if kept is None or kept[0] is not snapshot:
            kept = self._packed_state = (snapshot, snapshot.pack_state())
        return kept[1]
