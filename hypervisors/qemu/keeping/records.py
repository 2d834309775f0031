"""What is kept of a domain's snapshots beside the images: one JSON file a domain, in the connection's state folder.

QEMU's images know names and times only; parents, the current one, states and descriptions
are kept here. A record is written before its snapshot is taken (`pending`), so one that a
crash of the node left half-made is found and removed by the next with its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ....config.errors import Conflict, NotFound, OperationFailed, StoreError
from ....config.record import checked, known, mapped
from ...abilities import SnapshotInfo

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One snapshot. `devices`: the guest's devices when its memory was kept."""

    name: str
    tag: str
    """Its name in the images."""
    parent: str = ""
    current: bool = False
    state: str = "shutoff"
    created_at: float = 0.0
    description: str = ""
    memory: bool = False
    pending: bool = False
    devices: tuple[str, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Fields that only other versions know."""

    def info(self) -> SnapshotInfo:
        """Return what the call shows."""
        return SnapshotInfo(
            name=self.name, parent=self.parent, current=self.current, state=self.state, created_at=self.created_at,
            description=self.description, memory=self.memory,
        )  # fmt: skip


def tag_of(name: str) -> str:
    """Return the name in the images; QEMU would take one of digits only for a number (block/qcow2-snapshot.c)."""
    return f"mechane-{name}" if name.isdigit() else name


def _record(item: Mapping[str, Any]) -> Record:
    return Record(**{**known(Record, item), "devices": tuple(item.get("devices", ()))})


class Records:
    """The snapshots of one domain, oldest first. `load` and `store` block and belong on the pool."""

    def __init__(self, path: Path, found: Iterable[Record] = (), kept: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._kept = dict(kept or {})
        self.all: dict[str, Record] = {record.name: record for record in found}

    @classmethod
    def load(cls, state_dir: Path, uuid: str) -> Records:
        """Read a domain's records; none where there is no file.

        Raises:
            OperationFailed: the file cannot be read, or a newer version wrote it; it is left alone then.
        """
        path = state_dir / "snapshots" / f"{uuid}.json"
        try:
            kept = checked(json.loads(path.read_text()), VERSION, str(path), key="version")
            found = [_record(item) for item in kept.pop("snapshots")]
            return cls(path, found, kept)
        except FileNotFoundError:
            return cls(path)
        except StoreError as error:
            raise OperationFailed(error.message, remedy=error.remedy, path=str(path)) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise OperationFailed(
                f"{path}, which lists the snapshots, cannot be read: {error}",
                remedy="restore it from a backup, or move it away: the images keep their snapshots", path=str(path),
            ) from error  # fmt: skip

    def store(self) -> None:
        """Write the records: whole or not at all, and durable.

        Raises:
            OperationFailed: the file system refuses it.
        """
        snapshots = [mapped(record) for record in self.all.values()]
        text = json.dumps({**self._kept, "version": VERSION, "snapshots": snapshots})
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with fresh.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise OperationFailed(f"{self._path} cannot be written: {error.strerror}",
                                  remedy="look at the node's state folder") from error  # fmt: skip

    def remove(self) -> None:
        """Remove the file."""
        with suppress(FileNotFoundError):
            self._path.unlink()

    # ---- in memory

    def shown(self) -> list[SnapshotInfo]:
        """Return those that were finished."""
        return [record.info() for record in self.all.values() if not record.pending]

    def find(self, domain: str, name: str) -> Record:
        """Return one.

        Raises:
            NotFound: there is none of that name.
        """
        record = self.all.get(name)
        if record is None or record.pending:
            raise NotFound(f"{domain} has no snapshot {name}", remedy="domain.snapshot_list shows them", snapshot=name)
        return record

    def check_new(self, domain: str, name: str) -> Record | None:
        """Return what an interrupted attempt left under that name, if anything.

        Raises:
            Conflict: there is a finished one.
        """
        record = self.all.get(name)
        if record is not None and not record.pending:
            raise Conflict(f"{domain} has a snapshot {name} already", remedy="use another name", snapshot=name)
        return record

    def current(self) -> str:
        """Return the name of the snapshot that the disks come from, or ''."""
        return next((record.name for record in self.all.values() if record.current), "")

    def mark(self, name: str) -> None:
        """Make one the current one, finished."""
        for each in list(self.all.values()):
            mine = each.name == name
            self.all[each.name] = replace(each, current=mine, pending=each.pending and not mine)

    def drop(self, name: str) -> None:
        """Take one out; its children hang from its parent, which is current where it was."""
        gone = self.all.pop(name)
        for each in list(self.all.values()):
            self.all[each.name] = replace(
                each, parent=gone.parent if each.parent == name else each.parent,
                current=each.current or (gone.current and each.name == gone.parent),
            )  # fmt: skip
