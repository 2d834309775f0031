"""Folders on hugetlbfs, one for each guest and page size."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .site import Site

MOUNTS = Path("/proc/mounts")
UNITS = {"K": 1, "M": 1024, "G": 1024 * 1024}
BASE = "mechane"


def mounts(text: str) -> dict[int, str]:
    """Return where hugetlbfs is mounted, by page size in KiB, from /proc/mounts (proc(5))."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        _, place, kind, options, *_ = line.split(" ")
        size = re.search(r"pagesize=(\d+)([KMG])", options)
        if kind == "hugetlbfs" and size is not None:
            found.setdefault(int(size[1]) * UNITS[size[2]], place)
    return found


def make_folders(site: Site) -> dict[int, str]:
    """Make the guest's folder on each hugetlbfs; returns them by page size in KiB. Blocks.

    Raises:
        OSError: one cannot be made.
    """
    found = {}
    for size, place in mounts(MOUNTS.read_text()).items():
        base = Path(place) / BASE
        base.mkdir(mode=0o700, exist_ok=True)
        base.chmod(0o711)  # QEMU's user passes it, whatever our umask
        folder = base / site.uuid
        folder.mkdir(mode=0o700, exist_ok=True)
        if site.identity.drops:
            os.chown(folder, site.identity.uid, site.identity.gid)
        found[size] = str(folder)
    return found


def remove_folders(folders: tuple[str, ...] | list[str]) -> None:
    """Remove a guest's folders: QEMU unlinks its files as soon as it has them open. Blocks."""
    for folder in folders:
        with suppress(OSError):  # gone with the boot, or QEMU left a file
            for entry in os.scandir(folder):
                Path(entry.path).unlink()
            Path(folder).rmdir()
