"""The router's mailbox of one priority class: fair lanes, one for each client.

Guarantees: the calls of one client leave in order and are handed on one at a time (the
executor that has a lane keeps it until it handed the call on), so calls of one client to
one domain arrive in order however many executors there are; clients take turns, so one
that floods its lane delays itself only. `put` never waits and is bounded.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from ...config.errors import Busy
from .pending import PendingCall


class Lane:
    """The waiting calls of one client."""

    __slots__ = ("behind", "calls", "client", "taken")

    def __init__(self, client: int, *, behind: bool) -> None:
        self.client = client
        self.behind = behind
        self.calls: deque[PendingCall] = deque()
        self.taken = False


class PriorityMailbox:
    """Lanes of one class, and how many calls wait in all."""

    def __init__(self, name: str, limit: int, *, behind_at_once: int = 1) -> None:
        self.name = name
        self.limit = limit
        self.behind_at_once = behind_at_once
        self._lock = threading.Lock()
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._ready_behind: deque[Lane] = deque()
        self._taken_behind = 0
        self.depth = 0
        self.taken = 0
        self.served = 0

    def put(self, call: PendingCall) -> None:
        """Queue a call in its client's lane.

        Raises:
            Busy: too many calls wait.
        """
        key, behind = call.client.id, call.client.behind
        limit = self.limit * 3 // 4 if behind else self.limit
        with self._lock:
            if self.depth >= limit:
                raise Busy(f"the node's {self.name} mailbox is full", remedy="try again", what=self.name,
                           limit=limit)  # fmt: skip
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(key, behind=behind)
            if not lane.calls and not lane.taken:
                self._queue_of(lane).append(lane)
            lane.calls.append(call)
            self.depth += 1

    def take(self) -> tuple[Lane, PendingCall] | None:
        """Take the next client's lane with its first call, or None."""
        with self._lock:
            if self._ready:
                lane = self._ready.popleft()
            elif self._ready_behind and self._taken_behind < self.behind_at_once:
                lane = self._ready_behind.popleft()
                self._taken_behind += 1
            else:
                return None
            lane.taken = True
            self.depth -= 1
            self.taken += 1
            return lane, lane.calls.popleft()

    def give_back(self, lane: Lane) -> bool:
        """Give a lane back after its call was handed on; True when somebody shall take once more."""
        with self._lock:
            lane.taken = False
            self.served += 1
            if lane.behind:
                self._taken_behind -= 1
            if lane.calls:
                self._queue_of(lane).append(lane)
                return True
            self._lanes.pop(lane.client, None)
            return lane.behind and bool(self._ready_behind)  # one who was not let through may go now

    def _queue_of(self, lane: Lane) -> deque[Lane]:
        return self._ready_behind if lane.behind else self._ready

    def holds(self, client: int) -> bool:
        """Whether a call of this client waits or is being handed on."""
        return client in self._lanes

    @property
    def busy(self) -> bool:
        """Whether any call waits or is being handed on."""
        return bool(self._lanes)

    def describe(self) -> dict[str, Any]:
        """Return depth, limit and how many were handed on."""
        return {"depth": self.depth, "limit": self.limit, "served": self.served, "lanes": len(self._lanes)}
