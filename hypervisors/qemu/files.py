"""The files of the host that a guest opens: made ready before its start. Everything here blocks."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..reach.acting import acting_as
from . import ownership
from .holding import is_held
from .identity import Identity

if TYPE_CHECKING:
    from ...config.domain.disk import Disk
    from ...config.domain.domain import Domain
    from .argv.records import FileUse
    from .workshop import Workshop

TOOL_S = 30.0
OWNED = ("disk", "nvram", "overlay")
"""Kinds of files that change hands; devices keep their owner, QEMU's group opens them."""


def ready_files(files: Iterable[FileUse], identity: Identity, *, set_ownership: bool) -> list[ownership.Owner]:
    """Copy templates, and return the owners of files that must change hands.

    Raises:
        OSError: a template cannot be copied.
    """
    mine = []
    for file in files:
        path = Path(file.path)
        if file.kind == "overlay":
            make_overlay(file)
        elif file.template is not None and not path.exists():
            copy_new(file.template, file.path, identity)
        if not file.read_only and file.kind in OWNED:
            mine.append(file.path)
    if not identity.drops or not set_ownership:
        return []
    return ownership.plan(mine, identity.uid)


def copy_new(source: str, path: str, identity: Identity) -> None:
    """Copy a file to a path where nothing may lie; one that a limited client has named as QEMU's user.

    Raises:
        OSError: it cannot be read, or made.
    """
    limited = is_held(path)
    with open(source, "rb") as template:
        with acting_as(identity.uid, identity.gid, identity.groups) if limited else nullcontext():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as made:
            shutil.copyfileobj(template, made)


def make_overlay(file: FileUse) -> None:
    """Make the empty image over a transient disk anew.  The image below is not opened, but for its header.

    Raises:
        OSError: it cannot be made.
    """
    assert file.template is not None
    path = Path(file.path)
    path.unlink(missing_ok=True)
    words = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", file.template_format, "-b", file.template,
             file.path, str(virtual_size(file.template, file.template_format))]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TOOL_S)
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, "qemu-img takes too long", file.path) from error
    if done.returncode:
        raise OSError(errno.EIO, done.stderr.strip() or "qemu-img failed", file.path)
    path.chmod(0o600)


def virtual_size(path: str, image_format: str) -> int:
    """Return the bytes that a guest sees of an image.

    Source: the header of qcow2 (QEMU's docs/interop/qcow2.txt): magic number, and the size at byte 24.

    Raises:
        OSError: it cannot be read, or is none.
    """
    with open(path, "rb") as file:
        if image_format == "raw":
            return file.seek(0, os.SEEK_END)
        header = file.read(32)
    if len(header) < 32 or header[:4] != b"QFI\xfb":
        raise OSError(errno.EINVAL, "is no qcow2 image", path)
    return int.from_bytes(header[24:32], "big")


def remove_overlays(folder: Path, uuid: str) -> None:
    """Remove the images over the transient disks of a guest that has ended. Blocks."""
    for path in folder.glob(f"{uuid}-*.transient"):
        path.unlink(missing_ok=True)


async def drop_missing(shop: Workshop, domain: Domain, uuid: str) -> Domain:
    """Leave out media that are not there and need not be (startupPolicy='optional'); drives stay, empty.

    The other policies only differ for guests that come from elsewhere (formatdomain, "startupPolicy").
    Loop's thread.

    Args:
        shop: for the pool and the log.
        domain: the definition, which is not changed.
        uuid: the domain's.
    """
    optional = [n for n, disk in enumerate(domain.devices.disks) if disk.source.startup_policy == "optional"]
    if not optional:
        return domain
    disks = [domain.devices.disks[number] for number in optional]
    there: list[bool] = await shop.env.blocking(
        lambda: [is_there(disk) for disk in disks], deadline_s=shop.env.deadlines.start_s, domain=uuid
    )
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
