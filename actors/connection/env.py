"""What a driver is given: folders, settings, the loop, and threads that can be given up (workers.py)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...config.errors import MechaneError, NoDomain
from ...hypervisors.contract import Deadlines, Itself
from ...hypervisors.facts import FactSink
from ...hypervisors.uri import ConnectionUri
from .workers import Workers

if TYPE_CHECKING:
    from .supervisor import Supervisor

T = TypeVar("T")
INLINE_BYTES = 16 * 1024
"""Pure functions of smaller input run on the loop: below 2 ms (measured)."""
PURE_DEADLINE_S = 10.0


class ConnectionEnv:
    """Implements hypervisors.contract.DriverEnv."""

    def __init__(self, supervisor: Supervisor, uri: ConnectionUri, deadlines: Deadlines, settings: Any) -> None:
        self.uri = uri
        self.deadlines = deadlines
        self.settings: Mapping[str, Any] = settings
        self.loop = supervisor.home.loop
        services = supervisor.services
        slug = re.sub(r"[^A-Za-z0-9]+", "-", uri.text).strip("-")
        self.state_dir = _private(_passed(services.state_dir / "c") / slug)
        self.runtime_dir = _private(_passed(services.runtime_dir / "c") / slug)
        self._supervisor = supervisor
        self._late: dict[str, dict[asyncio.Task[None], str]] = {}
        self._workers = Workers(self.loop, f"tool-{slug}")

    async def blocking(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str | Itself,
        undo: Callable[[T], None] | None = None,
    ) -> T:  # fmt: skip
        """Run a blocking function on a thread; workers.py says what is promised."""
        result: T = await self._workers.run(partial(function, *args), domain, deadline_s, undo)
        return result

    async def clean_up(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str, what: str
    ) -> T:
        """Run the clean-up after a guest, in its order and never refused."""
        result: T = await self._workers.clean(partial(function, *args), domain, deadline_s, what)
        return result

    async def tidy(self, work: Coroutine[Any, Any, None], *, domain: str, what: str, wait_s: float) -> bool:
        """Clean up after a guest, in the background where that takes longer."""
        task = self._supervisor.home.spawn(work, f"clean-up of {domain}")
        self._late.setdefault(domain, {})[task] = what  # at once: whoever waits here may be cancelled
        task.add_done_callback(partial(self._tidied, domain))
        await asyncio.wait([task], timeout=wait_s)
        if task.done():
            task.result()
            return True
        return False

    def _tidied(self, uuid: str, task: asyncio.Task[None]) -> None:
        late = self._late[uuid]
        del late[task]
        if not late:
            del self._late[uuid]

    def left(self, uuid: str) -> str:
        """Say what the clean-up after a domain's guest has not given back yet. Loop's thread."""
        words = [*self._late.get(uuid, {}).values(), self._workers.left(uuid)]
        return ", ".join(dict.fromkeys(word for word in words if word))

    def cleaning(self, uuid: str) -> asyncio.Future[Any] | None:
        """Return what is done when the clean-ups of a domain have ended; None where none is left. Loop's thread."""
        waits: list[asyncio.Future[Any]] = [*self._late.get(uuid, ())]
        if (blocking := self._workers.cleaning(uuid)) is not None:
            waits.append(blocking)
        return asyncio.gather(*waits, return_exceptions=True) if waits else None

    def give_up(self, uuid: str, error: MechaneError) -> None:
        """Let the verb of a domain that waits for its storage go; what it waits for runs on. Loop's thread."""
        self._workers.give_up(uuid, error)

    async def pure(self, function: Callable[..., T], /, *args: Any, size: int = 0) -> T:
        """Run a pure function here when its input is small, else in the worker process."""
        if size < INLINE_BYTES:
            return function(*args)
        name = f"{function.__module__}:{function.__qualname__}"
        result: T = await self._supervisor.services.offload.run(name, *args, deadline_s=PURE_DEADLINE_S)
        return result

    async def definition(self, uuid: str) -> str:
        """Return a domain's live XML, or its definition where it does not run.

        Raises:
            NoDomain: it is not of this connection.
        """
        from ..domain.undertaking import run_of

        entry = self._supervisor.services.directory.get(uuid)
        if entry is None or entry.connection != self.uri.text:
            raise NoDomain(f"{self.uri.text} has no domain {uuid}", remedy="`mechane list --all` shows them")
        if entry.cell.snapshot.active:
            run = await run_of(self._supervisor.services, entry)
            if run is not None and run.live_xml:
                return run.live_xml
        return await self._supervisor.definition(entry)

    async def intend(self, uuid: str, note: Mapping[str, Any]) -> None:
        """Store the note of a change; see `DriverEnv.intend`."""
        from ..domain.undertaking import intend

        entry = self._supervisor.services.directory.get(uuid)
        if entry is not None and entry.connection == self.uri.text:
            await intend(self._supervisor.services, entry, note)

    def connection_changed(self, *, up: bool, message: str = "") -> None:
        """Tell the supervisor that the hypervisor went away or came back; any thread."""
        self._supervisor.home.call(self._supervisor.hypervisor_changed, up, message)

    def domains_changed(self) -> None:
        """Ask the supervisor for a fresh discovery; any thread."""
        self._supervisor.home.call(self._supervisor.discover_soon)

    def sink(self, uuid: str) -> FactSink | None:
        """Return where to report facts of a domain, or None."""
        entry = self._supervisor.services.directory.get(uuid)
        if entry is None or entry.connection != self.uri.text:
            return None
        return self._supervisor.sink_of(entry)

    def close(self) -> None:
        """Let the threads end when they can. Loop's thread."""
        self._workers.close()


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _passed(folder: Path) -> Path:
    """Make the folder above the connections' own: a driver's guests pass it, as other users, and cannot list it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # another user's, who decides
        folder.chmod(0o711)  # also one that an earlier version made, whatever the umask
    return folder
