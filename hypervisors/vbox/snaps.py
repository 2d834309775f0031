"""Snapshots of machines. VirtualBox always keeps the memory of one that runs."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from ...config.errors import ConfigUnsupported, InvalidArgument, NotFound, OperationInvalid
from ...config.states import State
from ..abilities import SnapshotInfo
from ..contract import Target
from . import text
from .manage import Manager

SNAPSHOT_S = 900.0
"""Seconds that the disks (and the memory) of a snapshot may take."""


class Snaps(Manager, ABC):
    """Mixed into `VboxDriver`. Connection's loop."""

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """Return a machine's snapshots, parents first; the list tells neither time nor state."""
        return [_info(snap) for snap in await self._snaps(target)]

    async def _snaps(self, target: Target) -> list[text.Snap]:
        words = ("snapshot", target.uuid, "list", "--machinereadable")
        return text.snapshots(await self.manage(*words, target=target, deadline_s=self.env.deadlines.query_s))

    async def _snap(self, target: Target, name: str) -> text.Snap:
        found = [snap for snap in await self._snaps(target) if snap.name == name]
        if not found:
            raise NotFound(f"{target.name} has no snapshot {name}", remedy="list its snapshots")
        if len(found) > 1:
            raise OperationInvalid(f"{target.name} has {len(found)} snapshots {name}", remedy="rename them")
        return found[0]

    async def create_snapshot(self, target: Target, name: str, *, description: str, memory: bool) -> SnapshotInfo:
        """Take a snapshot; of a guest that runs, its memory is part of it."""
        if name.startswith("-") or set(name) & set('"\\\n') or not name:
            raise InvalidArgument(f"{name!r} is no name for a snapshot", remedy="use letters", path="params.name")
        if any(snap.name == name for snap in await self._snaps(target)):
            raise OperationInvalid(f"{target.name} has a snapshot {name} already", remedy="choose another name")
        runs = target.uuid in self.watched
        if runs != memory:
            what = "VirtualBox always keeps" if runs else "there is no"
            raise ConfigUnsupported(f"{what} memory of {target.name} now", path="params.memory",
                                    remedy=f"ask with memory={str(runs).lower()}")  # fmt: skip
        words = ["--live"] if runs else []
        await self.done("snapshot", target.uuid, "take", name, "--description", description, *words, target=target,
                        deadline_s=SNAPSHOT_S)  # fmt: skip
        state = self.watched[target.uuid].state if target.uuid in self.watched else State.SHUTOFF
        snap = _info(await self._snap(target, name))
        return SnapshotInfo(name=name, parent=snap.parent, current=snap.current, state=state.value,
                            created_at=self.wall(), description=description, memory=memory)  # fmt: skip

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Put a machine back; it must be off. With memory in the snapshot, the next start goes on from there."""
        if target.uuid in self.watched:
            raise OperationInvalid(f"{target.name} runs", remedy="destroy it first: VirtualBox reverts what is off")
        snap = await self._snap(target, name)
        await self.done("snapshot", target.uuid, "restore", snap.uuid, target=target, deadline_s=SNAPSHOT_S)

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Remove a snapshot; what it holds becomes part of what came after it."""
        snap = await self._snap(target, name)
        await self.done("snapshot", target.uuid, "delete", snap.uuid, target=target, deadline_s=SNAPSHOT_S)


def _info(snap: text.Snap) -> SnapshotInfo:
    return SnapshotInfo(name=snap.name, parent=snap.parent, current=snap.current, description=snap.description,
                        state="nostate")  # fmt: skip
