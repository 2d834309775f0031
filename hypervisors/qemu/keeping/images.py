"""The images of a domain that a snapshot is about, as QEMU shows them and as qemu-img does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....config.errors import DeadlineExceeded, OperationFailed, OperationInvalid, ToolFailed
from ...contract import Itself
from .. import ownership
from ..argv.options import escape
from ..cleanup import give_back
from ..workshop import Workshop

if TYPE_CHECKING:
    from ....config.domain.domain import Domain

TOOL = "qemu-img"
FORMAT = "qcow2"
FREE_S = 8.0
ORPHAN_S = 120.0
"""Seconds after the node's start for which an image in use may be in the hands of an earlier node's qemu-img."""
LOOK_S = 0.1
LOCKED = ('Failed to get "write" lock', "Failed to get shared", "Is another process using the image")
"""What qemu-img 7.2 says of an image that another process has open."""
DRIVERS = {"file": "file", "block": "host_device"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The topmost image of one disk that the guest may write."""

    disk: str
    """What the disk is called: its target, or its alias at the monitor."""
    path: str
    format: str
    node: str = ""
    """Name of its node at the monitor, where the guest runs."""
    tags: frozenset[str] = frozenset()
    """Snapshots that it holds."""
    kind: str = "file"


def of_running(blocks: Sequence[Mapping[str, Any]]) -> list[Image]:
    """Read the reply to query-block: all that the guest may write. Pure."""
    found = []
    for block in blocks:
        inserted = block.get("inserted")
        if not inserted or inserted["ro"]:
            continue
        words = [word for word in str(block.get("qdev", "")).split("/") if word and word != "virtio-backend"]
        found.append(
            Image(
                disk=words[-1] if words else str(block.get("device", "")), path=inserted["file"],
                format=inserted["drv"], node=inserted.get("node-name", ""),
                tags=frozenset(str(item["name"]) for item in inserted["image"].get("snapshots", ())),
            )
        )  # fmt: skip
    return found


def of_definition(domain: Domain) -> list[Image]:
    """Return the images that a guest of this definition may write; their snapshots are not known. Pure."""
    found = [
        Image(
            disk=disk.target.dev or "", path=disk.source.file or disk.source.dev or "",
            format=disk.driver.type or "raw", kind=disk.type,
        )
        for disk in domain.devices.disks
        if not disk.readonly and disk.device in ("disk", "lun")
    ]  # fmt: skip
    if domain.os.nvram is not None or (domain.os.loader is not None and domain.os.loader.type == "pflash"):
        found.append(Image(disk="the UEFI variables", path="", format="raw"))
    return found


def check_capable(domain: str, images: Sequence[Image]) -> None:
    """Demand that every writable disk can hold a snapshot.

    Raises:
        OperationInvalid: one cannot, or there is none.
    """
    if not images:
        raise OperationInvalid(f"{domain} has no disk that could hold a snapshot", remedy="give it a qcow2 disk")
    for image in images:
        if image.format != FORMAT or image.kind not in DRIVERS:
            what = f"{image.format} on {image.kind}" if image.kind not in DRIVERS else image.format
            raise OperationInvalid(
                f"disk {image.disk} of {domain} ({image.path or what}) cannot hold a snapshot: it is {what}, "
                f"not {FORMAT}", remedy="convert it to qcow2, or make it read-only", disk=image.disk, path=image.path,
                format=image.format,
            )  # fmt: skip


def foreign(image: Image, tag: str) -> OperationInvalid:
    """Return the error for an image that holds a snapshot of that name already."""
    return OperationInvalid(f"{image.path} holds a snapshot {tag} that mechane does not know",
                            remedy="use another name, or delete it with qemu-img", path=image.path)  # fmt: skip


