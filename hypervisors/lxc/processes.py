"""Which containers run, from the kernel alone: no tool that hangs can hide them.

A running container has a monitor process (`[lxc monitor] PATH NAME`) that listens at the
abstract Unix socket PATH/NAME/command, and whose child is the container's first process.
Names of sockets: LXC 5.0.2, commands_utils.c (read there, and seen here).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SOCKETS = Path("/proc/net/unix")
LONGEST_NAME = 106
"""Bytes of a socket's name beyond which LXC uses a hash of it (sockaddr_un has 108)."""
FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Process:
    """A process that no other can be taken for: its number and when it started (clock ticks since boot)."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return a living process; None where there is none, or only its remains."""
        with suppress(OSError, ValueError, IndexError):  # it ended while we looked
            text = Path(f"/proc/{pid}/stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            if fields[0] not in ("Z", "X"):
                return cls(pid, int(fields[19]))
        return None

    def alive(self) -> bool:
        """Tell whether it still lives."""
        return Process.of(self.pid) == self


@dataclass(frozen=True, slots=True)
class Sight:
    """A container that runs: its monitor and its first process, as far as they could be found."""

    monitor: Process | None
    init: Process | None


def socket_names(path: str, name: str) -> tuple[str, str]:
    """Return both names that a container's command socket may have: plain, and hashed where that is too long."""
    hashed = FNV_OFFSET
    for byte in os.fsencode(f"{path}/{name}"):
        hashed = ((hashed ^ byte) * FNV_PRIME) & MASK
    return f"@{path}/{name}/command", f"@lxc/{hashed:016x}/command"


def listening() -> dict[str, int]:
    """Return the abstract sockets that LXC's monitors listen at -> their inode."""
    found: dict[str, int] = {}
    for line in SOCKETS.read_text(errors="surrogateescape").splitlines()[1:]:
        words = line.split(None, 7)
        if len(words) == 8 and words[7].startswith("@") and words[7].rstrip("@").endswith("/command"):
            found[words[7].rstrip("@")] = int(words[6])
    return found


def below(path: str, sockets: Iterable[str]) -> list[str]:
    """Return the names of containers of a folder that run, defined or not, by their sockets' plain names."""
    start, end = f"@{path}/", "/command"
    names = (socket[len(start) : -len(end)] for socket in sockets if socket.startswith(start))
    return [name for name in names if name and "/" not in name]


def is_roots(process: Process) -> bool:
    """Tell whether a process is root's: any user may listen at a name of LXC's."""
    try:
        return Path(f"/proc/{process.pid}").stat().st_uid == 0
    except OSError:  # it ended while we looked
        return False


def find(wanted: Iterable[tuple[str, str]], sockets: dict[str, int]) -> dict[tuple[str, str], Sight]:
    """Return those of the containers (path, name) that run, with their processes."""
    inodes: dict[tuple[str, str], int] = {}
    for path, name in wanted:
        for socket in socket_names(path, name):
            if socket in sockets:
                inodes[path, name] = sockets[socket]
    if not inodes:
        return {}
    monitors = _monitors(inodes)
    return {key: sight(monitors.get(key)) for key in inodes}


def sight(pid: int | None) -> Sight:
    """Return a container's processes from its monitor's number."""
    monitor = Process.of(pid) if pid is not None else None
    return Sight(monitor, first_process(monitor) if monitor is not None else None)


def first_process(monitor: Process) -> Process | None:
    """Return the container's first process: that of the monitor's children which is number 1 of its own namespace.

    Others in the container's control group may be LXC's helpers, which come and go.
    """
    return _number_one(_children(monitor.pid)) or _number_one(_all_children(monitor.pid))


def _number_one(pids: Iterable[int]) -> Process | None:
    for pid in pids:
        if _numbers(pid)[1:] == ["1"]:
            return Process.of(pid)
    return None


def _numbers(pid: int) -> list[str]:
    """Return a process's numbers in its namespaces, ours first (NSpid in proc(5)), from the monitor's on."""
    with suppress(OSError):  # it ended while we looked
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:]
    return []


def _children(pid: int) -> list[int]:
    """Return a process's children: fast, but some may be missing while others end (proc(5))."""
    found: list[int] = []
    with suppress(OSError):  # it ended while we looked
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _all_children(parent: int) -> list[int]:
    """Return a process's children: slow, and none is missing."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it ended while we looked
                text = (entry / "stat").read_text()
                if int(text[text.rindex(")") + 2 :].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def _monitors(inodes: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return the monitors of containers: by their title, else by who holds the socket (lxc-start -F)."""
    titles = {f"[lxc monitor] {path} {name}": (path, name) for path, name in inodes}
    found: dict[tuple[str, str], int] = {}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    for pid in pids:
        with suppress(OSError):  # it ended while we looked
            key = titles.get(_title(Path(f"/proc/{pid}/cmdline").read_bytes()))
            if key is not None:
                found[key] = pid
    rest = {f"socket:[{inode}]": key for key, inode in inodes.items() if key not in found}
    for pid in pids if rest else ():
        for link in _links(pid):
            if link in rest:
                found.setdefault(rest[link], pid)
    return found


def _title(cmdline: bytes) -> str:
    return cmdline.replace(b"\0", b" ").decode(errors="surrogateescape").strip()


def _links(pid: int) -> Iterator[str]:
    with suppress(OSError):  # it ended, or is not ours to look at
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed just now
                yield str(entry.readlink())
