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

    __slots__ = ("calls", "client", "taken")

    def __init__(self, client: int) -> None:
        self.client = client
        self.calls: deque[PendingCall] = deque()
        self.taken = False


class PriorityMailbox:
    """Lanes of one class, and how many calls wait in all."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self._lock = threading.Lock()
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Lane] = deque()
        self.depth = 0
        self.taken = 0
        self.served = 0

    def put(self, call: PendingCall) -> None:
        """Queue a call in its client's lane.

        Raises:
            Busy: too many calls wait.
        """
        key = call.client.id
        with self._lock:
            if self.depth >= self.limit:
                raise Busy(f"the node's {self.name} mailbox is full", remedy="try again", what=self.name,
                           limit=self.limit)  # fmt: skip
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(key)
            if not lane.calls and not lane.taken:
                self._ready.append(lane)
            lane.calls.append(call)
            self.depth += 1

    def take(self) -> tuple[Lane, PendingCall] | None:
        """Take the next client's lane with its first call, or None."""
        with self._lock:
            if not self._ready:
                return None
            lane = self._ready.popleft()
            lane.taken = True
            self.depth -= 1
            self.taken += 1
            return lane, lane.calls.popleft()

    def give_back(self, lane: Lane) -> bool:
        """Give a lane back after its call was handed on; True when more waits in it."""
        with self._lock:
            lane.taken = False
            self.served += 1
            if lane.calls:
                self._ready.append(lane)
                return True
            self._lanes.pop(lane.client, None)
            return False

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
