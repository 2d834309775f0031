"""The .vmx files of a connection: found, read, written. Functions that block on files: never on the loop.

Definitions lie in one folder, FOLDER/NAME/NAME.vmx; guests that were started by hand from elsewhere are
known while they run. A file that changes while it is read, or is damaged, keeps the identity that it had.
"""

from __future__ import annotations

import os
import uuid as uuids
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...config.domain.document import format, parse
from ...config.errors import InvalidArgument, MechaneError, OperationFailed
from ..tooling.target import replace_file
from ..vmx.machine import read_uuid, write_uuid
from ..vmx.names import HostFiles
from ..vmx.native import read, to_native
from ..vmx.text import MAX_BYTES, VmxText, decode
from .extras import read_extras, write_extras

HEADLESS = {"uuid.action": "keep", "msg.autoAnswer": "TRUE"}
"""What keeps a start without a screen from waiting for an answer that nobody gives: was it moved or copied?"""
MOST_FILES = 10_000
"""Folders looked into: a folder with more is not one of guests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One .vmx file: `path` as it is, `real` without links, which is what tells two of them apart."""

    path: str
    real: str
    uuid: str
    name: str
    saved: bool = False
    """Suspended: its memory lies in a file beside it, and the next start goes on from there."""
    ours: bool = True
    """Whether it lies in the connection's folder."""


