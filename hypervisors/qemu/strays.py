"""Guests and folders that nobody owns. Everything here blocks and belongs on the pool."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

from .cgroup import remove_empty
from .cleanup import clean_up
from .folder import GuestFolder
from .procfs import processes, read_cmdline

MARK = "-no-user-config"
"""An argument that all our emulators have; whoever merely looks into a guest's folder has not."""
HELPERS = ("swtpm",)
"""Programs whose command line names the folder of the guest that they serve."""
END_MS = 1000
UUID_LENGTH = 36


def names_of(runtime_dir: Path, pid: int) -> set[str]:
    """Return the guests' folders that an emulator's command line names."""
    words = read_cmdline(pid)
    if MARK not in words and not (words and os.path.basename(words[0]) in HELPERS):
        return set()
    start = f"{runtime_dir}/"
    return {
        word.split(start, 1)[1].split("/", 1)[0].split(",", 1)[0][:UUID_LENGTH] for word in words if start in word
    }


def end_processes(folder: str) -> list[int]:
    """Kill emulators whose command line names a guest's folder, and wait a moment for their end."""
    path = Path(folder)
    return [pid for pid in processes() if path.name in names_of(path.parent, pid) and _end(pid, path)]


def _end(pid: int, folder: Path) -> bool:
    """Kill one; its command line is read again under the pidfd, so that no other is ever hit."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if folder.name not in names_of(folder.parent, pid):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(END_MS)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def sweep(runtime_dir: Path, is_ours: Callable[[str], bool]) -> list[str]:
    """End strays and remove the folders of nobody; returns the UUIDs of guests that were ended."""
    folders = [entry.name for entry in os.scandir(runtime_dir) if entry.is_dir(follow_symlinks=False)]
    strays: set[str] = set()
    for pid in processes():
        for name in names_of(runtime_dir, pid):
            if _is_guest(name) and not is_ours(name) and _end(pid, runtime_dir / name):
                strays.add(name)
    for name in folders:
        if _is_guest(name) and not is_ours(name):
            clean_up(GuestFolder(runtime_dir / name), name, [], 0, set_ownership=False, cgroups=True, search=True)
    remove_empty()
    return sorted(strays)


def _is_guest(name: str) -> bool:
    return len(name) == UUID_LENGTH and name.count("-") == 4
