"""The immutable snapshot of a domain that HIGH calls are answered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from ...config.states import STATE_NUMBERS, State, reason_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a domain was given, for get_info: from the definition, or of the running guest."""

    max_memory_kib: int = 0
    memory_kib: int = 0
    vcpus: int = 1
    max_vcpus: int = 1
    os_type: str = "hvm"
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A monitor that does not answer: which command, since when (wall clock)."""

    command: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is published of a domain. Changed only by `reduce`."""

    uuid: str
    name: str
    node: str
    connection: str
    state: State = State.SHUTOFF
    reason: str = "unknown"
    id: int | None = None
    persistent: bool = False
    autostart: bool = False
    title: str = ""
    size: Size = Size()
    defined: Size | None = None
    """The definition's size, which a running guest's may differ from; None for transient domains."""
    incarnation: int = 0
    version: int = 1
    changes: int = 0
    """How often the state of a guest has changed."""
    starting: bool = False
    pid: int | None = None
    started_at: float = 0.0
    stuck: Stuck | None = None
    quarantined: str = ""
    zombie: str = ""
    left: str = ""
    """What the clean-up after the last guest has not given back yet: its storage does not answer."""

    @property
    def control(self) -> str:
        """Return the word for how far the domain can be talked to."""
        if self.quarantined:
            return "quarantined"
        if self.stuck is not None:
            return "unresponsive"
        if self.zombie:
            return "zombie"
        if self.left:
            return "cleaning"
        return "ok"

    @property
    def active(self) -> bool:
        """Return whether there is a guest, running, paused or being started."""
        return self.id is not None

    def record(self) -> dict[str, Any]:
        """Return the `DomainRecord` map."""
        return {
            "uuid": self.uuid,
            "name": self.name,
            "node": self.node,
            "connection": self.connection,
            "state": self.state.value,
            "reason": self.reason,
            "id": self.id,
            "persistent": self.persistent,
            "autostart": self.autostart,
            "title": self.title,
            "control": self.control,
            "incarnation": self.incarnation,
        }

    def pack_record(self) -> bytes:
        """Return the packed `DomainRecord`."""
        packed: bytes = msgpack.packb(self.record())
        return packed

    def pack_state(self) -> bytes:
        """Return the packed `DomainState`."""
        packed: bytes = msgpack.packb(
            {
                "uuid": self.uuid,
                "state": self.state.value,
                "reason": self.reason,
                "state_number": STATE_NUMBERS[self.state],
                "reason_number": reason_number(self.state, self.reason),
                "control": self.control,
                "version": self.version,
            }
        )
        return packed
