"""The files of the host that a guest opens: made ready before its start. Everything here blocks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import ownership
from .identity import Identity

if TYPE_CHECKING:
    from ...config.domain.disk import Disk
    from ...config.domain.domain import Domain
    from .argv.records import FileUse
    from .workshop import Workshop

OWNED = ("disk", "nvram")
"""Kinds of files that change hands; devices keep their owner, QEMU's group opens them."""


def ready_files(files: Iterable[FileUse], identity: Identity, *, set_ownership: bool) -> list[ownership.Owner]:
    """Copy templates, and return the owners of files that must change hands.

    Raises:
        OSError: a template cannot be copied.
    """
    mine = []
    for file in files:
        path = Path(file.path)
        if file.template is not None and not path.exists():
            path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            shutil.copyfile(file.template, path)
            path.chmod(0o600)
        if not file.read_only and file.kind in OWNED:
            mine.append(file.path)
    if not identity.drops or not set_ownership:
        return []
    return ownership.plan(mine, identity.uid)


async def drop_missing(shop: Workshop, domain: Domain) -> Domain:
    """Leave out media that are not there and need not be (startupPolicy='optional'); drives stay, empty.

    The other policies only differ for guests that come from elsewhere (formatdomain, "startupPolicy").
    Loop's thread.

    Args:
        shop: for the pool and the log.
        domain: the definition, which is not changed.
    """
    optional = [n for n, disk in enumerate(domain.devices.disks) if disk.source.startup_policy == "optional"]
    if not optional:
        return domain
    disks = [domain.devices.disks[number] for number in optional]
    there: list[bool] = await shop.blocking(lambda: [is_there(disk) for disk in disks])
    gone = {number for number, found in zip(optional, there, strict=True) if not found}
    if not gone:
        return domain
    made = domain.copy()
    for number in gone:
        disk = made.devices.disks[number]
        shop.log.warning("%s starts without %s, which is missing", domain.name, disk.source.file or disk.source.dev)
        disk.source = type(disk.source)()
    made.devices.disks = [
        disk for number, disk in enumerate(made.devices.disks)
        if number not in gone or disk.device in ("cdrom", "floppy")
    ]  # fmt: skip
    return made


def is_there(disk: Disk) -> bool:
    """Tell whether a disk's file or device is there; what lies elsewhere counts as there. Blocks."""
    path = disk.source.file or disk.source.dev
    return path is None or Path(path).exists()


def explain_denial(files: Iterable[FileUse], identity: Identity) -> str:
    """Say what to do about a file that QEMU's user may not open, for a remedy."""
    gids = frozenset((*identity.groups, identity.gid))
    for file in files:
        folder = ownership.barrier(file.path, identity.uid, gids)
        if folder is not None:
            return (
                f"{identity.user}, as whom QEMU runs, may not pass {folder}: `chmod o+x {folder}`, or move "
                f"{file.path}, or set `user` in the settings' section [qemu]"
            )
    return f"let {identity.user}, as whom QEMU runs, open the file, or set `user` in the settings' section [qemu]"
