"""The drivers of VMware's desktop products: Workstation and Fusion can pause and take snapshots, Player cannot."""

from __future__ import annotations

from collections.abc import Sequence

from ...config.errors import Unsupported
from ...config.states import State
from ..abilities import SnapshotInfo
from ..contract import Capability, Target
from ..tooling.run import ToolResult
from . import snapshots, vmrun
from .base import VmwareBase

_ALL = frozenset({Capability.RESET, Capability.STATS, Capability.NATIVE_DEFINITIONS})


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
    capabilities = _ALL | {Capability.SUSPEND, Capability.SNAPSHOTS}

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

    # ---- snapshots

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """List snapshots, parents first."""
        text = await self.command(target, "listSnapshots", "showTree", deadline_s=self.env.deadlines.query_s)
        tree = vmrun.snapshot_tree(ToolResult(argv=("vmrun", "listSnapshots"), status=0, stdout=text, stderr=""))
        machine = await self._machine(target)
        found: Sequence[SnapshotInfo] = await self._files(snapshots.described, machine.real, tree)
        return found

    async def create_snapshot(
        self, target: Target, name: str, *, description: str, memory: bool
    ) -> SnapshotInfo:
        """Take a snapshot; of a running guest always with its memory, for the product knows no other.

        Raises:
            Unsupported: a description is given: vmrun takes none.
        """
        snapshots.checked_name(name)
        if description:
            raise Unsupported("vmrun takes no description of a snapshot", remedy="leave the description out")
        await self.command(target, "snapshot", name, deadline_s=self.env.deadlines.tool_s)
        return await self._snapshot(target, name)

    async def _snapshot(self, target: Target, name: str) -> SnapshotInfo:
        made = [each for each in await self.list_snapshots(target) if each.name == name]
        return made[-1] if made else SnapshotInfo(name=name)

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Go back to a snapshot; a running guest ends by it, and may be started from there."""
        snapshots.checked_name(name)
        watched = self.watched.get(target.uuid)
        if watched is not None:
            watched.ends_as = "from_snapshot"
        try:
            await self.command(target, "revertToSnapshot", name, deadline_s=self.env.deadlines.tool_s)
        except BaseException:
            if watched is not None:
                watched.ends_as = ""
            raise
        self.paused.discard(target.uuid)
        await self.look()
        if watched is not None and not watched.gone:
            watched.ends_as = ""

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Delete a snapshot; its children stay."""
        snapshots.checked_name(name)
        await self.command(target, "deleteSnapshot", name, deadline_s=self.env.deadlines.tool_s)
