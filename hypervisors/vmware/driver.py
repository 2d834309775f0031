"""The drivers of VMware's desktop products: Workstation and Fusion can pause and take snapshots, Player cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...config.errors import NotFound, Unsupported
from ...config.states import State
from ..abilities import SnapshotInfo
from ..contract import Capability, DriverEnv, Itself, Target
from ..tooling.base import Watched
from ..tooling.run import ToolResult
from . import saving, snapshots, vmrun
from .base import VmwareBase
from .library import Machine

NOTES = Itself("our notes of snapshots")
SAVE_S = 900.0
"""Seconds for writing a guest's memory to a disk: 100 GiB at 120 MB/s."""
_ALL = frozenset(
    {Capability.RESET, Capability.STATS, Capability.NATIVE_DEFINITIONS, Capability.DOMAIN_CAPABILITIES}
)  # fmt: skip


class VmwarePlayerDriver(VmwareBase):
    """VMware Player."""

    kind = "vmware"
    schemes = ("vmwareplayer",)
    capabilities = _ALL

    def check_pause(self, target: Target) -> None:
        """Refuse.

        Raises:
            Unsupported: always: vmrun -T player has no pause.
        """
        raise Unsupported(f"VMware Player cannot pause {target.name}", remedy="start it without --paused")


class VmwareDriver(VmwareBase):
    """VMware Workstation and Fusion."""

    kind = "vmware"
    schemes = ("vmwarews", "vmwarefusion")
    capabilities = _ALL | {Capability.SUSPEND, Capability.SNAPSHOTS, Capability.SAVE}

    def __init__(self, env: DriverEnv, **clocks: Any) -> None:
        super().__init__(env, **clocks)
        self._notes = snapshots.Notes(env.state_dir / "snapshots")

    # ---- pausing

    async def suspend(self, target: Target) -> None:
        """Stop the guest's processors; vmrun does not tell afterwards, so it is written down."""
        self.running(target)
        await self.command(target, "pause")
        self.paused.add(target.uuid)
        self.changed(target, State.PAUSED, "user", "suspended", "paused")

    async def resume(self, target: Target) -> None:
        """Let the guest's processors go on."""
        self.running(target)
        await self.command(target, "unpause")
        self.paused.discard(target.uuid)
        self.changed(target, State.RUNNING, "unpaused", "resumed", "unpaused")

    # ---- saving

    async def save(self, target: Target, path: str) -> None:
        """Suspend the guest and move its memory to a file.

        Raises:
            OperationInvalid: it does not run, or the file exists.
            OperationFailed: the memory cannot be written there; it stays beside the .vmx.
        """
        watched = self.running(target)
        await self._files(target.uuid, saving.refuse_existing, path)
        machine = await self._machine(target)
        watched.starting = True  # its end is told when the file is whole, not by a listing that sees it first
        watched.generation += 1
        try:
            await self.command(target, "suspend", "hard", deadline_s=SAVE_S)
            watched.ends_as = "saved"
            await self.env.blocking(saving.pack, machine.real, target.uuid, path, deadline_s=SAVE_S, domain=target.uuid)
        finally:
            watched.starting = False
            self.paused.discard(target.uuid)
            self.kick()
        await self.look()

    async def take_memory(self, machine: Machine, source: str) -> None:
        """Put saved memory beside the .vmx.

        Raises:
            InvalidArgument: the file holds no state of this guest.
        """
        await self.env.blocking(saving.unpack, machine.real, machine.uuid, source, deadline_s=SAVE_S,
                                domain=machine.uuid)  # fmt: skip

    # ---- snapshots

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """List snapshots, parents first."""
        text = await self.command(target, "listSnapshots", "showTree", deadline_s=self.env.deadlines.query_s)
        tree = vmrun.snapshot_tree(ToolResult(argv=("vmrun", "listSnapshots"), status=0, stdout=text, stderr=""))
        machine = await self._machine(target)
        found: Sequence[SnapshotInfo] = await self._files(NOTES, self._notes.described, target.uuid, machine.real, tree)
        return found

    async def create_snapshot(
        self, target: Target, name: str, *, description: str, memory: bool
    ) -> SnapshotInfo:
        """Take a snapshot; of a running guest always with its memory, for vmrun takes no other.

        Raises:
            OperationInvalid: the name is taken.
        """
        snapshots.checked_name(name)
        watched = self.watched.get(target.uuid)
        note = SnapshotInfo(
            name=name, description=description, memory=watched is not None, created_at=self.wall(),
            state=str(watched.state) if watched is not None else "shutoff",
        )  # fmt: skip
        await self.command(target, "snapshot", name, deadline_s=self.env.deadlines.tool_s)
        await self._files(NOTES, self._notes.put, target.uuid, note)
        return await self._snapshot(target, name)

    async def _snapshot(self, target: Target, name: str) -> SnapshotInfo:
        found = next((each for each in await self.list_snapshots(target) if each.name == name), None)
        if found is None:
            raise NotFound(f"{target.name} has no snapshot {name}", remedy="`snapshot-list` shows the names")
        return found

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Go back to a snapshot; a running guest goes on from its memory, or ends where there is none.

        Raises:
            NotFound: no snapshot has that name.
        """
        snapshots.checked_name(name)
        wanted = await self._snapshot(target, name)
        watched = self.watched.get(target.uuid)
        if watched is None:
            await self.command(target, "revertToSnapshot", name, deadline_s=self.env.deadlines.tool_s)
            return
        watched.starting = True  # the product switches the guest off and on: no listing is to see an end in it
        watched.generation += 1
        try:
            await self.command(target, "revertToSnapshot", name, deadline_s=self.env.deadlines.tool_s)
            self.paused.discard(target.uuid)
            if wanted.memory:
                await self._go_on(watched)
            else:
                watched.ends_as = "from_snapshot"
        finally:
            watched.starting = False
        await self.look()

    async def _go_on(self, watched: Watched) -> None:
        """Start a guest from the memory of the snapshot that it was reverted to."""
        target, limit_s = watched.target, self.env.deadlines.start_s
        await self.command(target, "start", "nogui", deadline_s=limit_s)
        guest = await self.until(target.uuid, lambda now: now is not None and now.active, limit_s)
        assert guest is not None
        watched.native_id, watched.pid = guest.native_id, guest.pid  # another process, and no reboot
        self.changed(target, State.RUNNING, "from_snapshot", "resumed", "from_snapshot")

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Delete a snapshot; its children stay."""
        snapshots.checked_name(name)
        await self.command(target, "deleteSnapshot", name, deadline_s=self.env.deadlines.tool_s)
        await self._files(NOTES, self._notes.drop, target.uuid, name)

    async def undefine(self, target: Target) -> None:
        """Remove the .vmx, and our notes of its snapshots."""
        await super().undefine(target)
        await self._files(NOTES, self._notes.forget, target.uuid)
