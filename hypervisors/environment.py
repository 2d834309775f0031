"""What the node gives a driver: folders, settings, deadlines, and threads for what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .facts import FactSink
from .uri import ConnectionUri

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds that a driver may wait, by kind of command (settings, [deadlines])."""

    query_s: float = 5.0
    change_s: float = 30.0
    start_s: float = 60.0
    probe_s: float = 30.0
    tool_s: float = 60.0
    destroy_grace_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Itself:
    """Says that blocking work is of the connection itself and of no domain, and which of its concerns it looks at.

    Each concern has a share of its own: one that hangs is in nobody else's way.
    """

    what: str


class DriverEnv(Protocol):
    """What the node gives a driver."""

    uri: ConnectionUri
    state_dir: Path
    """Durable folder of this connection (0700)."""
    runtime_dir: Path
    """Folder of this connection that may vanish at boot (0700)."""
    settings: Mapping[str, Any]
    """The driver's own section of the settings, such as [qemu]."""
    deadlines: Deadlines
    loop: asyncio.AbstractEventLoop

    async def blocking(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str | Itself,
        undo: Callable[[T], None] | None = None,
    ) -> T:  # fmt: skip
        """Run a blocking function on a thread of the connection's that can be given up.

        Whatever touches a file of a guest must be run by this: its storage may never answer.

        Args:
            function: what to run.
            args: its arguments.
            deadline_s: seconds until DeadlineExceeded is raised; the thread is given up on.
            domain: UUID it runs for, or which concern of the connection itself; that alone is refused more
                while this hangs.
            undo: given the result where nobody waits for it any more; runs on a thread, too.

        Raises:
            Unresponsive: an earlier function of the same domain or concern hangs.
            DeadlineExceeded: it did not end.
        """
        ...

    async def clean_up(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str, what: str
    ) -> T:
        """Run the clean-up after a guest: never refused, and after all that still runs for the domain.

        Args:
            function: what to run.
            args: its arguments.
            deadline_s: seconds to wait for it; it goes on afterwards, and the node keeps the domain's record until
                it has ended.
            domain: UUID of the domain.
            what: what stays behind until it has ended, for people.

        Raises:
            DeadlineExceeded: it still waits, or runs.
        """
        ...

    async def tidy(
        self, work: Coroutine[Any, Any, None], *, domain: str, what: str, wait_s: float
    ) -> bool:
        """Clean up after a guest, and return whether that was done within `wait_s` seconds.

        It goes on otherwise: the node then says what is left, keeps the domain's record and refuses it a new
        start until it has ended. Errors of what ended in time are raised.

        Args:
            work: cleans up; it may wait for a process that the kernel holds.
            domain: UUID of the domain.
            what: what stays behind until it has ended, for people.
            wait_s: seconds to wait for it.
        """
        ...

    async def pure(self, function: Callable[..., T], /, *args: Any, size: int = 0) -> T:
        """Run a pure function of plain data, in a worker process when `size` bytes is large.

        Errors of config.errors come back as themselves.
        """
        ...

    async def definition(self, uuid: str) -> str:
        """Return the XML of a domain as it runs, or as it is defined where it does not run.

        Raises:
            NotFound: it is not known.
        """
        ...

    async def intend(self, uuid: str, note: Mapping[str, Any]) -> None:
        """Make durable what is about to be changed, before anything is: `Driver.recover` is given the last note.

        Args:
            uuid: the domain.
            note: plain data that MessagePack can pack; documents in it are bytes that `packed` made.

        Raises:
            StoreError, Busy, InvalidArgument: it is not durable, and nothing may be changed.
        """
        ...

    def connection_changed(self, *, up: bool, message: str = "") -> None:
        """Say that the hypervisor as a whole went away or came back; any thread."""
        ...

    def domains_changed(self) -> None:
        """Ask for a fresh `discover`: something changed behind our back; any thread."""
        ...

    def sink(self, uuid: str) -> FactSink | None:
        """Return where to report facts of a domain, or None when it is not known."""
        ...
