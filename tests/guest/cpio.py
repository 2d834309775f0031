"""Write the archive of an initramfs: cpio "newc", as the kernel's buffer-format document describes it."""

import stat
from dataclasses import dataclass
from typing import Protocol

TRAILER = "TRAILER!!!"
ALIGN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, folder, link or device of the archive; `mode` holds type and permissions as in stat(2)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    """Describe a folder."""
    return Entry(name=name, mode=stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, *, executable: bool = False) -> Entry:
    """Describe a regular file."""
    return Entry(name=name, mode=stat.S_IFREG | (0o755 if executable else 0o644), data=data)


def character_device(name: str, major: int, minor: int) -> Entry:
    """Describe a character device."""
    return Entry(name=name, mode=stat.S_IFCHR | 0o600, device=(major, minor))


class Sink(Protocol):
    """Whatever takes bytes: a file, a compressor."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""


def write(out: Sink, entries: list[Entry]) -> None:
    """Write all entries, owned by root and dated 1970, so that equal input gives equal bytes."""
    for inode, entry in enumerate([*entries, Entry(name=TRAILER, mode=0)], start=1):
        name = entry.name.encode() + b"\0"
        # inode mode uid gid nlink mtime filesize dev(2) rdev(2) namesize check
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        out.write(header + name + padding(len(header) + len(name)))
        out.write(entry.data + padding(len(entry.data)))


def padding(length: int) -> bytes:
    """Give the zeros up to the next multiple of four."""
    return b"\0" * (-length % ALIGN)
