"""For whom the running task works: a client's number, and whether it only reads.

Set at the edge where a client's call begins to run; whatever that calls, through drivers too, finds it here, so that
shared resources (the worker process) can be fair without a client being handed through every function.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple, Protocol


class Asker(NamedTuple):
    """A client; 0 is the node itself."""

    client: int = 0
    reads: bool = False
    """Whether it came by the read-only socket, where anybody on the host may be one."""


class _Client(Protocol):
    """What is read of a client."""

    id: int
    read_only: bool


NOBODY = Asker()
_ASKER: ContextVar[Asker] = ContextVar("asker", default=NOBODY)


def work_for(client: _Client) -> None:
    """Say for whom this task works from now on."""
    _ASKER.set(Asker(client.id, client.read_only))


def asker() -> Asker:
    """Return for whom this task works; the node itself where nobody said."""
    return _ASKER.get()
