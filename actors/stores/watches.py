"""Who watches which prefix of a store."""

from __future__ import annotations

import itertools
import logging
import threading

from .interface import Change, Unwatch, Watcher

log = logging.getLogger("mechane.store")


class Watches:
    """Keep watchers and tell them changes.

    The table is replaced, never changed, so that the store thread reads it without a lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._watchers: dict[int, tuple[str, Watcher]] = {}

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def add(self, prefix: str, watcher: Watcher) -> Unwatch:
        """Start to tell `watcher` changes below `prefix`. Any thread; call the result to end it."""
        with self._lock:
            number = next(self._numbers)
            self._watchers = {**self._watchers, number: (prefix, watcher)}

        def unwatch() -> None:
            with self._lock:
                self._watchers = {key: item for key, item in self._watchers.items() if key != number}

        return unwatch

    def tell(self, changes: list[Change]) -> None:
        """Tell changes of one commit. Store thread."""
        for change in changes:
            for prefix, watcher in self._watchers.values():
                if not change.key.startswith(prefix):
                    continue
                try:
                    watcher(change)
                except Exception:  # the edge of the store thread
                    log.exception("a watcher of the store failed")
