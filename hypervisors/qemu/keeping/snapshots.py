"""Internal snapshots: in the qcow2 images of a guest, with its memory while it runs.

Guarantees:
- what has begun goes on when its caller goes away, and what is recorded is what happened;
- one change at a time for each domain, others are refused as busy;
- a running guest's snapshot is taken in all of its images or in none (QEMU's job and its
  transaction do that); of one that does not run, those taken are deleted when one fails.

Everything runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ....config.errors import Busy, OperationInvalid
from ....config.states import State
from ...abilities import SnapshotInfo
from ...contract import DriverEnv, Outcome, Target
from .. import ownership
from ..command import Definitions
from ..endings import Endings
from ..guest import Guest
from ..workshop import Workshop, own_files
from .images import FORMAT, Image, ImageTool, check_all_hold, check_capable, foreign, of_definition
from .live import LiveImages
from .records import Record, Records, tag_of
from .saving import check_free

T = TypeVar("T")


class Intent:
    """Makes durable what is about to be done to the snapshots of a domain; called again when more is known."""

    def __init__(self, env: DriverEnv, uuid: str, action: str, note: Mapping[str, Any]) -> None:
        self.action = action
        self._env = env
        self._uuid = uuid
        self._note = note
        self._owners: Sequence[ownership.Owner] = ()

    async def __call__(self, owners: Sequence[ownership.Owner] | None = None) -> None:
        """Store it, with the owners of images that are about to change hands."""
        self._owners = self._owners if owners is None else owners
        note = {**self._note, "action": self.action, "owners": [list(owner) for owner in self._owners]}
        await self._env.intend(self._uuid, note)


class Snapshotting:
    """Keeps snapshots of one connection's domains."""

    def __init__(
        self, shop: Workshop, endings: Endings, definitions: Definitions,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._shop = shop
        self._endings = endings
        self._definitions = definitions
        self._clock = wall_clock
        self._tool = ImageTool(shop)
        self._changing: set[str] = set()
        self._mine: set[str] = set()
        """Domains that this node has changed: no qemu-img of an earlier one works on their images any more."""

    async def shown(self, target: Target) -> Sequence[SnapshotInfo]:
        """List the domain's snapshots, oldest first."""
        return (await self._load(target)).shown()

    async def forget(self, target: Target) -> None:
        """Forget the records of a domain; its images keep their snapshots."""
        await self._shop.blocking((await self._load(target)).remove, domain=own_files(target.uuid))

    async def create(self, target: Target, name: str, *, description: str, memory: bool) -> SnapshotInfo:
        """Take a snapshot; see the protocol `Snapshots`.

        Raises:
            Conflict: there is one of that name.
            OperationInvalid: a disk cannot hold one.
        """
        return await self._alone(target, self._create(target, name, description, memory))

    async def revert(self, target: Target, name: str) -> None:
        """Go back to a snapshot: a running guest to one with memory, one that does not run to one without.

        Raises:
            NotFound: there is none of that name.
            OperationInvalid: it is of the other kind, or disks or devices have changed.
        """
        await self._alone(target, self._revert(target, name))

    async def delete(self, target: Target, name: str) -> None:
        """Delete a snapshot from all images that hold it.

        Raises:
            NotFound: there is none of that name.
        """
        await self._alone(target, self._delete(target, name))

    async def _alone(self, target: Target, work: Coroutine[Any, Any, T]) -> T:
        if target.uuid in self._changing:
            work.close()
            raise Busy(f"a snapshot of {target.name} is being changed", remedy="wait for that",
                       what="snapshots", limit=1)  # fmt: skip
        self._changing.add(target.uuid)
        task: asyncio.Task[T] = self._shop.keep(target.uuid, work)
        task.add_done_callback(lambda _: self._changing.discard(target.uuid))
        return await asyncio.shield(task)

    async def _load(self, target: Target) -> Records:
        records: Records = await self._shop.blocking(
            Records.load, self._shop.env.state_dir, target.uuid, domain=own_files(target.uuid)
        )
        return records

    def _live(self, target: Target) -> LiveImages | None:
        """Return the images of a running guest, or None where none runs.

        Raises:
            OperationInvalid: it is neither running nor paused.
        """
        guest: Guest | None = self._endings.guests.get(target.uuid)
        if guest is None or not guest.live or guest.process is None or guest.process.exited.is_set():
            return None
        check_free(guest)
        if guest.monitor is None or guest.state[0] not in (State.RUNNING, State.PAUSED):
            raise OperationInvalid(f"{target.name} is {guest.state[0].value}, not running or paused",
                                   remedy="wait, or destroy it", state=guest.state[0].value)  # fmt: skip
        return LiveImages(guest, guest.monitor, self._shop.env.deadlines)

    async def _still(self, target: Target) -> list[Image]:
        """Return the images of a domain that does not run."""
        return of_definition(await self._definitions.parse(await self._shop.env.definition(target.uuid)))

    # ---- create

    async def _create(self, target: Target, name: str, description: str, memory: bool) -> SnapshotInfo:
        records, live = await self._load(target), self._live(target)
        left = records.check_new(target.name, name)
        images = await live.images() if live is not None else await self._still(target)
        check_capable(target.name, images)
        if left is not None:
            await self._erase(target, live, images, left.tag, self._intend(target, "create", name))
        record = Record(
            name=name, tag=tag_of(name), parent=records.current(), created_at=self._clock(), description=description,
            memory=memory and live is not None, pending=True,
        )  # fmt: skip
        if live is not None and record.memory:
            record = replace(record, state=live.guest.state[0].value, devices=await live.devices())
        intend = self._intend(target, "create", name)
        await intend()
        records.all[name] = record
        await self._shop.blocking(records.store, domain=own_files(target.uuid))
        try:
            if live is None:
                await self._create_still(target, images, record.tag, intend)
            else:
                await live.create(record.tag, memory=record.memory)
        except BaseException:
            records.all.pop(name)
            await self._shop.blocking(records.store, domain=own_files(target.uuid))
            raise
        records.mark(name)
        await self._shop.blocking(records.store, domain=own_files(target.uuid))
        return records.all[name].info()

    def _intend(self, target: Target, action: str, name: str) -> Intent:
        """Return who makes a change durable before it begins."""
        guest = self._endings.guests.get(target.uuid)
        state = guest.state[0].value if guest is not None and guest.live else ""
        self._mine.add(target.uuid)
        return Intent(self._shop.env, target.uuid, action, {"kind": "snapshot", "name": name, "state": state})

    async def _create_still(self, target: Target, images: Sequence[Image], tag: str, intend: Intent) -> None:
        async with self._tool.hold(target.uuid, images, intend):
            for image in images:
                if tag in await self._tool.tags(image):
                    raise foreign(image, tag)
            done: list[Image] = []
            try:
                for image in images:
                    await self._tool.snapshot(image, "-c", tag)
                    done.append(image)
            except BaseException:
                for image in done:
                    await self._tool.snapshot(image, "-d", tag)
                raise

    # ---- delete

    async def _delete(self, target: Target, name: str) -> None:
        records, live = await self._load(target), self._live(target)
        record = records.find(target.name, name)
        images = await live.images() if live is not None else await self._still(target)
        intend = self._intend(target, "delete", name)
        await intend()
        await self._erase(target, live, images, record.tag, intend)
        records.drop(name)
        await self._shop.blocking(records.store, domain=own_files(target.uuid))

    async def _erase(
        self, target: Target, live: LiveImages | None, images: Sequence[Image], tag: str, intend: Intent
    ) -> None:
        if live is not None:
            await live.delete(tag)
            return
        mine = [image for image in images if image.format == "qcow2" and image.path]
        async with self._tool.hold(target.uuid, mine, intend):
            for image in mine:
                if tag in await self._tool.tags(image):
                    await self._tool.snapshot(image, "-d", tag)

    # ---- revert

    async def _revert(self, target: Target, name: str) -> None:
        records, live = await self._load(target), self._live(target)
        record = records.find(target.name, name)
        if record.memory and live is None:
            raise OperationInvalid(
                f"snapshot {name} holds the memory of {target.name}, which does not run",
                remedy="start it with its processors stopped (paused), then revert", snapshot=name,
            )  # fmt: skip
        if live is not None and not record.memory:
            raise OperationInvalid(
                f"snapshot {name} holds the disks of {target.name} only, and it runs",
                remedy="shut it down or destroy it, then revert", snapshot=name,
            )  # fmt: skip
        intend = self._intend(target, "revert" if live is not None else "look", name)
        await intend()
        if live is not None:
            await live.revert(record)
        else:
            await self._revert_still(target, record, intend)
        records.mark(name)
        await self._shop.blocking(records.store, domain=own_files(target.uuid))
        if live is not None:
            await live.settled()

    async def _revert_still(self, target: Target, record: Record, intend: Intent) -> None:
        images = await self._still(target)
        check_capable(target.name, images)
        async with self._tool.hold(target.uuid, images, intend):
            held = [replace(image, tags=await self._tool.tags(image)) for image in images]
            check_all_hold(held, target.name, record.name, record.tag)
            intend.action = "revert"
            await intend()
            for image in images:
                await self._tool.snapshot(image, "-a", record.tag)

    # ---- what was broken off

    async def mend(self, target: Target, note: Mapping[str, Any]) -> Outcome:
        """Settle a change that was broken off.

        A snapshot that all images hold is taken, one that was being deleted goes, a guest that went back has gone
        back; everything else is as before.

        Raises:
            As the monitor and qemu-img do.
        """
        live = self._live(target)
        job = await live.conclude() if live is not None else None
        records = await self._load(target)
        images = await live.images() if live is not None else await self._freed(target, note)
        settle = {"create": self._mend_create, "delete": self._mend_delete, "revert": self._mend_revert}
        mend = settle.get(note["action"])
        outcome = await mend(target, note, records, live, images, job) if mend is not None else Outcome(done=False)
        if live is not None:
            await live.settled()
        return outcome

    async def _freed(self, target: Target, note: Mapping[str, Any]) -> Sequence[Image]:
        """Give back images that an earlier node had taken, once nothing of it works on them any more."""
        images = [image for image in await self._still(target) if image.format == FORMAT and image.path]
        if target.uuid not in self._mine:
            await self._tool.free(images)
        await self._tool.give_back(target.uuid, [(path, uid, gid) for path, uid, gid in note["owners"]])
        return images

    async def _mend_create(
        self, target: Target, note: Mapping[str, Any], records: Records, live: LiveImages | None,
        images: Sequence[Image], job: Mapping[str, Any] | None,
    ) -> Outcome:  # fmt: skip
        record = records.all.get(note["name"])
        if record is None or not record.pending:
            return Outcome(done=record is not None)
        intend = self._intend(target, "create", record.name)
        held = images if live is not None else await self._held(target, images, intend)
        whole = bool(held) and all(record.tag in image.tags for image in held)
        if whole and not (job and job.get("error")):
            records.mark(record.name)
        else:
            await self._erase(target, live, images, record.tag, intend)
            records.all.pop(record.name)
        await self._shop.blocking(records.store, domain=own_files(target.uuid))
        if live is not None and note["state"] == State.RUNNING:
            await live.go_on()
        return Outcome(done=record.name in records.all)

    async def _held(self, target: Target, images: Sequence[Image], intend: Intent) -> list[Image]:
        async with self._tool.hold(target.uuid, images, intend):
            return [replace(image, tags=await self._tool.tags(image)) for image in images]

    async def _mend_delete(
        self, target: Target, note: Mapping[str, Any], records: Records, live: LiveImages | None,
        images: Sequence[Image], job: Mapping[str, Any] | None,
    ) -> Outcome:  # fmt: skip
        del job
        record = records.all.get(note["name"])
        if record is not None:
            await self._erase(target, live, images, record.tag, self._intend(target, "delete", record.name))
            records.drop(record.name)
            await self._shop.blocking(records.store, domain=own_files(target.uuid))
        return Outcome(done=True)

    async def _mend_revert(
        self, target: Target, note: Mapping[str, Any], records: Records, live: LiveImages | None,
        images: Sequence[Image], job: Mapping[str, Any] | None,
    ) -> Outcome:  # fmt: skip
        del images
        record = records.find(target.name, note["name"])
        if live is None:
            if record.memory:
                return Outcome(done=False)  # the guest that was to go back has ended
            await self._revert_still(target, record, self._intend(target, "look", record.name))
        elif job is not None and not job.get("error"):
            if record.state == State.RUNNING:
                await live.go_on("resumed" if note["state"] != State.RUNNING else "")
        else:
            if note["state"] == State.RUNNING and job is None:
                await live.go_on()
            failed = f"QEMU could not go back and the guest stays stopped: {job['error']}" if job else ""
            return Outcome(done=record.current, said=failed)
        records.mark(record.name)
        await self._shop.blocking(records.store, domain=own_files(target.uuid))
        return Outcome(done=True)
