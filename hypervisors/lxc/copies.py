"""Snapshots of containers that are off, as files: a copy of the root directory and of the definition for each.

`STATE/snapshots/UUID/index.json` names them; only what it names exists, so that a copy that was cut short is none.
`N/root` is the root directory, `N/config` and `N/mechane.json` are the definition as it was. All functions block.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...config.errors import NotFound, OperationFailed, StoreError
from ...config.record import FORMAT, checked, known, mapped
from ..tooling.target import replace_file
from .folders import CONFIG, SIDECAR

INDEX = "index.json"
NEWEST = 1
"""Format of the index; one without a number is of the first."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""rename(2), linux/fs.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One snapshot: what it is called, and what it was taken of."""

    name: str
    folder: str
    root: str
    """Path of the root directory that it is a copy of."""
    parent: str = ""
    description: str = ""
    created_at: float = 0.0
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Fields that only other versions know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All snapshots of one container, oldest first."""

    copies: tuple[Copy, ...] = ()
    current: str = ""
    made: int = field(default=0)
    """How many there ever were: folders are numbered, for names need not be names of files."""
    kept: Mapping[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Copy:
        """Return a snapshot.

        Raises:
            NotFound: there is none of that name.
        """
        for copy in self.copies:
            if copy.name == name:
                return copy
        raise NotFound(f"there is no snapshot {name}", remedy="list the snapshots", path="params.name")

    def with_new(self, copy: Copy) -> Index:
        """Return the index with a snapshot more, which is the current one."""
        return replace(self, copies=(*self.copies, copy), current=copy.name, made=self.made + 1)

    def without(self, name: str) -> Index:
        """Return the index without a snapshot; its children become its parent's."""
        parent = self.of(name).parent
        rest = tuple(replace(copy, parent=parent) if copy.parent == name else copy
                     for copy in self.copies if copy.name != name)  # fmt: skip
        return replace(self, copies=rest, current=parent if self.current == name else self.current)


def load(folder: Path) -> Index:
    """Return the index of a container's snapshots.

    Raises:
        OperationFailed: it is damaged, or a newer version wrote it; it is left alone then.
    """
    try:
        said = json.loads((folder / INDEX).read_text())
        said = checked({FORMAT: 1, **said}, NEWEST, str(folder / INDEX))
        copies = tuple(Copy(**known(Copy, each)) for each in said["copies"])
        return Index(**{**known(Index, said, FORMAT), "copies": copies})
    except FileNotFoundError:
        return Index()
    except StoreError as error:
        raise OperationFailed(error.message, remedy=error.remedy) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OperationFailed(f"cannot read {folder / INDEX}: {error}", remedy="mend it by hand") from error


def store(folder: Path, index: Index) -> None:
    """Write the index whole or not at all, and remove what it does not name.

    Raises:
        OperationFailed: it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(folder / INDEX, json.dumps(_mapped(index)).encode())
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error}", remedy="make room or mend permissions") from error
    tidy(folder, index)


def _mapped(index: Index) -> dict[str, Any]:
    return {**mapped(replace(index, copies=())), FORMAT: NEWEST, "copies": [mapped(copy) for copy in index.copies]}


def tidy(folder: Path, index: Index) -> None:
    """Remove what no snapshot is: copies that were cut short, and all of it where no snapshot is left."""
    named = {copy.folder for copy in index.copies}
    with suppress(FileNotFoundError):  # there never was one
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name not in named:
                shutil.rmtree(entry, ignore_errors=True)
    if not index.copies:
        shutil.rmtree(folder, ignore_errors=True)


def keep_definition(place: Path, copy: Path) -> None:
    """Copy a container's definition into a snapshot's folder."""
    copy.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in (CONFIG, SIDECAR):
        with suppress(FileNotFoundError):  # a configuration of somebody else's has nothing beside it
            replace_file(copy / file, (place / file).read_bytes())


def restore_definition(copy: Path, place: Path) -> None:
    """Copy the definition in a snapshot's folder back.

    What lies beside the configuration comes first: it has the UUID, and its digest says what it is of.
    """
    if (copy / SIDECAR).exists():
        replace_file(place / SIDECAR, (copy / SIDECAR).read_bytes())
    replace_file(place / CONFIG, (copy / CONFIG).read_bytes())
    if not (copy / SIDECAR).exists():
        (place / SIDECAR).unlink(missing_ok=True)


def exchange(one: str, other: str) -> None:
    """Let two directories change places, at once (rename(2), RENAME_EXCHANGE).

    Raises:
        OperationFailed: the kernel refuses; nothing changed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OperationFailed(f"{one} and {other} cannot change places: {os.strerror(number)}",
                              remedy="keep the root filesystem as a plain directory", errno=number)  # fmt: skip
