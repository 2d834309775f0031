"""A guest's saved memory as one file anywhere: what vmrun's suspend left beside the .vmx, packed and unpacked.

`vmrun suspend` writes NAME.vmss (and NAME.vmem) beside the .vmx and names it in `checkpoint.vmState`. The
file is a tar archive whose first member, LABEL, says of which guest it is; the rest are those files. All
functions block on files: never on the loop. A file appears under its name only when it is whole.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...config.errors import InvalidArgument, OperationFailed, OperationInvalid
from ..tooling.target import replace_file
from ..vmx.text import MAX_BYTES, VmxText, decode

LABEL = "mechane-vmware-state.json"
VERSION = 1
STATE = "checkpoint.vmState"
ENDINGS = (".vmss", ".vmem", ".vmsn")
MOST_LABEL = 4096


def refuse_existing(path: str) -> None:
    """Refuse to save to a file that is there, or into a folder that is not.

    Raises:
        OperationInvalid: there is such a file.
        InvalidArgument: no folder for it.
    """
    if os.path.lexists(path):
        raise OperationInvalid(f"{path} exists already", remedy="name a file that does not exist")
    if not os.path.isdir(os.path.dirname(path)):
        raise InvalidArgument(f"{path} has no folder to lie in", path="path", value=path, remedy="make the folder")


def pack(vmx: str, uuid: str, path: str) -> None:
    """Move a suspended guest's memory into a file; the guest then starts cold.

    Raises:
        OperationFailed: the memory is not there, or cannot be written; it stays where it is.
    """
    text = VmxText.parse(decode(_head(vmx)))
    name = text.string(STATE) or ""
    files = [each for each in _state_files(Path(vmx).parent, name) if each.is_file()]
    if not files:
        raise OperationFailed("VMware left no memory of the guest", remedy="look at vmware.log beside its .vmx")
    fresh = f"{path}.new"
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            label = json.dumps({"version": VERSION, "uuid": uuid, "state": files[0].name}).encode()
            member = tarfile.TarInfo(LABEL)
            member.size = len(label)
            archive.addfile(member, io.BytesIO(label))
            for each in files:
                archive.add(each, arcname=each.name, recursive=False)
            out.flush()
        _sync(fresh)
        os.link(fresh, path)  # unlike rename, this never takes the place of another file
    except OSError as error:
        raise OperationFailed(
            f"cannot write {path}: {error.strerror}", remedy="make room; the guest's next start goes on from its memory"
        ) from error
    finally:
        with suppress(OSError):  # never made, or gone already
            Path(fresh).unlink()
    _point(vmx, "")
    for each in files:
        each.unlink(missing_ok=True)


def unpack(vmx: str, uuid: str, path: str) -> None:
    """Put a saved memory beside the .vmx, so that the next start goes on from it; the file stays.

    Raises:
        InvalidArgument: it is no saved guest, or another one's.
        OperationFailed: it cannot be read, or there is no room.
    """
    folder = Path(vmx).parent
    try:
        with tarfile.open(path, mode="r:") as archive:
            label = _label(archive, path)
            if label.get("uuid") != uuid:
                raise InvalidArgument(
                    f"{path} holds the state of another domain, {label.get('uuid')}", path="source", value=path,
                    remedy="restore that one",
                )  # fmt: skip
            for member in archive:
                if member.name != LABEL:
                    _extract(archive, member, folder, path)
            _point(vmx, str(label["state"]))
    except tarfile.TarError as error:
        raise _foreign(path) from error
    except OSError as error:
        raise OperationFailed(f"cannot restore from {path}: {error.strerror}", remedy="look at the file") from error


def _label(archive: tarfile.TarFile, path: str) -> dict[str, Any]:
    first = archive.next()
    file = archive.extractfile(first) if first is not None and first.name == LABEL else None
    try:
        label = json.loads(file.read(MOST_LABEL)) if file is not None else None
    except ValueError:
        label = None
    if not isinstance(label, dict) or label.get("version") != VERSION or not _plain(str(label.get("state", ""))):
        raise _foreign(path)
    return label


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: str) -> None:
    """Write one file; its name comes from a file that anybody may have made."""
    source = archive.extractfile(member) if member.isreg() and _plain(member.name) else None
    if source is None:
        raise _foreign(path)
    fresh = folder / f"{member.name}.new"
    with fresh.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    fresh.replace(folder / member.name)


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and name.isprintable() and name.endswith(ENDINGS)


def _foreign(path: str) -> InvalidArgument:
    return InvalidArgument(
        f"{path} is no saved VMware guest", path="source", value=path, remedy="name a file that `save` wrote"
    )


def _state_files(folder: Path, name: str) -> list[Path]:
    if not _plain(name):
        return []
    return [folder / name, (folder / name).with_suffix(".vmem")]


def _head(vmx: str) -> bytes:
    with Path(vmx).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _point(vmx: str, state: str) -> None:
    """Say in the .vmx where the memory is; empty: there is none."""
    text = VmxText.parse(decode(_head(vmx)))
    text.put(STATE, state)
    text.put(".encoding", "UTF-8")
    replace_file(Path(vmx), str(text).encode())


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
