"""A driver's environment for tests: a real loop, real threads, real QEMU, and facts kept in a list."""

import asyncio
import contextlib
import logging
import uuid as uuids
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mechane.hypervisors.contract import (
    CancelFlag,
    Deadlines,
    Handle,
    Itself,
    Started,
    StartMode,
    StartRequest,
    Target,
)
from mechane.hypervisors.facts import Exited, Fact, Spawned
from mechane.hypervisors.qemu.driver import QemuDriver
from mechane.hypervisors.qemu.strays import is_guest
from mechane.hypervisors.uri import ConnectionUri
from mechane.tests.guest.xml import idle_xml

T = TypeVar("T")
WAIT_S = 20.0
PAUSE_S = 0.002
LOG = logging.getLogger("tests.qemu")


class Facts:
    """Keeps what the driver reports of one guest."""

    def __init__(self) -> None:
        self.seen: list[Fact] = []

    def put(self, fact: Fact) -> None:
        self.seen.append(fact)

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.seen if isinstance(fact, kind)]


class Env:
    """Implements hypervisors.contract.DriverEnv."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], deadlines: Deadlines) -> None:
        self.uri = ConnectionUri.parse("qemu:///system")
        self.state_dir = folder / "state"
        self.runtime_dir = folder / "run"
        self.settings = settings
        self.deadlines = deadlines
        self.loop = asyncio.get_running_loop()
        self.xml: dict[str, str] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.tidying: set[asyncio.Task[None]] = set()
        for made in (self.state_dir, self.runtime_dir):
            made.mkdir(mode=0o700, exist_ok=True)

    async def blocking(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str | Itself,
        undo: Callable[[T], None] | None = None,
    ) -> T:  # fmt: skip
        return await asyncio.wait_for(asyncio.to_thread(function, *args), deadline_s)

    async def clean_up(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str, what: str
    ) -> T:
        return await asyncio.wait_for(asyncio.to_thread(function, *args), deadline_s)

    async def tidy(self, work: Coroutine[Any, Any, None], *, domain: str, what: str, wait_s: float) -> bool:
        task = asyncio.ensure_future(work)
        self.tidying.add(task)
        task.add_done_callback(self.tidying.discard)
        await asyncio.wait([task], timeout=wait_s)
        if task.done():
            task.result()
        return task.done()

    async def pure(self, function: Callable[..., T], /, *args: Any, size: int = 0) -> T:
        return function(*args)

    async def definition(self, uuid: str) -> str:
        return self.xml[uuid]

    async def intend(self, uuid: str, note: Mapping[str, Any]) -> None:
        """Keep the note."""
        self.notes[uuid] = dict(note)

    def connection_changed(self, *, up: bool, message: str = "") -> None:
        LOG.info("connection up=%s %s", up, message)

    def domains_changed(self) -> None:
        LOG.info("domains changed")

    def sink(self, uuid: str) -> None:
        return None


class Node:
    """A driver with its environment, and the guests that a test started with it."""

    def __init__(self, driver: QemuDriver, env: Env) -> None:
        self.driver = driver
        self.env = env
        self.kills: dict[str, tuple[Target, Facts]] = {}
        self.handles: dict[str, list[Handle]] = {}

    async def start(
        self, xml: str | None = None, *, name: str = "guest", paused: bool = False, cancel: CancelFlag | None = None,
        uuid: str = "", facts: Facts | None = None, source: str = "",
    ) -> tuple[Target, Started, Facts]:  # fmt: skip
        """Start a guest; without XML the idle one."""
        uuid = uuid or str(uuids.uuid4())
        target = Target(uuid=uuid, name=name, incarnation=1, id=7)
        facts = facts or Facts()
        self.kills[uuid] = (target, facts)
        records = self.handles.setdefault(uuid, [])

        async def record(handle: Handle) -> None:
            records.append(dict(handle))

        started = await self.driver.start(
            StartRequest(
                target=target, xml=xml or idle_xml(name, uuid=uuid), paused=paused, cancel=cancel or CancelFlag(),
                record=record, facts=facts, source=source, mode=StartMode.RESTORE if source else StartMode.BOOT,
            )
        )  # fmt: skip
        self.env.xml[uuid] = started.live_xml or ""
        return target, started, facts

    async def destroy(self, target: Target, facts: Facts, grace_s: float = 0.0) -> Exited:
        """End a guest by its kill handle, and clean up."""
        facts.of(Spawned)[-1].kill.kill(grace_s)
        await until(lambda: facts.of(Exited))
        await self.driver.finished(target)
        return facts.of(Exited)[-1]

    def guest_folders(self) -> list[str]:
        """Return the folders of guests; beside them are those of probes and of locks."""
        return [entry.name for entry in self.env.runtime_dir.iterdir() if entry.is_dir() and is_guest(entry.name)]

    async def end_all(self) -> None:
        """End what the test left running."""
        for _, facts in self.kills.values():
            spawned = facts.of(Spawned)
            if spawned and not facts.of(Exited):
                spawned[-1].kill.kill(0.0)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def node(
    folder: Path, *, deadlines: Deadlines | None = None, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Node]:
    """Open a driver for a test, and end its guests afterwards.

    The KVM probe is off unless a test wants it.
    """
    env = Env(folder, {"kvm": "off", **(settings or {})}, deadlines or Deadlines())
    driver = QemuDriver(env)
    await driver.open()
    made = Node(driver, env)
    try:
        yield made
    finally:
        await made.end_all()
        await driver.close()


async def until(condition: Callable[[], T], timeout_s: float = WAIT_S, what: str = "the condition") -> T:
    """Return the first true value of a condition, asked again and again on the loop."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not (value := condition()):
        assert loop.time() < deadline, f"{what} did not come true within {timeout_s} s; last value: {value!r}"
        await asyncio.sleep(PAUSE_S)
    return value


def run(work: Awaitable[T], timeout_s: float = 55) -> T:
    """Run a test's coroutine on a loop of its own."""

    async def main() -> T:
        return await asyncio.wait_for(work, timeout_s)

    return asyncio.run(main())
