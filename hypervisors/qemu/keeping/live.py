"""Snapshots of a guest that runs, through its monitor. Loop's thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ....config.errors import OperationInvalid
from ....config.states import State
from ...contract import Deadlines
from ..guest import Guest
from ..qmp import CommandKind, Monitor
from .images import Image, check_all_hold, check_capable, foreign, of_running
from .jobs import conclude, dismiss, run_job
from .records import Record
from .saving import STOPPED, tell

JOB = "mechane-snapshot"


class LiveImages:
    """The images of one running guest, for one change."""

    def __init__(self, guest: Guest, monitor: Monitor, deadlines: Deadlines) -> None:
        self.guest = guest
        self._monitor = monitor
        self._deadlines = deadlines
        self._found: Sequence[Image] = ()

    async def images(self) -> Sequence[Image]:
        """Return what the guest may write."""
        reply = await self._monitor.execute(
            "query-block", kind=CommandKind.QUERY, deadline_s=self._deadlines.query_s
        )
        self._found = of_running(reply)
        return self._found

    async def devices(self) -> tuple[str, ...]:
        """Return the names of the guest's devices, by which its memory is tied to them."""
        reply = await self._monitor.execute(
            "qom-list", {"path": "/machine/peripheral"}, kind=CommandKind.QUERY, deadline_s=self._deadlines.query_s
        )
        return tuple(sorted(str(item["name"]) for item in reply if str(item["type"]).startswith("child<")))

    async def create(self, tag: str, *, memory: bool) -> None:
        """Take a snapshot in all images, the memory in the first.

        Raises:
            OperationInvalid: one has it already.
            OperationFailed: QEMU could not.
        """
        for image in self._found:
            if tag in image.tags:
                raise foreign(image, tag)
        if memory:
            with self._quietly():
                await self._job("snapshot-save", {"tag": tag, **self._nodes(vmstate=True)})
            return
        actions = [
            {"type": "blockdev-snapshot-internal-sync", "data": {"device": image.node, "name": tag}}
            for image in self._found
        ]
        await self._change("transaction", {"actions": actions})

    async def delete(self, tag: str) -> None:
        """Delete a snapshot from the images that hold it."""
        images = await self.images()
        mine = [image.node for image in images if tag in image.tags]
        if mine:
            await self._job("snapshot-delete", {"tag": tag, "devices": mine})

    async def revert(self, record: Record) -> None:
        """Go back to a snapshot with memory; the guest's state is then as it was.

        Raises:
            OperationInvalid: disks or devices are others than those it was taken of.
            OperationFailed: QEMU could not; the guest is left stopped.
        """
        guest = self.guest
        images = await self.images()
        check_capable(guest.target.name, images)
        check_all_hold(images, guest.target.name, record.name, record.tag)
        changed = set(await self.devices()) ^ set(record.devices)
        if changed:
            raise OperationInvalid(
                f"{guest.target.name} has other devices than when snapshot {record.name} was taken: "
                + ", ".join(sorted(changed)),
                remedy="attach or detach those devices first", devices=sorted(changed),
            )  # fmt: skip
        before = guest.state[0]
        with self._quietly():
            if before is State.RUNNING:
                await self._change("stop", {})
                tell(guest, State.PAUSED, "from_snapshot")
            # it stays until `settled`: should the node end, it is what says that the guest went back
            await self._job("snapshot-load", {"tag": record.tag, **self._nodes(vmstate=True)}, keep=True)
            if record.state == State.RUNNING:
                await self._change("cont", {})
        self._tell(before, State(record.state))

    async def settled(self) -> None:
        """Take the job of a revert away, once that is recorded."""
        await dismiss(self._monitor, JOB, change_s=self._deadlines.change_s)

    async def conclude(self) -> Mapping[str, Any] | None:
        """Wait for the job of a change that was broken off; what QEMU says of it, or None where there is none."""
        return await conclude(self.guest, self._monitor, JOB, change_s=self._deadlines.change_s, keep=True)

    async def go_on(self, event: str = "") -> None:
        """Let a guest run that was stopped for a snapshot."""
        now = await self._monitor.execute(
            "query-status", kind=CommandKind.QUERY, deadline_s=self._deadlines.query_s
        )
        if now["status"] in STOPPED:
            await self._change("cont", {})
            tell(self.guest, State.RUNNING, "from_snapshot", event, "from_snapshot" if event else "")

    def _tell(self, before: State, now: State) -> None:
        event = "" if before is now else "resumed" if now is State.RUNNING else "suspended"
        tell(self.guest, now, "from_snapshot", event, "from_snapshot" if event else "")

    def _nodes(self, *, vmstate: bool) -> dict[str, Any]:
        nodes = [image.node for image in self._found]
        return {"vmstate": nodes[0], "devices": nodes} if vmstate else {"devices": nodes}

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Keep QEMU's stops and resumes to ourselves while the block runs."""
        self.guest.keeping = True
        try:
            yield
        finally:
            self.guest.keeping = False

    async def _change(self, command: str, arguments: dict[str, Any]) -> None:
        await self._monitor.execute(command, arguments, kind=CommandKind.CHANGE, deadline_s=self._deadlines.change_s)

    async def _job(self, command: str, arguments: dict[str, Any], *, keep: bool = False) -> None:
        await run_job(
            self.guest, self._monitor, command, arguments, job=JOB, change_s=self._deadlines.change_s, keep=keep
        )
