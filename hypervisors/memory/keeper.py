"""The file of `?state=FILE`: guests that outlive the node, as real ones do.

One driver at a time holds the file (flock on FILE.lock, released by the kernel when its
process dies). The file is written whole and renamed into place, so a reader sees one state
or the next. Times inside are of CLOCK_MONOTONIC, which is one clock for all processes of a
boot (clock_gettime(2)); guests of another boot are gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config.errors import OperationFailed

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Keeper:
    """The locked file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd = -1
        self._boot = BOOT_ID.read_text().strip()

    def open(self) -> list[dict[str, Any]]:
        """Lock the file and return the guests in it.

        Raises:
            OperationFailed: another driver holds it, or it cannot be used.
        """
        try:
            self._lock_fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        except BlockingIOError as error:
            self.close()
            raise OperationFailed(
                f"{self.path} belongs to another running node", remedy="name another file in ?state="
            ) from error
        except (OSError, ValueError) as error:
            self.close()
            raise OperationFailed(f"{self.path}: {error}", remedy="make it usable or remove it") from error
        return list(kept["guests"]) if kept.get("boot") == self._boot else []

    def save(self, guests: Sequence[dict[str, Any]]) -> None:
        """Write the guests. A write of some KiB to the page cache; the loop does it itself."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(json.dumps({"boot": self._boot, "guests": guests}))
        fresh.replace(self.path)

    def close(self) -> None:
        """Release the lock."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
