"""Saving, snapshots and device changes of guests in memory, as a hypervisor that has them all would do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import Conflict, NotFound, OperationFailed
from ...config.states import State
from ..abilities import SnapshotInfo
from ..contract import Target
from .guest import Guest

if TYPE_CHECKING:
    from ..contract import DriverEnv

SAVED_BYTES = 1024 * 1024


def write_saved(guest: Guest, path: str) -> None:
    """Write a guest to a new file.

    Raises:
        OperationFailed: the file exists or cannot be written.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror}", remedy="name a new file") from error
    with os.fdopen(fd, "w") as file:
        json.dump({"format": "mechane-test 1", **guest.freeze()}, file)


def read_saved(path: str, target: Target) -> dict[str, Any]:
    """Return what `write_saved` wrote of this domain.

    Raises:
        OperationFailed: it is no saved guest of this domain.
    """
    try:
        if Path(path).stat().st_size > SAVED_BYTES:
            raise ValueError("too large")
        kept: dict[str, Any] = json.loads(Path(path).read_text())
        mine = kept["format"] == "mechane-test 1" and kept["uuid"] == target.uuid
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperationFailed(f"{path} holds no saved guest: {error}", remedy="name a file of domain.save") from error
    if not mine:
        raise OperationFailed(f"{path} was saved of another domain", remedy="restore that one", path=path)
    return kept


class Keeping:
    """Mixed into the driver: capabilities save, snapshots, hotplug. Connection's loop."""

    env: DriverEnv
    _guests: dict[str, Guest]
    _snapshots: dict[str, dict[str, SnapshotInfo]]
    _running: Callable[[Target], Guest]
    _meet: Callable[..., Any]
    _around: Any

    async def save(self, target: Target, path: str) -> None:
        """Write the guest to a file and end it."""
        guest = self._running(target)
        await self._meet("save", self.env.deadlines.change_s, guest.switches, guest)
        write_saved(guest, path)
        guest.exit("saved")

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """List the domain's snapshots, oldest first."""
        await self._meet("list_snapshots", self.env.deadlines.query_s)
        return tuple(self._snapshots.get(target.uuid, {}).values())

    async def create_snapshot(
        self, target: Target, name: str, *, description: str, memory: bool
    ) -> SnapshotInfo:
        """Take a snapshot of the domain as it is.

        Raises:
            Conflict: it has one of that name.
        """
        await self._meet("create_snapshot", self.env.deadlines.change_s)
        kept = self._snapshots.setdefault(target.uuid, {})
        if name in kept:
            raise Conflict(f"{target.name} has a snapshot {name} already", remedy="use another name")
        guest = self._guests.get(target.uuid)
        parent = next((info.name for info in kept.values() if info.current), "")
        made = SnapshotInfo(
            name=name, parent=parent, current=True, state=(guest.state if guest else State.SHUTOFF).value,
            created_at=self._around.wall(), description=description, memory=memory and guest is not None,
        )  # fmt: skip
        self._mark(kept, made)
        return made

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Go back to a snapshot: a running guest takes its state, one that does not run stays off."""
        await self._meet("revert_snapshot", self.env.deadlines.change_s)
        kept, found = self._find(target, name)
        self._mark(kept, found)
        guest = self._guests.get(target.uuid)
        if guest is not None and found.memory:
            guest.change(State(found.state), "from_snapshot")

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Delete a snapshot; its children hang from its parent."""
        await self._meet("delete_snapshot", self.env.deadlines.change_s)
        kept, found = self._find(target, name)
        del kept[name]
        for other in list(kept.values()):
            parent = found.parent if other.parent == name else other.parent
            current = other.current or (found.current and other.name == found.parent)
            kept[other.name] = _again(other, parent=parent, current=current)

    def _find(self, target: Target, name: str) -> tuple[dict[str, SnapshotInfo], SnapshotInfo]:
        kept = self._snapshots.get(target.uuid, {})
        found = kept.get(name)
        if found is None:
            raise NotFound(f"{target.name} has no snapshot {name}", remedy="domain.snapshot_list shows them")
        return kept, found

    @staticmethod
    def _mark(kept: dict[str, SnapshotInfo], current: SnapshotInfo) -> None:
        for other in list(kept.values()):
            kept[other.name] = _again(other, parent=other.parent, current=False)
        kept[current.name] = _again(current, parent=current.parent, current=True)

    async def attach_device(self, target: Target, xml: str, device: str) -> str:
        """Add a device to the running guest."""
        from ...config.domain import attach_device

        return await self._edit(target, attach_device, xml, device, "added")

    async def detach_device(self, target: Target, xml: str, device: str) -> str:
        """Remove a device from the running guest."""
        from ...config.domain import detach_device

        return await self._edit(target, detach_device, xml, device, "removed")

    async def update_device(self, target: Target, xml: str, device: str) -> str:
        """Change a device of the running guest."""
        from ...config.domain import update_device

        return await self._edit(target, update_device, xml, device, "")

    async def set_memory(self, target: Target, xml: str, kib: int) -> str:
        """Have the guest use so much memory; it follows at once."""
        from ...config.domain import set_memory

        changed = set_memory(xml, kib).decode()
        guest = self._running(target)
        await self._meet("set_memory", self.env.deadlines.change_s, guest.switches, guest)
        guest.balloon_kib = kib
        guest.changed()
        return changed

    async def _edit(
        self, target: Target, edit: Callable[[str, str], bytes], xml: str, device: str, event: str
    ) -> str:
        guest = self._running(target)
        changed = edit(xml, device).decode()
        await self._meet("hotplug", self.env.deadlines.change_s, guest.switches, guest)
        if event:
            guest.event("device", event, device.strip()[1:40].split()[0].rstrip("/>"))
        return changed


def _again(info: SnapshotInfo, *, parent: str, current: bool) -> SnapshotInfo:
    return SnapshotInfo(
        name=info.name, parent=parent, current=current, state=info.state, created_at=info.created_at,
        description=info.description, memory=info.memory,
    )  # fmt: skip
