"""A guest's memory, saved to a file and taken up again.

`controlvm savestate` writes a file of VirtualBox's choosing into the machine's snapshot folder and keeps it
until the next start. It is copied to where the caller wants it and discarded there, so that a later start is a
fresh one; `adoptstate` hands a file back to the machine (VirtualBox manual, adoptstate and discardstate).
"""

from __future__ import annotations

from abc import ABC

from ...config.errors import InvalidArgument, OperationFailed
from ..contract import Target
from ..tooling.target import refuse_existing
from .manage import Manager

SAVE_S = 900.0
"""Seconds that the memory of a guest may take to be written or copied."""


class Saving(Manager, ABC):
    """Mixed into `VboxDriver`. Connection's loop."""

    async def save(self, target: Target, path: str) -> None:
        """Write the guest's memory to an absolute path and end it."""
        if not path.startswith("/"):
            raise InvalidArgument(f"{path} is no absolute path", remedy="begin it with /", path="params.path")
        watched = self.running(target)
        await refuse_existing(self.host, path, deadline_s=self.env.deadlines.query_s)
        folder = (await self.said(target)).get("SnapFldr", "")
        before = await self._states_in(folder)
        watched.ends_as = "saved"
        try:
            await self.done("controlvm", target.uuid, "savestate", target=target, deadline_s=SAVE_S)
            await self.until(target.uuid, lambda guest: guest is None or not guest.active, self.env.deadlines.change_s)
        except BaseException:
            watched.ends_as = ""
            raise
        fresh = sorted(await self._states_in(folder) - before)
        if len(fresh) != 1:
            raise OperationFailed(
                f"the memory of {target.name} is saved, but its file cannot be told in {folder}",
                remedy="start it in VirtualBox: it goes on from there", found=fresh,
            )  # fmt: skip
        copied = await self.host.run(["cp", "--", f"{folder}/{fresh[0]}", path], deadline_s=SAVE_S)
        copied.check()
        await self.done("discardstate", target.uuid, target=target)

    async def _states_in(self, folder: str) -> set[str]:
        if not folder:
            return set()
        listed = await self.host.run(["ls", "-1", "--", folder], deadline_s=self.env.deadlines.query_s)
        return {name for name in listed.stdout.splitlines() if name.endswith(".sav")} if listed.status == 0 else set()

    async def adopt_state(self, target: Target, path: str) -> None:
        """Hand a file of saved memory to a machine; the next start goes on from there."""
        await self.done("adoptstate", target.uuid, path, target=target, deadline_s=SAVE_S)
