"""Groups of operations on their way to the store thread: checked, bounded, in order.

Guarantees: `put` never waits; what was accepted is taken exactly once, in order; after `close` nothing is
accepted and `take` returns an empty list once everything was taken.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ...config.errors import Busy, InvalidArgument, StoreError
from .interface import MAX_KEY_BYTES, MAX_VALUE_BYTES, ApplyDone, Operation, Put


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that take effect together, and whom to tell."""

    ops: tuple[Operation, ...]
    done: ApplyDone
    size: int


def checked_group(ops: Sequence[Operation], done: ApplyDone) -> Group:
    """Build a group after checking keys and the length of values.

    Raises: InvalidArgument.
    """
    size = 0
    for op in ops:
        if not op.key or len(op.key.encode()) > MAX_KEY_BYTES or "\0" in op.key:
            raise InvalidArgument(f"a key has 1 to {MAX_KEY_BYTES} bytes without NUL", value=op.key[:80])
        if isinstance(op, Put):
            size += len(op.value)
            if len(op.value) > MAX_VALUE_BYTES:
                raise InvalidArgument(
                    f"the value of {op.key} has {len(op.value)} bytes; the store takes {MAX_VALUE_BYTES}",
                    remedy="make the definition smaller",
                    limit=MAX_VALUE_BYTES,
                )
    return Group(tuple(ops), done, size)


class GroupQueue:
    """Hold groups for the store thread."""

    def __init__(self, max_groups: int, max_bytes: int) -> None:
        self.max_groups = max_groups
        self.max_bytes = max_bytes
        self._changed = threading.Condition(threading.Lock())
        self._groups: deque[Group] = deque()
        self._bytes = 0
        self._closed = False

    def put(self, group: Group) -> None:
        """Queue a group. Any thread; never waits.

        Raises: Busy when the queue is full, StoreError when it is closed.
        """
        with self._changed:
            if self._closed:
                raise StoreError("the store is closed", remedy="the node is stopping")
            if len(self._groups) >= self.max_groups or self._bytes + group.size > self.max_bytes:
                raise Busy(
                    "the store's queue is full",
                    remedy="try again; look at the disk if it stays so",
                    what="store queue",
                    limit=self.max_groups,
                    limit_bytes=self.max_bytes,
                )
            self._groups.append(group)
            self._bytes += group.size
            self._changed.notify()

    def take(self, most: int) -> list[Group]:
        """Wait for work and return up to `most` groups; empty when closed and drained. Store thread."""
        with self._changed:
            while not self._groups and not self._closed:
                self._changed.wait()
            if len(self._groups) <= most:
                taken = list(self._groups)
                self._groups.clear()
            else:
                taken = [self._groups.popleft() for _ in range(most)]
            self._bytes -= sum(group.size for group in taken)
            return taken

    def close(self) -> None:
        """Accept no more groups. Any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def __len__(self) -> int:
        return len(self._groups)
