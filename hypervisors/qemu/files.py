"""The files of the host that a guest opens: made ready before its start. Everything here blocks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import ownership
from .identity import Identity

if TYPE_CHECKING:
    from .argv.records import FileUse

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
