"""Snapshots of a guest: names from vmrun, what else there is from the .vmsd file beside the .vmx.

A .vmsd is written like a .vmx: `snapshot.current` is a uid, `snapshotN.uid/.parent/.displayName/
.description/.createTimeHigh/.createTimeLow/.type`; the time is in microseconds since 1970 in two 32-bit
halves, type 1 has the guest's memory. VMware does not document the file, so nothing depends on it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...config.errors import InvalidArgument, MechaneError, OperationFailed
from ..abilities import SnapshotInfo
from ..tooling.target import replace_file
from ..vmx.text import MAX_BYTES, VmxText, decode

MOST = 1000


class Notes:
    """What vmrun does not keep of a snapshot: description, state and time, a small file for each guest.

    All methods block on files; one caller at a time for each guest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def described(self, uuid: str, vmx: str, tree: list[tuple[str, str]]) -> list[SnapshotInfo]:
        """Return the snapshots of a guest.

        Args:
            uuid: the guest.
            vmx: path of its .vmx.
            tree: names and parents as vmrun lists them.
        """
        details, notes = _details(Path(vmx).with_suffix(".vmsd")), self._read(uuid)
        found = []
        for name, parent in tree:
            told, noted = details.get(name), notes.get(name, {})
            made = told or SnapshotInfo(name=name)
            memory = told.memory if told is not None else bool(noted.get("memory"))
            found.append(SnapshotInfo(
                name=name, parent=parent, current=made.current, memory=memory,
                state=str(noted.get("state") or ("running" if memory else "shutoff")),
                created_at=made.created_at or float(noted.get("created_at") or 0.0),
                description=str(noted.get("description") or made.description),
            ))  # fmt: skip
        return found

    def put(self, uuid: str, note: SnapshotInfo) -> None:
        """Keep what is known of a snapshot.

        Raises:
            OperationFailed: it cannot be written.
        """
        notes = self._read(uuid)
        notes[note.name] = {
            "description": note.description, "memory": note.memory, "state": note.state, "created_at": note.created_at,
        }  # fmt: skip
        self._write(uuid, notes)

    def drop(self, uuid: str, name: str) -> None:
        """Forget a snapshot."""
        notes = self._read(uuid)
        if notes.pop(name, None) is not None:
            self._write(uuid, notes)

    def forget(self, uuid: str) -> None:
        """Forget all snapshots of a guest."""
        (self._folder / f"{uuid}.json").unlink(missing_ok=True)

    def _read(self, uuid: str) -> dict[str, dict[str, Any]]:
        with suppress(OSError, ValueError, AttributeError):  # none yet, or damaged: they are notes
            kept = json.loads((self._folder / f"{uuid}.json").read_text())
            return {str(name): dict(note) for name, note in kept.items()}
        return {}

    def _write(self, uuid: str, notes: dict[str, dict[str, Any]]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._folder / f"{uuid}.json", json.dumps(notes, ensure_ascii=False).encode())
        except OSError as error:
            raise OperationFailed(f"cannot write below {self._folder}: {error}", remedy="make room") from error


def _details(path: Path) -> dict[str, SnapshotInfo]:
    found: dict[str, SnapshotInfo] = {}
    with suppress(OSError, MechaneError):  # not there, or not as it is known: names are enough
        with path.open("rb") as file:
            vmsd = VmxText.parse(decode(file.read(MAX_BYTES + 1)))
        current = vmsd.string("snapshot.current")
        for number in range(MOST):
            key = f"snapshot{number}"
            name = vmsd.string(f"{key}.displayName")
            if name is None:
                continue
            memory = vmsd.number(f"{key}.type") == 1
            micros = (vmsd.number(f"{key}.createTimeHigh") << 32) + (vmsd.number(f"{key}.createTimeLow") & 0xFFFFFFFF)
            found[name] = SnapshotInfo(
                name=name, current=vmsd.string(f"{key}.uid") == current, memory=memory, created_at=micros / 1e6,
                state="running" if memory else "shutoff", description=vmsd.string(f"{key}.description") or "",
            )  # fmt: skip
    return found


def checked_name(name: str) -> str:
    """Return a snapshot's name that vmrun takes as one: `/` would name a path of snapshots.

    Raises:
        InvalidArgument: it is none.
    """
    if not name or name.startswith("-") or "/" in name or "\t" in name or not name.isprintable():
        raise InvalidArgument(
            f"{name[:60]!r} cannot name a snapshot", path="name", value=name[:60], remedy="choose a plain name"
        )
    return name
