"""What a driver is given: folders, settings, the loop, a bounded pool behind a breaker.

Guarantees of `blocking`: it never waits longer than its deadline; a domain whose tool
hangs holds one thread at most (further calls for it are refused until that thread comes
back); all hung ones together hold at most half of the pool, so tools of healthy domains
always find a thread.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...config.errors import Busy, Cancelled, DeadlineExceeded, NoDomain, Unresponsive
from ...hypervisors.contract import Deadlines
from ...hypervisors.facts import FactSink
from ...hypervisors.uri import ConnectionUri

if TYPE_CHECKING:
    from .supervisor import Supervisor

T = TypeVar("T")
POOL_THREADS = 8
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
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix=f"tool-{slug}")
        self._hung: dict[str, int] = {}

    async def blocking(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str = ""
    ) -> T:
        """Run a blocking function on the pool; see the module for what is promised."""
        if self._hung.get(domain):
            raise Unresponsive("an earlier command of this domain still hangs", remedy="destroy the domain or wait",
                               domain=domain)  # fmt: skip
        if sum(self._hung.values()) >= POOL_THREADS - 1:
            raise Busy("too many tools of this connection hang", remedy="end the hung tools", what="tool threads",
                       limit=POOL_THREADS)  # fmt: skip
        try:
            work = self.loop.run_in_executor(self._pool, lambda: function(*args))
        except RuntimeError as error:  # the pool is shut down
            raise Cancelled("the node is stopping", remedy="start it again") from error
        try:
            return await asyncio.wait_for(asyncio.shield(work), deadline_s)
        except TimeoutError:
            self._give_up_on(work, domain)
            raise DeadlineExceeded(
                f"{getattr(function, '__name__', 'a tool')} did not end within {deadline_s:g} s",
                remedy="look at the hypervisor's tools", still_running=True,
            ) from None  # fmt: skip
        except asyncio.CancelledError:
            self._give_up_on(work, domain)
            raise

    def _give_up_on(self, work: asyncio.Future[Any], domain: str) -> None:
        if work.done():
            return
        self._hung[domain] = self._hung.get(domain, 0) + 1

        def back(done: asyncio.Future[Any]) -> None:
            if not done.cancelled():
                done.exception()  # it came too late for anybody
            self._hung[domain] -= 1
            if not self._hung[domain]:
                del self._hung[domain]

        work.add_done_callback(back)

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
        """Let the pool's threads end when they can."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _passed(folder: Path) -> Path:
    """Make the folder above the connections' own: a driver's guests pass it, as other users, and cannot list it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # another user's, who decides
        folder.chmod(0o711)  # also one that an earlier version made, whatever the umask
    return folder