def check_all_hold(images: Sequence[Image], domain: str, name: str, tag: str) -> None:
    """Demand that every image holds a snapshot.

    Raises:
        OperationInvalid: one does not: its disk was added since, or somebody deleted it.
    """
    for image in images:
        if tag not in image.tags:
            raise OperationInvalid(
                f"disk {image.disk} of {domain} ({image.path}) does not hold snapshot {name}",
                remedy="take the disk away, or revert to another snapshot", disk=image.disk, path=image.path,
            )  # fmt: skip


class ImageTool:
    """Runs qemu-img as QEMU's user, on images of guests that do not run. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._since = shop.env.loop.time()

    @asynccontextmanager
    async def hold(
        self, uuid: str, images: Sequence[Image], intend: Callable[[Sequence[ownership.Owner]], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Give the images to QEMU's user for as long as the block runs; `intend` is told before whose they are."""
        shop, identity = self._shop, self._shop.identity
        owners: list[ownership.Owner] = []
        if identity.drops and shop.options.set_ownership:
            paths = [image.path for image in images]
            owners = await shop.blocking(ownership.plan, paths, identity.uid, domain=uuid)
        if owners:
            await intend(owners)
        try:
            try:
                await shop.unbroken(
                    shop.blocking(ownership.take, owners, identity.uid, identity.gid, domain=uuid)
                )
            except OSError as error:
                raise OperationFailed(f"{error.filename} cannot be given to {identity.user}: {error.strerror}",
                                      remedy="look at its file system") from error  # fmt: skip
            yield
        finally:
            await self.give_back(uuid, owners)

    async def give_back(self, uuid: str, owners: Sequence[ownership.Owner]) -> None:
        """Give images back to whom they belonged."""
        if owners:
            await self._shop.unbroken(give_back(self._shop, uuid, owners))

    async def free(self, images: Sequence[Image]) -> None:
        """Wait until no qemu-img of an earlier node works on the images any more, a while after the node's start.

        Raises:
            DeadlineExceeded: one still does.
        """
        until = self._shop.env.loop.time() + FREE_S
        while self._shop.env.loop.time() < self._since + ORPHAN_S:
            try:
                for image in images:
                    await self.tags(image)
                return
            except ToolFailed as error:
                if not any(word in str(error.details) + error.message for word in LOCKED):
                    return  # something else is the matter with it: who needs it is told
                if self._shop.env.loop.time() > until:
                    raise DeadlineExceeded(f"an image is still in use: {error.message}", remedy="end what uses it",
                                           still_running=True) from error  # fmt: skip
            await asyncio.sleep(LOOK_S)

    async def tags(self, image: Image) -> frozenset[str]:
        """Return the snapshots that an image holds.

        Raises:
            ToolFailed: it cannot be read.
        """
        said = await self._run(image, "info", "--output=json", "--image-opts", _options(image))
        return frozenset(str(item["name"]) for item in json.loads(said).get("snapshots", ()))

    async def snapshot(self, image: Image, action: str, tag: str) -> None:
        """Create (-c), apply (-a) or delete (-d) a snapshot of one image.

        Raises:
            ToolFailed: qemu-img could not.
        """
        await self._run(image, "snapshot", "--image-opts", action, tag, _options(image))

    async def _run(self, image: Image, *words: str) -> str:
        from ...tooling.run import run_tool

        argv = [*self._shop.identity.prefix, TOOL, *words]
        result = await run_tool(argv, deadline_s=self._shop.env.deadlines.tool_s)
        if result.status == 0:
            return result.stdout
        identity, remedy = self._shop.identity, "end what uses the image, or look at it with `qemu-img check`"
        if "Permission denied" in result.stderr:
            gids = frozenset((*identity.groups, identity.gid))
            folder = await self._shop.blocking(
                ownership.barrier, image.path, identity.uid, gids, domain=Itself(f"the way to {image.path}")
            )
            remedy = f"let {identity.user}, as whom QEMU runs, pass {folder or image.path}"
        raise result.failure(remedy)


def _options(image: Image) -> str:
    return f"driver={FORMAT},file.driver={DRIVERS[image.kind]},file.filename={escape(image.path)}"