class Library:
    """Finds .vmx files and remembers what they said. One caller at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, tuple[tuple[int, int, int], Machine]] = {}

    def scan(self, running: Iterable[str]) -> list[Machine]:
        """Return the machines of the folder, and those that run elsewhere.

        Args:
            running: .vmx files of running guests; where two files claim one UUID, these have it.

        Raises:
            OperationFailed: the folder cannot be read.
        """
        real = {os.path.realpath(path): path for path in running}
        inside = {os.path.realpath(path): path for path in self._files()}
        found = [self._machine(where, path, ours=where in inside) for where, path in {**real, **inside}.items()]
        self._cache = {where: kept for where, kept in self._cache.items() if where in real or where in inside}
        return list(self._unique(found, set(real)))

    def _files(self) -> Iterator[str]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.scandir(self.folder) as entries:
                folders = [entry.path for _, entry in zip(range(MOST_FILES), entries, strict=False) if entry.is_dir()]
        except OSError as error:
            raise OperationFailed(
                f"cannot read {self.folder}: {error.strerror}", remedy="mend its permissions"
            ) from error
        for folder in sorted(folders):
            with suppress(OSError):  # removed meanwhile, or not for us
                yield from sorted(each.path for each in os.scandir(folder) if each.name.lower().endswith(".vmx"))

    def _machine(self, real: str, path: str, *, ours: bool) -> Machine:
        old = self._cache.get(real)
        try:
            stat = Path(real).stat()
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if old is not None and old[0] == mark:
                return replace(old[1], path=path, ours=ours)
            vmx = VmxText.parse(decode(_bytes(real)))
            name = vmx.string("displayName") or Path(real).stem
            uuid = read_uuid(vmx.string("uuid.bios") or "") or _derived(real)
        except (OSError, MechaneError):
            if old is not None:
                return replace(old[1], path=path, ours=ours)
            return Machine(path=path, real=real, uuid=_derived(real), name=Path(real).stem, ours=ours)
        machine = Machine(path=path, real=real, uuid=uuid, name=name, saved=_saved(vmx, real), ours=ours)
        self._cache[real] = (mark, machine)
        return machine

    def _unique(self, machines: list[Machine], running: set[str]) -> Iterator[Machine]:
        """Give each UUID to one machine: a copied .vmx has its original's. Others get one made of their path."""
        taken: set[str] = set()
        for machine in sorted(machines, key=lambda each: (each.real not in running, each.real)):
            uuid = machine.uuid if machine.uuid not in taken else _derived(machine.real)
            taken.add(uuid)
            yield machine if uuid == machine.uuid else replace(machine, uuid=uuid)

    # ---- definitions

    def xml(self, machine: Machine) -> str:
        """Return the domain XML of a machine.

        Raises:
            OperationFailed: the file cannot be read.
            InvalidArgument: it holds what domain XML cannot say.
        """
        vmx = VmxText.parse(decode(self._content(machine)))
        domain = read(vmx, names=HostFiles(folder=str(Path(machine.real).parent)), name=machine.name)
        domain.uuid = machine.uuid
        read_extras(vmx, domain)
        return format(domain, secure=True)

    def write(self, uuid: str, name: str, xml: str, old: Machine | None, *, hardware: int) -> str:
        """Write the .vmx of a definition, new or in place of `old`; returns its path.

        Raises:
            ConfigUnsupported: the definition asks for what a .vmx cannot say.
            OperationFailed: it cannot be written.
        """
        path = Path(old.real) if old is not None else self._new_path(uuid, name)
        base = decode(self._content(old)) if old is not None else ""
        known = bool(base) and "virtualhw.version" in base.lower()
        domain = parse(xml)
        text = to_native(
            domain, names=HostFiles(folder=str(path.parent)), base=base, hardware=None if known else hardware
        )
        vmx = VmxText.parse(text)
        for entry, value in HEADLESS.items():
            if vmx.string(entry) is None:
                vmx.put(entry, value)
        write_extras(domain, vmx)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, str(vmx).encode())
        except OSError as error:
            raise OperationFailed(f"cannot write {path}: {error.strerror}", remedy="make room") from error
        return str(path)

    def settle_identity(self, machine: Machine) -> None:
        """Write the UUID into a file that has none: the product would make up another at the first start.

        Raises:
            OperationFailed: the file cannot be read or written.
        """
        text = decode(self._content(machine))
        vmx = VmxText.parse(text)
        if vmx.string("uuid.bios") or not machine.ours:
            return
        vmx.put("uuid.bios", write_uuid(machine.uuid))
        vmx.put("uuid.action", "keep")
        vmx.put(".encoding", "UTF-8")
        try:
            replace_file(Path(machine.real), str(vmx).encode())
        except OSError as error:
            raise OperationFailed(f"cannot write {machine.path}: {error.strerror}", remedy="make room") from error

    def remove(self, machine: Machine) -> None:
        """Remove a .vmx of ours; disks, memory and other files of the guest stay.

        Raises:
            OperationFailed: it cannot be removed, or lies outside of our folder.
        """
        if not machine.ours:
            raise OperationFailed(
                f"{machine.path} lies outside of {self.folder}", remedy="remove it with the program that made it"
            )
        try:
            Path(machine.real).unlink(missing_ok=True)
            self._cache.pop(machine.real, None)
            with suppress(OSError):  # the guest's disks are there
                Path(machine.real).parent.rmdir()
        except OSError as error:
            raise OperationFailed(
                f"cannot remove {machine.path}: {error.strerror}", remedy="mend its permissions"
            ) from error

    def _content(self, machine: Machine) -> bytes:
        try:
            return _bytes(machine.real)
        except OSError as error:
            raise OperationFailed(f"cannot read {machine.path}: {error.strerror}", remedy="mend permissions") from error

    def _new_path(self, uuid: str, name: str) -> Path:
        if name in (".", "..") or "/" in name or name.startswith("-") or any(ord(c) < 32 for c in name):
            raise InvalidArgument(f"{name!r} cannot name a .vmx", path="name", remedy="choose a plain name")
        for folder in (name, f"{name}-{uuid[:8]}", uuid):
            path = self.folder / folder / f"{name}.vmx"
            if not path.parent.exists() or not any(path.parent.glob("*.vmx")):
                return path
        raise OperationFailed(f"{self.folder / uuid} holds another guest", remedy="move it away")


def _bytes(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _derived(real: str) -> str:
    return str(uuids.uuid5(uuids.NAMESPACE_URL, Path(real).as_uri()))


def _saved(vmx: VmxText, real: str) -> bool:
    name = vmx.string("checkpoint.vmState") or ""
    return bool(name) and (Path(real).parent / name).exists()
