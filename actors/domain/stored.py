"""What is stored of a domain: keys and values.

    domain/<uuid>  connection, name, title, size, autostart      definitions store
    xml/<uuid>     the definition's XML                          definitions store
    owner/<uuid>   node, incarnation, held                       definitions store
    run/<uuid>     what runs: phase, handle, live XML, …         runtime store, local
    boot/<uuid>    the boot of the host at which it ran (boots.py)  runtime store, local
    work/<uuid>    a change under way (undertaking.py)           runtime store, local

Values are MessagePack maps with a format number; config/record.py has the rules that let other versions read
them. A field that is added has a default, and that is all: whoever changes a record does it with `replace`, which
keeps what it does not know (`Entry.record` and `Entry.owner` hold what is stored now).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import msgpack

from ...config.errors import StoreError
from ...config.record import Record
from ...config.states import State
from ..cells.snapshot import Size
from ..stores import formats

DOMAIN, XML, OWNER, RUN = formats.DOMAIN, "xml/", formats.OWNER, formats.RUN
WORK = "work/"


class StoredRecord(Record):
    """A record that is a value of the store."""

    __slots__ = ()
    NEWEST = formats.NEWEST
    PREFIX: ClassVar[str]

    def pack(self) -> bytes:
        """Return the value."""
        packed: bytes = msgpack.packb(self.to_map())
        return packed

    @classmethod
    def unpack(cls, value: bytes) -> Self:
        """Return the record of a value of any format up to this one.

        Raises:
            StoreError: it is damaged, or of a newer version.
        """
        return cls.of_map(formats.upgraded(cls.PREFIX, formats.unpacked(value, cls.WHAT)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDomain(StoredRecord):
    """The value of domain/<uuid>."""

    PREFIX = DOMAIN
    WHAT = "the record of a domain"

    connection: str
    name: str
    title: str = ""
    size: Size = field(default_factory=Size)
    autostart: bool = False
    reach: Mapping[str, Any] | None = None
    """Who brought in what the definition names on the host (reaching.py); None: an administrator, or a version
    before this was kept."""
    kept: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """Return plain data."""
        return {**super(StoredDomain, self).to_map(), "size": asdict(self.size)}

    @classmethod
    def of_map(cls, data: Any) -> Self:
        """Return the record of a map."""
        if isinstance(data, dict) and "size" in data:
            data = {**data, "size": size_of(data["size"])}
        return super(StoredDomain, cls).of_map(data)


def size_of(values: Any) -> Size:
    """Return a Size of its map.

    Raises:
        StoreError: it is none.
    """
    try:
        known = {name: values[name] for name in Size.__dataclass_fields__ if name in values}
        return Size(**known)
    except TypeError as error:
        raise StoreError(f"the size of a domain cannot be read: {error}", remedy="restore it from a backup") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOwner(StoredRecord):
    """The value of owner/<uuid>: whose guest it is; the key's version is the token."""

    PREFIX = OWNER
    WHAT = "the record of an owner"

    node: str
    incarnation: int
    held: bool
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun(StoredRecord):
    """The value of run/<uuid>: intent before the spawn, and how to find the guest again."""

    PREFIX = RUN
    WHAT = "the record of a run"

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
    forget: list[str] = field(default_factory=list)
    """What goes with the guest, whose definition was removed: nvram, tpm."""
    autodestroy: bool = False
    """It ends with the connection of the client that started it."""
    started_at: float = 0.0
    start: str = ""
    """Names this start among all; made at random."""
    revision: int = 0
    """Counts the changes of this record."""
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known_state(self) -> State:
        """Return the state; running for a word that only a newer version knows."""
        try:
            return State(self.state)
        except ValueError:
            return State.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWork(StoredRecord):
    """The value of work/<uuid>: a change under way, which is finished or taken back should it be broken off."""

    PREFIX = WORK
    WHAT = "the record of a change under way"

    connection: str
    verb: str
    incarnation: int
    since: float = 0.0
    config: bytes = b""
    """The definition that is stored where the change is finished, compressed (zlib); empty where it stays."""
    before: bytes = b""
    """The definition as it was, compressed, where the hypervisor keeps definitions; it gets that back, or `config`."""
    reach: Mapping[str, Any] | None = None
    """Who brought in what that definition names on the host (reaching.py)."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """What the driver needs to finish it or to take it back; opaque."""
    kept: Mapping[str, Any] = field(default_factory=dict)
