"""Snapshots of containers that are off and whose root is a directory: full copies, as lxc-snapshot(1) makes them.

lxc-snapshot itself is not used: it takes only roots whose path holds the container's name (seen with LXC 5.0.2), and
gives snapshots names of its own. Here the copy of a snapshot takes the root's place in one step, and its definition
comes back with it. Memory is in no snapshot: that would take CRIU.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...config.errors import Conflict, MechaneError, OperationInvalid, Unsupported
from ..abilities import SnapshotInfo
from ..contract import Target
from . import copies, folders
from .cgroups import MOUNTS
from .config import LxcConfig
from .copies import Copy, Index
from .definitions import load as included
from .folders import Place
from .tools import Tools

T = TypeVar("T")
COPY_S = 3600.0
"""The longest that copying a root filesystem may take; the call's own deadline holds besides."""


class Snapshots(Tools):
    """See the module. Everything runs on the connection's loop, files are handled on its pool."""

    async def list_snapshots(self, target: Target) -> Sequence[SnapshotInfo]:
        """Return a container's snapshots, oldest first."""
        index = await self._index(target)
        return [_shown(copy, index) for copy in index.copies]

    async def create_snapshot(self, target: Target, name: str, *, description: str, memory: bool) -> SnapshotInfo:
        """Copy the root directory and the definition of a container that is off.

        Raises:
            OperationInvalid: it runs.
            Conflict: there is a snapshot of that name.
            Unsupported: its root is no directory that can be exchanged.
        """
        place = await self._off(target)
        del memory  # of a container that is off there is none
        index, root = await self._index(target), await self._root(place)
        if any(copy.name == name for copy in index.copies):
            raise Conflict(f"{target.name} has a snapshot {name} already", remedy="choose another name")
        copy = Copy(name=name, folder=str(index.made), root=root, parent=index.current, description=description,
                    created_at=self.wall())  # fmt: skip
        folder = self._kept(target)
        try:
            await self._do(target, copies.tidy, folder, index)
            await self._do(target, copies.keep_definition, place.folder, folder / copy.folder)
            await self._copy(root, str(folder / copy.folder / "root"))
            await self._off(target)  # nobody started it meanwhile
            index = index.with_new(copy)
            await self._do(target, copies.store, folder, index)
        except BaseException:
            self.do(self._later(self._do(target, copies.tidy, folder, index)))
            raise
        return _shown(copy, index)

    async def revert_snapshot(self, target: Target, name: str) -> None:
        """Put a container that is off back: root directory and definition.

        Raises:
            NotFound: no such snapshot.
            OperationInvalid: it runs, or its root is another directory by now, or one that another container runs in.
        """
        place = await self._off(target)
        index, root = await self._index(target), await self._root(place)
        copy = index.of(name)
        if copy.root != root:
            raise OperationInvalid(f"the root filesystem of {target.name} was at {copy.root} then and is at {root} now",
                                   remedy="define it with its former root first")  # fmt: skip
        for uuid in self.watched:
            other = self._places.get(uuid)
            if other is not None and await self._do(Target(uuid=other.uuid, name=other.name), _root_of, other) == root:
                raise OperationInvalid(f"container {other.name} runs in {root}", remedy="shut it down first")
        fresh = f"{root}.mechane-revert"
        try:
            await self._remove(fresh)
            await self._copy(str(self._kept(target) / copy.folder / "root"), fresh)
            await self._off(target)
            await self._do(target, copies.exchange, fresh, root)
            await self._do(target, copies.restore_definition, self._kept(target) / copy.folder, place.folder)
            index = Index(copies=index.copies, current=name, made=index.made)
            await self._do(target, copies.store, self._kept(target), index)
        finally:
            self.do(self._later(self._remove(fresh)))

    async def delete_snapshot(self, target: Target, name: str) -> None:
        """Remove a snapshot; those made after it keep their own copies."""
        index = (await self._index(target)).without(name)
        await self._do(target, copies.store, self._kept(target), index)

    async def define(self, target: Target, xml: str) -> None:
        """Define a container; one that has snapshots keeps its name, as with libvirt."""
        place = self._places.get(target.uuid)
        if place is not None and place.name != target.name:
            await self._refuse_with_snapshots(target, "renamed")
        await super().define(target, xml)

    async def undefine(self, target: Target) -> None:
        """Remove a definition; not while there are snapshots of it, as with libvirt."""
        await self._refuse_with_snapshots(target, "undefined")
        await super().undefine(target)

    # ---- within

    async def _refuse_with_snapshots(self, target: Target, what: str) -> None:
        names = [copy.name for copy in (await self._index(target)).copies]
        if names:
            raise OperationInvalid(f"{target.name} has {len(names)} snapshots and cannot be {what}",
                                   remedy="delete its snapshots first", snapshots=names)  # fmt: skip

    def _kept(self, target: Target) -> Path:
        return self.env.state_dir / "snapshots" / target.uuid

    async def _index(self, target: Target) -> Index:
        return await self._do(target, copies.load, self._kept(target))

    async def _off(self, target: Target) -> Place:
        """Return the place of a container that does not run."""
        guest = (await self.look()).get(target.uuid)
        if target.uuid in self.watched or (guest is not None and guest.active):
            raise OperationInvalid(f"{target.name} runs, and snapshots are of containers that are off",
                                   remedy="shut it down first")  # fmt: skip
        return self._place(target)

    async def _root(self, place: Place) -> str:
        """Return the root directory of a container.

        Raises:
            Unsupported: it has none that a copy could take the place of.
        """
        target = Target(uuid=place.uuid, name=place.name)
        root = await self._do(target, _root_of, place)
        plain = root not in ("", "/") and await self._do(target, os.path.isdir, root)
        if not plain or await self._do(target, _is_mount, root):
            raise Unsupported(f"the root filesystem of {place.name} is no plain directory",
                              remedy="snapshots are of containers whose root is one")  # fmt: skip
        return root

    async def _copy(self, source: str, target: str) -> None:
        """Copy a directory with all that its files have, not what is mounted in it, and see it on the disk."""
        argv = ["cp", "--archive", "--reflink=auto", "--one-file-system", "--no-target-directory", "--", source, target]
        (await self.host.run(argv, deadline_s=COPY_S)).check()
        (await self.host.run(["sync", "--file-system", "--", target], deadline_s=COPY_S)).check()

    async def _remove(self, path: str) -> None:
        (await self.host.run(["rm", "-rf", "--one-file-system", "--", path], deadline_s=COPY_S)).check()

    async def _later(self, work: Awaitable[None]) -> None:
        """Clean up after a verb, which does not wait for it."""
        try:
            await work
        except MechaneError as error:
            self._listing.warn(f"a copy of a root filesystem stays behind: {error}")

    async def _do(self, target: Target, function: Callable[..., T], *args: Any) -> T:
        return await self.env.blocking(function, *args, deadline_s=self.env.deadlines.change_s, domain=target.uuid)


def _is_mount(path: str) -> bool:
    """Tell whether something is mounted at a path, from the same filesystem too (proc(5): /proc/PID/mounts)."""
    escaped = path.replace("\\", r"\134").replace(" ", r"\040").replace("\t", r"\011").replace("\n", r"\012")
    return any(line.split()[1:2] == [escaped] for line in MOUNTS.read_text(errors="replace").splitlines())


def _root_of(place: Place) -> str:
    """Return where a container's root directory is, links resolved; "" where its root is none."""
    text = (place.folder / folders.CONFIG).read_text(errors="replace")
    path = LxcConfig.parse(text, included).get("lxc.rootfs.path").removeprefix("dir:")
    return os.path.realpath(path) if path.startswith("/") else ""


def _shown(copy: Copy, index: Index) -> SnapshotInfo:
    return SnapshotInfo(name=copy.name, parent=copy.parent, current=copy.name == index.current, state="shutoff",
                        created_at=copy.created_at, description=copy.description)  # fmt: skip
