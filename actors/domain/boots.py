"""Which domains ran since the host booted, so that a restart of the node alone starts none that was shut off.

    boot/<uuid>  boot: the id of the boot of the host (random(4), /proc/sys/kernel/random/boot_id)   runtime store

The mark is written with the acknowledgement of a start, in the same commit: whatever was acknowledged is remembered,
and a start that was not is no start. A destroy that takes a starting guest is remembered as well, because its
administrator wants it off.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config.errors import StoreError
from ..stores.aio import apply
from ..stores.interface import Delete, Operation, Put, Store
from .stored import StoredRecord

BOOT = "boot/"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger("mechane.node")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBoot(StoredRecord):
    """The value of boot/<uuid>."""

    PREFIX = BOOT
    WHAT = "the mark of a boot"

    boot: str
    kept: Mapping[str, Any] = field(default_factory=dict)


def boot_id() -> str:
    """Return the id of this boot of the host, or "" where the system has none: then nothing is remembered."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


class Boots:
    """The marks of one node. `load` before the actors run; the rest on any connection's loop."""

    def __init__(self, store: Store, boot: str) -> None:
        self._store, self.boot = store, boot
        self._ran: set[str] = set()

    def load(self) -> None:
        """Read the marks; one that cannot be read counts as none.

        Raises:
            StoreError: the store cannot be read.
        """
        for stored in self._store.list(BOOT):
            try:
                mark = StoredBoot.unpack(stored.value)
            except StoreError as error:
                _log.warning("%s: %s", stored.key, error)
                continue
            if self.boot and mark.boot == self.boot:
                self._ran.add(stored.key[len(BOOT) :])

    def ran(self, uuid: str) -> bool:
        """Tell whether a domain was started since the host booted."""
        return uuid in self._ran

    def marks(self, uuid: str) -> list[Operation]:
        """Return what to commit together with an acknowledgement; nothing when it is remembered already."""
        if not self.boot or uuid in self._ran:
            return []
        return [Put(BOOT + uuid, StoredBoot(boot=self.boot).pack())]

    def committed(self, uuid: str) -> None:
        """Note that the marks are durable."""
        if self.boot:
            self._ran.add(uuid)

    async def remember(self, uuid: str) -> None:
        """Mark a domain in a commit of its own.

        Raises:
            StoreError: it cannot be made durable.
        """
        marks = self.marks(uuid)
        if marks:
            await apply(self._store, marks)
            self.committed(uuid)

    async def forget(self, uuid: str) -> None:
        """Forget a domain whose definition goes, or whose start was taken back.

        Raises:
            StoreError: it cannot be made durable.
        """
        self._ran.discard(uuid)
        await apply(self._store, [Delete(BOOT + uuid)])
