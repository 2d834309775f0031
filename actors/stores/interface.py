"""What a store is: keys with values and versions, changed in atomic groups, durable when it says done.

Guarantees that every store gives:

- A group of operations takes effect as a whole or not at all.
- `done` is called exactly once, after the group is durable (it survives `kill -9` and power loss) or
  after it is certain that the group left no trace in this process's view of the store.
- Groups of one thread take effect in the order in which they were submitted.
- Who was told `done` reads what it wrote.

Versions start at 1 and grow by 1 with each change of a key; a key that is deleted and written anew starts
at 1 again, so a version names a value only as long as the key lives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...config.errors import MechaneError

MAX_VALUE_BYTES = 512 * 1024
"""The longest value, so that any store may be shared over ZooKeeper (its own limit is 1 MiB)."""

MAX_KEY_BYTES = 512
"""The longest key in UTF-8."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write a value. `if_version`: None whatever is there, 0 only when nothing is, else that version."""

    key: str
    value: bytes
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key. `if_version`: None whatever is there (also nothing), 0 only nothing, else that version."""

    key: str
    if_version: int | None = None


Operation = Put | Delete


class Entry(NamedTuple):
    """A key as it is stored."""

    key: str
    value: bytes
    version: int


class Change(NamedTuple):
    """A key that changed; `value` None and `version` 0 when it was deleted."""

    key: str
    value: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The versions after a group, in the order of its operations; 0 for deleted keys."""

    versions: list[int]


ApplyDone = Callable[[StoreResult | MechaneError], None]
ReadDone = Callable[[Entry | MechaneError | None], None]
Watcher = Callable[[Change], None]
Unwatch = Callable[[], None]


class Store(Protocol):
    """A durable map of versioned values."""

    def list(self, prefix: str) -> list[Entry]:
        """Return all entries whose key starts with `prefix`, in the order of keys.

        Blocks on the disk: for start-up only, never on a loop or an executor.

        Raises: StoreError.
        """
        ...

    def submit(self, ops: Sequence[Operation], done: ApplyDone) -> None:
        """Apply a group and call `done` with its result, on the store's thread, after the commit.

        Any thread; never waits. A group that cannot even be queued (InvalidArgument, Busy, StoreError when
        closed) is answered through `done` at once, on the caller's thread. `done` must return quickly.
        """
        ...

    def read(self, key: str, done: ReadDone) -> None:
        """Look up a key and call `done` with the entry, None or an error, on the reader's thread.

        Any thread; never waits. A refusal is answered at once, on the caller's thread.
        """
        ...

    def watch(self, prefix: str, watcher: Watcher) -> Unwatch:
        """Call `watcher` with each change below `prefix`, on the store's thread, in order of commits.

        It is called after the commit and before the `done` of the group. Any thread may start to watch;
        calling the result ends it.
        """
        ...

    def close(self, deadline_s: float) -> None:
        """Finish what is queued, then release everything.

        Raises: StoreError when that takes longer than `deadline_s`.
        """
        ...
