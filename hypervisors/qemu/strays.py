"""Which emulators run for this node, and what is left of those that ended. Everything here blocks: for the pool.

An emulator is known by its command line, which names its guest's folder, by an argument that all of ours have,
and by its user. Nothing here ends a guest but `end_processes`, which is for a start that was never acknowledged.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import locks
from .cgroup import remove_empty
from .cleanup import clean_up
from .folder import GuestFolder
from .locks import Survey
from .procfs import PROC, processes, read_cmdline, read_stat

MARK = "-no-user-config"
"""An argument that all our emulators have; whoever merely looks into a guest's folder has not."""
HELPERS = ("swtpm",)
"""Programs whose command line names the folder of the guest that they serve."""
PROBE = "probe-"
"""How the folders of emulators begin that run without a guest (probe.py)."""
END_MS = 1000
UUID_LENGTH = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """An emulator that runs in one of the node's folders; the name of the folder is the guest's UUID."""

    folder: str
    pid: int
    start_time: int
    argv: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the domain's name as the command line has it, or the UUID."""
        for option, value in zip(self.argv, self.argv[1:], strict=False):
            if option == "-name" and value.startswith("guest="):
                text = value.removeprefix("guest=").replace(",,", "\0").partition(",")[0]
                return text.replace("\0", ",") or self.folder
        return self.folder


def _names_of(runtime_dir: Path, words: list[str]) -> set[str]:
    """Return the folders below ours that a command line names."""
    start = f"{runtime_dir}/"
    return {word.split(start, 1)[1].split("/", 1)[0].split(",", 1)[0] for word in words if start in word}


def _user_of(pid: int) -> int:
    """Return the real user of a process (proc(5)); -1 when it is gone."""
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    return -1


def emulators(runtime_dir: Path, users: Collection[int]) -> Iterator[Emulator]:
    """Yield all emulators that run for us, probes included.

    Args:
        runtime_dir: the connection's folder, below which theirs are.
        users: whose processes count; others may write into their command line what they like.
    """
    for pid in processes():
        words = read_cmdline(pid)
        if MARK in words and (found := _emulator(runtime_dir, users, pid, words)) is not None:
            yield found


def _emulator(runtime_dir: Path, users: Collection[int], pid: int, words: list[str]) -> Emulator | None:
    names = _names_of(runtime_dir, words)
    own = next((value for option, value in zip(words, words[1:], strict=False) if option == "-uuid"), "")
    name = own if own in names else next((name for name in sorted(names) if is_guest(name) or _is_probe(name)), "")
    stat = read_stat(pid)
    if not name or stat is None or stat.ended or _user_of(pid) not in users:
        return None
    return Emulator(folder=name, pid=pid, start_time=stat.start_time, argv=tuple(words))


def find(runtime_dir: Path, uuid: str, users: Collection[int]) -> Emulator | None:
    """Return the emulator that runs a guest; its lock decides, command lines where there is none.

    Raises:
        LookupError: a process holds the lock, and no emulator of ours is it.
    """
    held = locks.held(runtime_dir, uuid)
    if held is False:
        return None
    for found in emulators(runtime_dir, users):
        if found.folder == uuid or (held and locks.holds(found.pid, runtime_dir, uuid)):
            return found
    if not held:
        return None
    for pid in processes():  # its command line says nothing of us any more
        stat = read_stat(pid)
        if locks.holds(pid, runtime_dir, uuid) and stat is not None and pid != os.getpid():
            return Emulator(folder=uuid, pid=pid, start_time=stat.start_time, argv=tuple(read_cmdline(pid)))
    if locks.held(runtime_dir, uuid):
        raise LookupError(uuid)
    return None


def take_for(runtime_dir: Path, uuid: str, users: Collection[int], survey: Survey | None = None) -> int | None:
    """Take the lock of a guest that is about to start, and return its descriptor; None: it runs already.

    Where there is no lock file the processes are looked at, unless a survey did so before and found no such guest: from
    then on whoever runs was started here, and has a lock.

    Raises:
        OSError: the lock cannot be made.
    """
    surveyed = survey is not None and uuid not in survey.running and survey.folder == locks.folder(runtime_dir)
    if not surveyed and not locks.exists(runtime_dir, uuid) and find(runtime_dir, uuid, users) is not None:
        return None  # no file is made, which would speak for the guest from now on
    return locks.take(runtime_dir, uuid)


def look_around(runtime_dir: Path, users: Collection[int]) -> Survey:
    """Say which guests run; end probes that an earlier node left.

    A lock file that the guest's emulator does not hold was left by an earlier run, and a version without locks
    started the guest since: the file is removed, so that it does not speak for the guest. Called before anything
    is started.
    """
    found: set[str] = set()
    folder = locks.folder(runtime_dir)
    for emulator in emulators(runtime_dir, users):
        if _is_probe(emulator.folder):
            _end(emulator.pid, runtime_dir, emulator.folder)
            continue
        found.add(emulator.folder)
        if locks.held(runtime_dir, emulator.folder) is False:
            locks.forget(runtime_dir, emulator.folder)
    for entry in os.scandir(runtime_dir):
        if _is_probe(entry.name) and entry.is_dir(follow_symlinks=False):
            GuestFolder(Path(entry.path)).remove()
    return Survey(folder=folder, running=frozenset(found))


def end_processes(folder: str, *, helpers_only: bool = False) -> list[int]:
    """Kill what names a guest's folder, emulators and their helpers, and wait a moment for their end."""
    path = Path(folder)
    return [pid for pid in processes() if _end(pid, path.parent, path.name, helpers_only=helpers_only)]


def _serves(pid: int, runtime_dir: Path, name: str, *, helpers_only: bool) -> bool:
    words = read_cmdline(pid)
    helper = bool(words) and os.path.basename(words[0]) in HELPERS
    return (helper or (MARK in words and not helpers_only)) and name in _names_of(runtime_dir, words)


def _end(pid: int, runtime_dir: Path, name: str, *, helpers_only: bool = False) -> bool:
    """Kill one; its command line is read again under the pidfd, so that no other is ever hit."""
    if not _serves(pid, runtime_dir, name, helpers_only=helpers_only):
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _serves(pid, runtime_dir, name, helpers_only=helpers_only):
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


def sweep(runtime_dir: Path, is_ours: Callable[[str], bool], users: Collection[int]) -> list[str]:
    """Remove the folders of guests that nobody knows and that do not run; returns their UUIDs. Ends no guest."""
    folders = [entry.name for entry in os.scandir(runtime_dir) if entry.is_dir(follow_symlinks=False)]
    nobodys = [name for name in folders if is_guest(name) and not is_ours(name)]
    running = {emulator.folder for emulator in emulators(runtime_dir, users)} if nobodys else set()
    removed = []
    for name in nobodys:
        if name in running or locks.held(runtime_dir, name) or is_ours(name):
            continue
        end_processes(str(runtime_dir / name), helpers_only=True)
        clean_up(GuestFolder(runtime_dir / name), name, cgroups=True, search=True)
        removed.append(name)
    remove_empty()
    return removed


def is_guest(name: str) -> bool:
    """Tell whether a folder is a guest's, by its name."""
    return len(name) == UUID_LENGTH and name.count("-") == 4


def _is_probe(name: str) -> bool:
    return name.startswith(PROBE)
