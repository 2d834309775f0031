"""How machines are registered with VirtualBox, changed and removed."""

from __future__ import annotations

from abc import ABC
from contextlib import suppress

from ...config.errors import DomainExists, MechaneError, OperationInvalid
from ...config.states import State
from ..contract import Target
from . import text
from .manage import Manager
from .media import controllers_in
from .write import Plan, plan_of


class Registration(Manager, ABC):
    """Mixed into `VboxDriver`. Connection's loop."""

    async def registered(self, target: Target) -> text.Listed | None:
        """Return a machine as it is listed, or None where VirtualBox does not know it."""
        result = await self.manage("list", "vms", deadline_s=self.env.deadlines.query_s)
        listed = text.machines(text.check(result))
        return next((each for each in listed if each.uuid == target.uuid), None)

    async def define(self, target: Target, xml: str) -> None:
        """Register a machine, or change one that is off.

        Raises:
            ConfigUnsupported: it asks for what VirtualBox cannot do.
            OperationInvalid: the machine runs, or has saved memory.
            DomainExists: another machine has the name.
        """
        plan = await self.env.pure(plan_of, xml, self.major, size=len(xml))
        listed = await self.registered(target)
        if listed is None:
            await self._create(target, plan)
            return
        said = await self.said(target)
        state, _ = text.state_of(said["VMState"])
        if said["VMState"] == "saved" or state not in (State.SHUTOFF, State.CRASHED):
            raise OperationInvalid(
                f"{target.name} cannot be changed while it is {said['VMState']}", remedy="shut it down first"
            )
        await self._strip(target, said)
        await self._apply(target, plan)

    async def _create(self, target: Target, plan: Plan) -> None:
        result = await self.manage("createvm", "--name", plan.name, "--uuid", target.uuid, "--ostype", plan.os_type,
                                   "--register", target=target)  # fmt: skip
        if result.status != 0 and ("already exists" in result.stderr or text.error_of(result) == "VBOX_E_FILE_ERROR"):
            raise DomainExists(f"VirtualBox has a machine {plan.name} already", remedy="choose another name")
        text.check(result, target.name)
        try:
            await self._apply(target, plan)
        except BaseException:
            with suppress(MechaneError):  # the first failure is the one to be told
                await self._strip(target, await self.said(target))
                await self.done("unregistervm", target.uuid, "--delete", target=target)
            raise

    async def _apply(self, target: Target, plan: Plan) -> None:
        uuid = target.uuid
        await self.done("modifyvm", uuid, *plan.options, target=target)
        for each in plan.controllers:
            ports = ["--portcount", str(each.ports)] if each.ports else []
            await self.done("storagectl", uuid, "--name", each.name, "--add", each.add, "--controller", each.chip,
                            *ports, target=target)  # fmt: skip
        for drive in plan.attachments:
            mode = ["--mtype", "immutable"] if drive.readonly else []
            await self.done("storageattach", uuid, "--storagectl", drive.controller, "--port", str(drive.port),
                            "--device", str(drive.device), "--type", drive.kind, "--medium", drive.medium, *mode,
                            target=target)  # fmt: skip
        for name, path, readonly in plan.folders:
            await self.done("sharedfolder", "add", uuid, "--name", name, "--hostpath", path,
                            *(["--readonly"] if readonly else []), target=target)  # fmt: skip

    async def _strip(self, target: Target, said: dict[str, str]) -> None:
        """Take the drives and folders out of a machine, so that removing it removes no disk."""
        for name, _ in controllers_in(said):
            await self.done("storagectl", target.uuid, "--name", name, "--remove", target=target)
        number = 1
        while f"SharedFolderNameMachineMapping{number}" in said:
            folder = said[f"SharedFolderNameMachineMapping{number}"]
            await self.done("sharedfolder", "remove", target.uuid, "--name", folder, target=target)
            number += 1

    async def undefine(self, target: Target) -> None:
        """Remove a machine's registration and its own files, never its disks.

        Raises:
            OperationInvalid: it runs, has snapshots or saved memory: those are a user's data.
        """
        listed = await self.registered(target)
        if listed is None:
            return
        if not listed.accessible:
            await self.done("unregistervm", target.uuid, target=target)
            return
        said = await self.said(target)
        state, _ = text.state_of(said["VMState"])
        if said["VMState"] in ("saved", "aborted-saved"):
            raise OperationInvalid(f"{target.name} has saved memory", remedy="start it, or discard it in VirtualBox")
        if state not in (State.SHUTOFF, State.CRASHED):
            raise OperationInvalid(f"{target.name} is {said['VMState']}", remedy="destroy it first")
        if "CurrentSnapshotName" in said or "SnapshotName" in said:
            raise OperationInvalid(f"{target.name} has snapshots", remedy="delete them first")
        await self._strip(target, said)
        await self.done("unregistervm", target.uuid, "--delete", target=target)

