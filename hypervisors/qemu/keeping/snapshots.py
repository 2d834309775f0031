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
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ....config.errors import Busy, OperationInvalid
from ....config.states import State
from ...abilities import SnapshotInfo
from ...contract import Target
from ..command import Definitions
from ..endings import Endings
from ..guest import Guest
from ..workshop import Workshop
from .images import Image, ImageTool, check_all_hold, check_capable, foreign, of_definition
from .live import LiveImages
from .records import Record, Records, tag_of
from .saving import check_free, keep

T = TypeVar("T")


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

    async def shown(self, target: Target) -> Sequence[SnapshotInfo]:
        """List the domain's snapshots, oldest first."""
        return (await self._load(target)).shown()

    async def forget(self, target: Target) -> None:
        """Forget the records of a domain; its images keep their snapshots."""
        await self._shop.blocking((await self._load(target)).remove)

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
        task: asyncio.Task[T] = keep(self._shop, work)
        task.add_done_callback(lambda _: self._changing.discard(target.uuid))
        return await asyncio.shield(task)

    async def _load(self, target: Target) -> Records:
        records: Records = await self._shop.blocking(Records.load, self._shop.env.state_dir, target.uuid)
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
            await self._erase(live, images, left.tag)
        record = Record(
            name=name, tag=tag_of(name), parent=records.current(), created_at=self._clock(), description=description,
            memory=memory and live is not None, pending=True,
        )  # fmt: skip
        if live is not None and record.memory:
            record = replace(record, state=live.guest.state[0].value, devices=await live.devices())
        records.all[name] = record
        await self._shop.blocking(records.store)
        try:
            if live is None:
                await self._create_still(target, images, record.tag)
            else:
                await live.create(record.tag, memory=record.memory)
        except BaseException:
            records.all.pop(name)
            await self._shop.blocking(records.store)
            raise
        records.mark(name)
        await self._shop.blocking(records.store)
        return records.all[name].info()

    async def _create_still(self, target: Target, images: Sequence[Image], tag: str) -> None:
        async with self._tool.hold(images):
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
        await self._erase(live, images, record.tag)
        records.drop(name)
        await self._shop.blocking(records.store)

    async def _erase(self, live: LiveImages | None, images: Sequence[Image], tag: str) -> None:
        if live is not None:
            await live.delete(tag)
            return
        mine = [image for image in images if image.format == "qcow2" and image.path]
        async with self._tool.hold(mine):
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
        if live is not None:
            await live.revert(record)
        else:
            await self._revert_still(target, record)
        records.mark(name)
        await self._shop.blocking(records.store)

    async def _revert_still(self, target: Target, record: Record) -> None:
        images = await self._still(target)
        check_capable(target.name, images)
        async with self._tool.hold(images):
            held = [replace(image, tags=await self._tool.tags(image)) for image in images]
            check_all_hold(held, target.name, record.name, record.tag)
            for image in images:
                await self._tool.snapshot(image, "-a", record.tag)
