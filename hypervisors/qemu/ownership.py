"""Give a guest's files to QEMU's user while it runs, and back afterwards.

What is to be restored goes into the guest's handle before anything is changed, so that a
node that is killed in between restores it after its restart. Files that others may use at
the same time (read-only media, firmware, kernels) stay as they are.

A file is known by its path without links, and changes hands by a descriptor that was walked to
(reach/walk.py): a link that somebody lays on the way meanwhile leads nowhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..reach.walk import walk

Owner = tuple[str, int, int]
"""Path, user and group as they were."""
_HELD = re.compile(r"/proc/self/fd/\d+(/?)")
"""What holding.py names: a descriptor, or an entry of one, which QEMU's user has made itself."""


def plan(paths: Iterable[str], uid: int) -> list[Owner]:
    """Return the owners of those paths that must change hands. Blocks; changes nothing."""
    found: list[Owner] = []
    for path in dict.fromkeys(paths):
        held = _HELD.match(path)
        if held is not None and held[1]:
            continue
        with suppress(OSError):  # missing: QEMU says so itself, with its own words
            real = path if held is not None else os.path.realpath(path)
            info = Path(real).stat()
            if not stat.S_ISREG(info.st_mode) and not stat.S_ISBLK(info.st_mode):
                continue
            if info.st_uid != uid:
                found.append((real, info.st_uid, info.st_gid))
    return found


def reals(paths: Iterable[str]) -> frozenset[str]:
    """Return the names by which a plan knows files. Blocks."""
    return frozenset(name for path in paths for name in (path, os.path.realpath(path)))


def take(owners: Iterable[Owner], uid: int, gid: int) -> None:
    """Give the paths to a user. Blocks.

    Raises:
        OSError: the file system refuses it, or a link lies on the way by now.
    """
    for path, _, _ in owners:
        if _HELD.fullmatch(path):
            os.chown(path, uid, gid)
            continue
        with walk(path) as place:
            if place.info is None:
                raise FileNotFoundError(2, "is gone", path)
            os.chown(f"/proc/self/fd/{place.fd}", uid, gid)


def restore(owners: Iterable[Owner], uid: int) -> list[str]:
    """Give the paths back, unless somebody changed their owner meanwhile; returns what failed. Blocks."""
    failed = []
    for path, old_uid, old_gid in owners:
        try:
            with walk(path) as place:
                if place.info is not None and place.info.st_uid == uid:
                    os.chown(f"/proc/self/fd/{place.fd}", old_uid, old_gid)
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
