"""Give a guest's files to QEMU's user while it runs, and back afterwards.

What is to be restored goes into the guest's handle before anything is changed, so that a
node that is killed in between restores it after its restart. Files that others may use at
the same time (read-only media, firmware, kernels) stay as they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

Owner = tuple[str, int, int]
"""Path, user and group as they were."""


def plan(paths: Iterable[str], uid: int) -> list[Owner]:
    """Return the owners of those paths that must change hands. Blocks; changes nothing."""
    found: list[Owner] = []
    for path in dict.fromkeys(paths):
        with suppress(OSError):  # missing: QEMU says so itself, with its own words
            info = Path(path).stat()
            if not stat.S_ISREG(info.st_mode) and not stat.S_ISBLK(info.st_mode):
                continue
            if info.st_uid != uid:
                found.append((path, info.st_uid, info.st_gid))
    return found


def take(owners: Iterable[Owner], uid: int, gid: int) -> None:
    """Give the paths to a user. Blocks.

    Raises:
        OSError: the file system refuses it.
    """
    for path, _, _ in owners:
        os.chown(path, uid, gid)


def restore(owners: Iterable[Owner], uid: int) -> list[str]:
    """Give the paths back, unless somebody changed their owner meanwhile; returns what failed. Blocks."""
    failed = []
    for path, old_uid, old_gid in owners:
        try:
            if Path(path).stat().st_uid == uid:
                os.chown(path, old_uid, old_gid)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append(f"{path}: {error.strerror}")
    return failed


def barrier(path: str, uid: int, gids: frozenset[int]) -> str | None:
    """Return the folder on the way to `path` that a user may not pass, or None. Blocks."""
    current = ""
    for part in os.path.realpath(path).split("/")[1:-1]:
        current += "/" + part
        try:
            info = Path(current).stat()
        except OSError:
            return None
        if info.st_uid == uid:
            allowed = info.st_mode & stat.S_IXUSR
        elif info.st_gid in gids:
            allowed = info.st_mode & stat.S_IXGRP
        else:
            allowed = info.st_mode & stat.S_IXOTH
        if not allowed:
            return current
    return None
