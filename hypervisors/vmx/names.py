"""How the file names of a .vmx and the paths of domain XML correspond.

On ESX a .vmx says `/vmfs/volumes/DATASTORE/folder/disk.vmdk`, or `disk.vmdk` for a file beside itself;
domain XML says `[DATASTORE] folder/disk.vmdk` (libvirt.org/drvesx.html, "Datastore paths"). The desktop
products use paths of the host, and plain names for files beside the .vmx.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Protocol

from ...config.errors import ConfigUnsupported

VOLUMES = "/vmfs/volumes/"
_DATASTORE = re.compile(r"\[([^\]]+)\]\s*(.*)\Z", re.DOTALL)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class FileNames(Protocol):
    """Translates names of files; `may_be_missing` where the guest can do without the file."""

    def to_path(self, name: str, *, may_be_missing: bool = False) -> str | None:
        """Return what domain XML says for a name of the .vmx; None where the file is not there and may be missing."""
        ...

    def to_name(self, path: str) -> str:
        """Return what the .vmx says for a path of domain XML."""
        ...


def is_absolute(name: str) -> bool:
    """Tell whether a name is a whole path, of Windows too."""
    return name.startswith("/") or _WINDOWS.match(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Datastores:
    """Datastore paths. A .vmx does not say where it lies itself: `datastore` and `directory` do."""

    datastore: str = "datastore"
    directory: str = "directory"

    def to_path(self, name: str, *, may_be_missing: bool = False) -> str | None:
        """Return `[DATASTORE] folder/file`; paths outside of datastores stay as they are."""
        if name.startswith(VOLUMES):
            datastore, _, rest = name[len(VOLUMES) :].partition("/")
            return f"[{datastore}] {rest}"
        if is_absolute(name) or _DATASTORE.match(name):
            return name
        return f"[{self.datastore}] {posixpath.normpath(posixpath.join(self.directory, name))}"

    def to_name(self, path: str) -> str:
        """Return `/vmfs/volumes/DATASTORE/folder/file`; other paths stay as they are.

        Raises:
            ConfigUnsupported: a datastore without a name or without a file.
        """
        if not path.startswith("["):
            return path
        found = _DATASTORE.match(path)
        if found is None or not found[2]:
            raise ConfigUnsupported(
                f"{path!r} is no datastore path", path="source/@file", value=path,
                remedy="write it as in [datastore] folder/disk.vmdk",
            )  # fmt: skip
        return f"{VOLUMES}{found[1]}/{found[2]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFiles:
    """Paths of the host; a plain name lies in `folder`, where the .vmx is."""

    folder: str

    def to_path(self, name: str, *, may_be_missing: bool = False) -> str | None:
        """Return the whole path."""
        return name if is_absolute(name) else posixpath.normpath(posixpath.join(self.folder, name))

    def to_name(self, path: str) -> str:
        """Return a plain name for a file in the folder, else the path."""
        inside = self.folder.rstrip("/") + "/"
        return path[len(inside) :] if path.startswith(inside) else path
