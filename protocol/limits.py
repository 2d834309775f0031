"""The limits of a node: one table, from which hello, docs and settings derive.

Each row is a field of `Limits` with its unit, its range and what it bounds. The read-only
socket has tighter values where a row says so. A `Limits` never changes: `changed` returns
a new one, which the node hands to whoever it concerns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from ..config.errors import InvalidArgument

KIB = 1024
MIB = 1024 * 1024


def _row(
    default: float, unit: str, doc: str, *, low: float, high: float, read_only: float | None = None
) -> Any:
    """Declare a row: default, unit, what it bounds, range, and the read-only socket's value."""
    return field(
        default=default,
        metadata={"unit": unit, "doc": doc, "low": low, "high": high, "read_only": read_only},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One row of the table, for docs and for `node.set_limits`."""

    name: str
    default: float
    read_only: float
    unit: str
    lowest: float
    highest: float
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit of the wire, of the mailboxes and of the calls, with its default."""

    frame_bytes: int = _row(
        MIB, "bytes", "one message, from its first to its last byte",
        low=4 * KIB, high=64 * MIB, read_only=64 * KIB,
    )  # fmt: skip
    array_length: int = _row(
        4096, "items", "one array or map of a message", low=64, high=65536, read_only=512
    )  # fmt: skip
    depth: int = _row(32, "levels", "maps and arrays inside each other in one argument", low=4, high=256)
    calls_in_flight: int = _row(
        1024, "calls", "calls of one client that wait for their answer",
        low=1, high=65536, read_only=64,
    )  # fmt: skip
    clients: int = _row(
        1000, "clients", "clients connected at once, for each socket",
        low=1, high=100000, read_only=200,
    )  # fmt: skip
    outbox_bytes: int = _row(
        32 * MIB, "bytes", "answers a client has not read; beyond it is disconnected",
        low=64 * KIB, high=1024 * MIB, read_only=8 * MIB,
    )  # fmt: skip
    outbox_pause_bytes: int = _row(
        MIB, "bytes", "answers not read from which no further call is read",
        low=16 * KIB, high=256 * MIB, read_only=256 * KIB,
    )  # fmt: skip
    half_frame_s: float = _row(
        30.0, "s", "time to send the rest of a message once it began",
        low=1, high=3600, read_only=10.0,
    )  # fmt: skip
    handshake_s: float = _row(10.0, "s", "time for a TLS handshake", low=1, high=300)
    streams: int = _row(16, "streams", "open streams of one client", low=0, high=1024, read_only=0)
    stream_credit_bytes: int = _row(
        256 * KIB, "bytes", "data of a stream under way in each direction",
        low=4 * KIB, high=16 * MIB,
    )  # fmt: skip
    subscriptions: int = _row(
        16, "subscriptions", "event subscriptions of one client", low=0, high=1024, read_only=4
    )  # fmt: skip
    name_length: int = _row(1024, "characters", "a name or another short text argument", low=256, high=65536)
    xml_bytes: int = _row(512 * KIB, "bytes", "one XML document", low=4 * KIB, high=512 * KIB)
    mailbox_length: int = _row(
        64, "calls", "calls that wait for one domain or connection (three quarters for the read-only socket's clients)",
        low=1, high=65536,
    )  # fmt: skip
    router_length: int = _row(
        4096, "calls", "calls that wait for an executor, for each priority",
        low=16, high=1000000,
    )  # fmt: skip
    journal_length: int = _row(10000, "events", "events kept for clients that resume", low=100, high=1000000)
    deadline_query_s: float = _row(
        10.0, "s", "a call that asks, when the caller names no deadline",
        low=0.1, high=86400,
    )  # fmt: skip
    deadline_change_s: float = _row(60.0, "s", "a call that changes", low=0.1, high=86400)
    deadline_start_s: float = _row(120.0, "s", "a call that starts a domain", low=0.1, high=86400)
    deadline_destroy_s: float = _row(60.0, "s", "a call that destroys a domain", low=0.1, high=86400)
    deadline_monitor_s: float = _row(30.0, "s", "a monitor command of a client", low=0.1, high=86400)
    deadline_job_s: float = _row(3600.0, "s", "a long operation: save, restore, snapshot", low=0.1, high=86400)
    deadline_probe_s: float = _row(
        60.0, "s", "a call that probes what a hypervisor can do", low=0.1, high=86400
    )  # fmt: skip
    deadline_wait_s: float = _row(3600.0, "s", "a call that waits for a state", low=0.1, high=86400)

    def for_read_only(self) -> Limits:
        """Return the limits of the read-only socket: the tighter of its own and ours."""
        tighter = {
            row.name: min(getattr(self, row.name), row.metadata["read_only"])
            for row in fields(self)
            if row.metadata["read_only"] is not None
        }
        return replace(self, **tighter)

    def deadline_s(self, kind: str) -> float:
        """Return the default deadline in seconds of calls of a kind (`CallSpec.deadline`).

        Raises:
            KeyError: there is no such kind.
        """
        value = getattr(self, f"deadline_{kind}_s", None)
        if value is None:
            raise KeyError(kind)
        return float(value)

    def to_wire(self) -> dict[str, int | float]:
        """Return all values by name, as hello answers them."""
        return {row.name: getattr(self, row.name) for row in fields(self)}

    def changed(self, values: Mapping[str, Any]) -> Limits:
        """Return these limits with some values changed.

        Raises:
            InvalidArgument: an unknown name, a wrong type or a value out of range.
        """
        known = {row.name: row for row in fields(self)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            row = known.get(name)
            if row is None:
                raise InvalidArgument(
                    f"there is no limit {str(name)[:100]!r}", remedy="node.get_limits lists them",
                    path="limits", value=str(name)[:100], allowed=sorted(known),
                )  # fmt: skip
            checked[name] = _checked(row, value)
        return replace(self, **checked)


def _checked(row: Field[Any], value: Any) -> int | float:
    whole = isinstance(row.default, int)
    low, high = row.metadata["low"], row.metadata["high"]
    right_type = type(value) is int or (type(value) is float and not whole)
    if not right_type or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise InvalidArgument(
            f"limit {row.name} must be {kind} from {low} to {high} ({row.metadata['unit']})",
            remedy="give a value within that range",
            path=f"limits.{row.name}", value=str(value)[:100], allowed=f"{low} to {high}",
        )  # fmt: skip
    return value if whole else float(value)


def limit_rows() -> Iterator[LimitRow]:
    """Yield the table with its defaults, for docs/calls.md and `node.set_limits`."""
    for row in fields(Limits):
        default: Any = row.default
        read_only = row.metadata["read_only"]
        yield LimitRow(
            name=row.name,
            default=default,
            read_only=default if read_only is None else read_only,
            unit=row.metadata["unit"],
            lowest=row.metadata["low"],
            highest=row.metadata["high"],
            doc=row.metadata["doc"],
        )
