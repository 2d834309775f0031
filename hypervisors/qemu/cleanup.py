"""Take away what a guest that ended has left on the host.

What lies in the node's own folders is removed at once. Files of the guest may lie on storage that does not
answer: they are given back in a clean-up of their own (`DriverEnv.clean_up`), which goes on by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import cgroup, locks, ownership
from .files import remove_overlays
from .folder import GuestFolder
from .host.parts import HostParts
from .listening import remove_socket
from .ownership import Owner

if TYPE_CHECKING:
    from .workshop import Workshop

SHOWN = 3
MOST_ROUNDS = 16
"""Files on storage that hangs which are stepped over, each with a thread that waits for it."""


def clean_up(
    folder: GuestFolder, uuid: str, *, cgroups: bool, host: HostParts | None = None, search: bool = False
) -> list[str]:
    """Remove control groups, links, the folder and the lock. Blocks, on the node's own folders alone.

    Returns:
        What could not be done, for the log.
    """
    problems = [f"control group {group} is still in use" for group in cgroup.remove(uuid)] if cgroups else []
    problems += (host or HostParts()).remove(uuid, search=search)
    folder.remove()
    locks.forget_free(folder.path.parent, uuid)
    return problems


async def give_back(
    shop: Workshop, uuid: str, owners: Iterable[Owner], *, sockets: Iterable[str] = (), overlays: Path | None = None
) -> None:
    """Give files back, and remove sockets and overlays, after all that was begun for the guest. Loop's thread.

    A file whose storage does not answer holds up none of the others: it is stepped over, and done when it answers.
    """
    left = _Left(shop, uuid, list(owners), list(sockets), overlays)
    for _ in range(MOST_ROUNDS):
        before = len(left)
        await shop.clean_up(left.work, uuid=uuid, what=left.named())
        if not left or len(left) == before:
            return


class _Left:
    """Files that are to be given back; several threads may take from them."""

    def __init__(
        self, shop: Workshop, uuid: str, owners: list[Owner], sockets: list[str], overlays: Path | None
    ) -> None:
        self._shop = shop
        self._uuid = uuid
        self._owners = deque(owners)
        self._sockets = deque(sockets)
        self._overlays = overlays

    def __len__(self) -> int:
        return len(self._owners) + len(self._sockets)

    def named(self) -> str:
        """Name the files, for people."""
        paths = [*(owner[0] for owner in self._owners), *self._sockets]
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        return ", ".join(paths[:SHOWN]) + more or "the storage of its files"

    def work(self) -> None:
        """Do what nobody does yet. Blocks."""
        overlays, self._overlays = self._overlays, None
        if overlays is not None:
            remove_overlays(overlays, self._uuid)
        while self._owners:
            for problem in ownership.restore([self._owners.popleft()], self._shop.identity.uid):
                self._shop.log.warning("after domain %s: %s", self._uuid, problem)
        while self._sockets:
            remove_socket(Path(self._sockets.popleft()))
