"""Take away what a guest that ended has left on the host."""

from __future__ import annotations

from . import cgroup, ownership
from .folder import GuestFolder
from .ownership import Owner


def clean_up(
    folder: GuestFolder, uuid: str, owners: list[Owner], uid: int, *, set_ownership: bool, cgroups: bool
) -> list[str]:
    """Give files back, remove control groups and the folder. Blocks.

    Returns:
        What could not be done, for the log.
    """
    problems = ownership.restore(owners, uid) if set_ownership else []
    if cgroups:
        problems += [f"control group {group} is still in use" for group in cgroup.remove(uuid)]
    folder.remove()
    return problems
