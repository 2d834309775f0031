"""Take away what a guest that ended has left on the host."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import cgroup, locks, ownership
from .files import remove_overlays
from .folder import GuestFolder
from .host.parts import HostParts
from .listening import remove_socket
from .ownership import Owner


def clean_up(
    folder: GuestFolder, uuid: str, owners: list[Owner], uid: int, *, set_ownership: bool, cgroups: bool,
    sockets: Iterable[str] = (), host: HostParts | None = None, search: bool = False, overlays: Path | None = None,
) -> list[str]:  # fmt: skip
    """Give files back, remove control groups, sockets, links, the folder and the lock. Blocks.

    Returns:
        What could not be done, for the log.
    """
    problems = ownership.restore(owners, uid) if set_ownership else []
    if cgroups:
        problems += [f"control group {group} is still in use" for group in cgroup.remove(uuid)]
    problems += (host or HostParts()).remove(uuid, search=search)
    if overlays is not None:
        remove_overlays(overlays, uuid)
    for path in sockets:
        remove_socket(Path(path))
    folder.remove()
    locks.forget_free(folder.path.parent, uuid)
    return problems
