"""What is written down of a guest, to find it again after a restart of the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..contract import Handle
from .host.records import HostRecord
from .ownership import Owner
from .profile import Profile

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRecord:
    """A handle's content. `pid` is 0 before the spawn."""

    folder: str
    incarnation: int
    boot_id: str
    name: str
    emulator: str
    log_offset: int = 0
    owners: tuple[Owner, ...] = ()
    pid: int = 0
    start_time: int = 0
    holds: bool = False
    threads: Mapping[int, int]
    profile: Profile
    host: HostRecord = HostRecord()
    leaving: tuple[Mapping[str, Any], ...] = ()
    """Devices that the guest was asked to let go of and has not yet (hotplug/mending.py)."""

    def to_handle(self) -> Handle:
        """Return plain data for the store."""
        return {
            "version": VERSION,
            "folder": self.folder,
            "incarnation": self.incarnation,
            "boot_id": self.boot_id,
            "name": self.name,
            "emulator": self.emulator,
            "log_offset": self.log_offset,
            "owners": [list(owner) for owner in self.owners],
            "pid": self.pid,
            "start_time": self.start_time,
            "holds": self.holds,
            "threads": [list(pair) for pair in self.threads.items()],
            "profile": self.profile.to_map(),
            "host": self.host.to_map(),
            "leaving": list(self.leaving),
        }

    @classmethod
    def of(cls, handle: Handle, runtime_dir: Path) -> Self | None:
        """Read a handle; None for one that this version did not write, or that names a foreign folder."""
        if handle.get("version") != VERSION or Path(str(handle.get("folder", ""))).parent != runtime_dir:
            return None
        return cls(
            folder=handle["folder"],
            incarnation=handle["incarnation"],
            boot_id=handle["boot_id"],
            name=handle["name"],
            emulator=handle["emulator"],
            log_offset=handle["log_offset"],
            owners=tuple((path, uid, gid) for path, uid, gid in handle["owners"]),
            pid=handle["pid"],
            start_time=handle["start_time"],
            holds=handle["holds"],
            threads=dict(handle["threads"]),
            profile=Profile.from_map(handle["profile"]),
            host=HostRecord.from_map(handle.get("host", {})),
            leaving=tuple(handle.get("leaving", ())),
        )
