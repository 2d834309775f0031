"""What is written down of a guest, to find it again after a restart of the node.

The rules of config/record.py hold: fields of other versions are kept, missing ones have defaults. A field
that does not fit is taken for missing, because the guest is found by its UUID all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from ...config.record import checked
from ..contract import Handle, Target
from .host.records import HostRecord
from .ownership import Owner
from .profile import Profile

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRecord:
    """A handle's content. `pid` is 0 before the spawn."""

    folder: str
    incarnation: int
    boot_id: str = ""
    name: str = ""
    emulator: str = ""
    log_offset: int = 0
    owners: tuple[Owner, ...] = ()
    pid: int = 0
    start_time: int = 0
    holds: bool = False
    threads: Mapping[int, int] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)
    host: HostRecord = field(default_factory=HostRecord)
    leaving: tuple[Mapping[str, Any], ...] = ()
    """Devices that the guest was asked to let go of and has not yet (hotplug/mending.py)."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Fields that only other versions know."""

    def to_handle(self) -> Handle:
        """Return plain data for the store."""
        return {
            **self.kept,
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
    def of(cls, handle: Handle, target: Target, runtime_dir: Path) -> Self:
        """Read a handle of a guest.

        Args:
            handle: what was stored; {} where nothing is known.
            target: whose it is.
            runtime_dir: where the guests' folders are.

        Raises:
            StoreError: a newer version wrote it.
        """
        values = checked({"version": VERSION, **handle}, VERSION, f"the handle of {target.name}", key="version")
        known = {name: _taken(read, values[name]) for name, read in _READ.items() if name in values}
        folder = known.pop("folder", None) or ""
        parts = Path(folder).parts
        if not folder.startswith("/") or ".." in parts or parts[-1] != target.uuid:
            folder = str(runtime_dir / target.uuid)
        names = {item.name for item in fields(cls)} | {"version"}
        found = {name: value for name, value in known.items() if value is not None}
        kept = {name: value for name, value in values.items() if name not in names}
        return cls(**{"incarnation": target.incarnation, "name": target.name, **found}, folder=folder, kept=kept)


def _taken(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _owners(value: Any) -> tuple[Owner, ...]:
    return tuple((_text(path), _number(uid), _number(gid)) for path, uid, gid in value)


def _threads(value: Any) -> dict[int, int]:
    return {_number(index): _number(thread) for index, thread in value}


def _notes(value: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple({**note, "alias": _text(note["alias"])} for note in value)


_READ: dict[str, Callable[[Any], Any]] = {
    "folder": _text, "incarnation": _number, "boot_id": _text, "name": _text, "emulator": _text,
    "log_offset": _number, "owners": _owners, "pid": _number, "start_time": _number, "holds": bool,
    "threads": _threads, "profile": Profile.from_map, "host": HostRecord.from_map,
    "leaving": _notes,
}  # fmt: skip
