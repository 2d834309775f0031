"""What is stored of a domain: keys and values.

    domain/<uuid>  connection, name, title, size, autostart      definitions store
    xml/<uuid>     the definition's XML                          definitions store
    owner/<uuid>   node, incarnation, held                       definitions store
    run/<uuid>     what runs: phase, handle, live XML, …         runtime store, local
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgpack

from ..cells.snapshot import Size

DOMAIN, XML, OWNER, RUN = "domain/", "xml/", "owner/", "run/"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDomain:
    """The value of domain/<uuid>."""

    connection: str
    name: str
    title: str
    size: Size
    autostart: bool

    def pack(self) -> bytes:
        """Return the value."""
        size = self.size
        packed: bytes = msgpack.packb(
            (1, self.connection, self.name, self.title, self.autostart,
             (size.max_memory_kib, size.memory_kib, size.vcpus, size.max_vcpus, size.os_type, size.type))
        )  # fmt: skip
        return packed

    @classmethod
    def unpack(cls, value: bytes) -> StoredDomain:
        """Return the record of a value."""
        _, connection, name, title, autostart, size = msgpack.unpackb(value)
        return cls(connection=connection, name=name, title=title, autostart=autostart, size=unpack_size(size))


def unpack_size(values: Any) -> Size:
    """Return a Size of its six packed values."""
    most, now, vcpus, max_vcpus, os_type, kind = values
    return Size(max_memory_kib=most, memory_kib=now, vcpus=vcpus, max_vcpus=max_vcpus, os_type=os_type, type=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOwner:
    """The value of owner/<uuid>: whose guest it is; the key's version is the token."""

    node: str
    incarnation: int
    held: bool

    def pack(self) -> bytes:
        """Return the value."""
        packed: bytes = msgpack.packb((1, self.node, self.incarnation, self.held))
        return packed

    @classmethod
    def unpack(cls, value: bytes) -> StoredOwner:
        """Return the record of a value."""
        _, node, incarnation, held = msgpack.unpackb(value)
        return cls(node=node, incarnation=incarnation, held=held)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """The value of run/<uuid>: intent before the spawn, and how to find the guest again."""

    connection: str
    name: str
    incarnation: int
    phase: str
    """starting (never acknowledged: killed after a crash) or running (adopted)."""
    id: int
    handle: dict[str, Any]
    state: str = "running"
    reason: str = "booted"
    live_xml: str = ""
    xml: str = ""
    """The definition of a transient domain; empty for persistent ones."""
    size: dict[str, Any] | None = None
    """What the guest has, which its definition may have no longer."""
    title: str = ""
    """Of a transient domain; that of a persistent one stands with its definition."""
    autodestroy: bool = False
    """It ends with the connection of the client that started it."""
    started_at: float = 0.0

    def pack(self) -> bytes:
        """Return the value."""
        packed: bytes = msgpack.packb({"v": 1, **asdict(self)})
        return packed

    @classmethod
    def unpack(cls, value: bytes) -> StoredRun:
        """Return the record of a value."""
        data = msgpack.unpackb(value)
        data.pop("v")
        return cls(**data)
