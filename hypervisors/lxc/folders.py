"""Where containers are defined: PATH/NAME/config of LXC, and beside it what LXC cannot hold.

Ours live in the connection's state folder, others' in /var/lib/lxc (and wherever the
settings say). Beside a configuration that we wrote lies `mechane.json`: the UUID, the domain
XML it was made from, and a digest of the configuration. As long as the digest is right that
XML is the definition; after somebody edited the configuration by hand, that is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config.errors import OperationFailed, StoreError
from ...config.record import FORMAT, checked, known, mapped
from ..tooling.identity import Identities
from ..tooling.target import replace_file

CONFIG = "config"
SIDECAR = "mechane.json"
REMOVED = "config.undefined"
NEWEST = 1
"""Format of what lies beside a configuration. It has a number from 2 on only: the first version refuses keys that it
does not know. `uuid` and `transient` stay what they are in every format, so that a container is itself for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A container's definition: where it is, and whose."""

    path: str
    name: str
    uuid: str
    own: bool
    transient: bool = False
    """Whether it is only for one run."""

    @property
    def folder(self) -> Path:
        """Return its folder."""
        return Path(self.path, self.name)

    @property
    def key(self) -> tuple[str, str]:
        """Return what LXC knows it by."""
        return self.path, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What we keep beside a configuration that we wrote."""

    uuid: str
    xml: str
    digest: str
    transient: bool = False
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Fields that only other versions know."""

    def check(self, folder: Path) -> None:
        """Demand that this version may read all of it and write over it.

        Raises:
            OperationFailed: a newer version wrote it.
        """
        try:
            checked({FORMAT: 1, **self.kept}, NEWEST, str(folder / SIDECAR))
        except StoreError as error:
            raise OperationFailed(error.message, remedy=error.remedy, path=str(folder / SIDECAR)) from error


class Folders:
    """All definitions of one connection. `scan` and the writing functions block."""

    def __init__(self, own: Path, others: Sequence[str], identities: Identities) -> None:
        self.own = own
        self._others = tuple(others)
        self._identities = identities
        self._known: dict[tuple[str, str], tuple[int, str, bool]] = {}

    def scan(self) -> list[Place]:
        """Return every container that is defined.

        Raises:
            OperationFailed: a folder cannot be read.
        """
        found: list[Place] = []
        for path in (str(self.own), *self._others):
            try:
                with os.scandir(path) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_dir())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OperationFailed(f"cannot read {path}: {error}", remedy="look at its permissions") from error
            found += [place for name in names if (place := self.place(path, name)) is not None]
        return found

    def place(self, path: str, name: str) -> Place | None:
        """Return one container's place; None where no configuration is."""
        if not Path(path, name, CONFIG).is_file():
            return None
        uuid, transient = self._identity(path, name)
        return Place(path=path, name=name, uuid=uuid, own=path == str(self.own), transient=transient)

    def _identity(self, path: str, name: str) -> tuple[str, bool]:
        with suppress(OSError):  # none beside it: a configuration that somebody else wrote
            changed = Path(path, name, SIDECAR).stat().st_mtime_ns
            known = self._known.get((path, name))
            if known is None or known[0] != changed:
                sidecar = read_sidecar(Path(path, name))
                known = (changed, sidecar.uuid, sidecar.transient) if sidecar is not None else (changed, "", False)
                self._known[path, name] = known
            if known[1]:
                return known[1], known[2]
        return self._identities.uuid_of(f"{path}/{name}"), False

    def undefined(self, name: str, uuid: str | None) -> Place:
        """Return the place of a container of ours that runs without a definition; it is for this run alone."""
        path = str(self.own)
        return Place(path=path, name=name, uuid=uuid or self._identities.uuid_of(f"{path}/{name}"), own=True,
                     transient=True)  # fmt: skip

    def find(self, uuid: str) -> Place | None:
        """Return the place of a domain."""
        return next((place for place in self.scan() if place.uuid == uuid), None)


def read_sidecar(folder: Path) -> Sidecar | None:
    """Return what lies beside a configuration, of any version; None where nothing does, or half of it."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values: dict[str, Any] = json.loads((folder / SIDECAR).read_text())
        return Sidecar(**known(Sidecar, {"xml": "", "digest": "", **values}))
    return None


def digest_of(config: str) -> str:
    """Return the digest of a configuration."""
    return hashlib.sha256(config.encode(errors="surrogateescape")).hexdigest()


def write(folder: Path, config: str, uuid: str, xml: str, *, transient: bool = False) -> None:
    """Write a definition; LXC's configuration first, for its digest tells whether the rest belongs to it.

    Raises:
        OperationFailed: it could not be written, or a newer version wrote what is there.
    """
    before = read_sidecar(folder)
    kept: Mapping[str, Any] = {}
    if before is not None and before.uuid == uuid:
        before.check(folder)
        kept = before.kept
    sidecar = mapped(Sidecar(uuid=uuid, xml=xml, digest=digest_of(config), transient=transient, kept=kept))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(folder / CONFIG, config.encode())
        replace_file(folder / SIDECAR, json.dumps(sidecar).encode())
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error}", remedy="make room or mend permissions") from error


def remove(place: Place) -> None:
    """Remove a definition, never a root filesystem: of others' folders the configuration is only put aside.

    Raises:
        OperationFailed: it could not be removed.
    """
    folder = place.folder
    try:
        if place.own:
            (folder / CONFIG).unlink(missing_ok=True)
        else:
            (folder / CONFIG).rename(folder / REMOVED)
        (folder / SIDECAR).unlink(missing_ok=True)
        with suppress(OSError):  # snapshots or a root filesystem are in it
            folder.rmdir()
    except OSError as error:
        raise OperationFailed(f"cannot remove {folder}: {error}", remedy="mend its permissions") from error
