"""Runs VBoxManage for the driver: as the machines' owner, patient with session locks, errors by their codes."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import Mapping

from ..contract import Target
from ..tooling.base import ToolDriver
from ..tooling.run import ToolResult
from . import text

LOCKED_STEP_S = 0.1
"""Pause before a machine that another session holds is tried again; grows to LOCKED_LONG_S."""
LOCKED_LONG_S = 1.0


class Manager(ToolDriver, ABC):
    """The lower half of `VboxDriver`. Connection's loop."""

    major = 7

    async def manage(
        self, *words: str, target: Target | None = None, deadline_s: float | None = None, patient: bool = False
    ) -> ToolResult:
        """Run VBoxManage; its exit code is for the caller to look at.

        Args:
            words: command and options.
            target: whose command it is.
            deadline_s: seconds it may take; deadlines.change_s where not given.
            patient: try again, within the deadline, while another session holds the machine.

        Raises:
            DeadlineExceeded: it hung.
            OperationFailed: it cannot be run.
        """
        limit_s = self.env.deadlines.change_s if deadline_s is None else deadline_s
        end, step_s = self.clock() + limit_s, LOCKED_STEP_S
        while True:
            result = await self.tool(
                [str(self.env.settings.get("vboxmanage", "VBoxManage")), *words], target=target,
                verb=f"VBoxManage {words[0]}", deadline_s=max(end - self.clock(), 0.01), env_extra=self._variables(),
            )  # fmt: skip
            if not (patient and text.is_locked(result)) or self.clock() + step_s >= end:
                return result
            await asyncio.sleep(step_s)
            step_s = min(step_s * 2, LOCKED_LONG_S)

    def _variables(self) -> Mapping[str, str]:
        """Return where VBoxSVC keeps the owner's machines, where the settings say so."""
        home = str(self.env.settings.get("user_home", ""))
        return {"VBOX_USER_HOME": home} if home else {}

    async def done(self, *words: str, target: Target, deadline_s: float | None = None) -> ToolResult:
        """Run VBoxManage for a machine; raise what its error code means.

        Raises:
            MechaneError: it failed.
        """
        result = await self.manage(*words, target=target, deadline_s=deadline_s, patient=True)
        return text.check(result, target.name)

    async def said(self, target: Target, *, deadline_s: float | None = None) -> dict[str, str]:
        """Return all that VirtualBox says of a machine.

        Raises:
            NotFound: it has none such.
        """
        limit_s = self.env.deadlines.query_s if deadline_s is None else deadline_s
        words = ("showvminfo", target.uuid, "--machinereadable")
        return text.settings(text.check(await self.manage(*words, target=target, deadline_s=limit_s), target.name))
