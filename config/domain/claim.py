"""One thing of the host that a definition names, and the kinds of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FILE, FOLDER, SHARE, DEVICE, CONNECT, BIND = "file", "folder", "share", "device", "connect", "bind"
BRIDGE, HOST, SECRET, EMULATOR, PASSTHROUGH = "bridge", "host", "secret", "emulator", "passthrough"
ON_DISK = frozenset({FILE, FOLDER, SHARE, DEVICE, CONNECT, BIND})
"""Kinds that name something in the file system."""
NEW = "new"
"""The detail of a file that is made where it is not there: the output of a character device, a log, variables."""
FORMATS = (None, "raw", "qcow2", "luks", "fat")
"""Formats of images that name no other files, or name them where the node reads it (qcow2)."""
HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/hwrng"})
Key = tuple[str, str, bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing of the host that a definition names."""

    kind: str
    name: str
    """Path, or name."""
    write: bool = False
    detail: str = ""
    """The image's format of a disk, or NEW."""
    within: str = ""
    """Digest of the device that it was found in: in another one it is another claim."""
    path: str = ""
    """Of the field: /domain/devices/disk[2]/source/@file."""
    place: tuple[Any, str] | None = None
    """Element and field, for who puts another name there."""

    @property
    def key(self) -> Key:
        """What makes it the same claim in another document."""
        return (self.kind, self.name, self.write, f"{self.detail}|{self.within}" if self.within else self.detail)

    def put(self, name: str) -> None:
        """Name something else in the model that this was found in."""
        assert self.place is not None
        element, field = self.place
        setattr(element, field, name)
