"""Where a driver is checked: an environment as the node gives it, and a recorder of facts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...config.errors import DeadlineExceeded, MechaneError
from ..contract import (
    CancelFlag,
    Deadlines,
    Driver,
    DriverEnv,
    Handle,
    Itself,
    Scope,
    Started,
    StartMode,
    StartRequest,
    Target,
)
from ..facts import Exited, Fact, FactSink, KillHandle, Spawned
from ..uri import ConnectionUri

T = TypeVar("T")
F = TypeVar("F", bound=Fact)

Release = Callable[[], Awaitable[None]]


class CheckFailed(AssertionError):
    """A driver broke the contract; the message says in one sentence how."""


def expect(condition: object, sentence: str) -> None:
    """Raise `CheckFailed` with `sentence` unless `condition` holds."""
    if not condition:
        raise CheckFailed(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The driver under check, and what is known of its guests.

    `xml(uuid, name)` returns a definition that boots. `hang(driver, target)` makes the
    guest's monitor stop answering and returns what releases it; None where that cannot be
    done. `obeys_shutdown`: the guest ends when asked. `survives`: guests live on when the
    driver is closed. `console_says`: what the console says some time after a line feed.
    `kept_xml(folder, uuid, name)`: a definition whose guest can have snapshots, where `xml`'s
    cannot; its files go into the folder. `device`: a device element that comes and goes
    without the guest's help; '' where there is none. `tells_files`: a file of `save` says which
    guest it is of, so that any other file is refused. `shell`: what runs a script of POSIX sh in a
    guest, with `dd`, `cat` and `stty`. `snapshots_when_off`: those of a running guest are refused.
    `console_refused`: the product has consoles, and guests of `xml` have none.
    """

    factory: Callable[[DriverEnv], Driver]
    xml: Callable[[str, str], str]
    uri: str
    hang: Callable[[Driver, Target], Awaitable[Release]] | None = None
    obeys_shutdown: bool = True
    survives: bool = True
    console_says: bytes | None = None
    monitor_query: str = '{"execute": "query-status"}'
    monitor_nonsense: str = '{"execute": "no-such-command"}'
    bad_xml: str = "<domain type='nonsense'><name>bad</name><memory>1024</memory></domain>"
    kept_xml: Callable[[Path, str, str], str] | None = None
    device: str = ""
    tells_files: bool = False
    snapshots_when_off: bool = False
    console_refused: bool = False
    shell: tuple[str, ...] = ("sh", "-c")
    settings: Mapping[str, Any] = field(default_factory=dict)
    deadlines: Deadlines = Deadlines(query_s=1.0, change_s=5.0, start_s=30.0, destroy_grace_s=0.5)
    timeout_s: float = 30.0


class Recorder:
    """A fact sink that keeps everything; facts may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._facts: list[Fact] = []
        self.on_fact: Callable[[Fact], None] = lambda _: None

    def put(self, fact: Fact) -> None:
        """Keep a fact."""
        with self._lock:
            self._facts.append(fact)
        self.on_fact(fact)

    def all(self) -> list[Fact]:
        """Return what was reported so far, oldest first."""
        with self._lock:
            return list(self._facts)

    def of(self, kind: type[F]) -> list[F]:
        """Return the facts of one kind."""
        return [fact for fact in self.all() if isinstance(fact, kind)]


class CheckEnv:
    """What the node gives a driver, without a node."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.uri = ConnectionUri.parse(subject.uri)
        self.state_dir = folder / "s"
        self.runtime_dir = folder / "r"
        self.settings = subject.settings
        self.deadlines = subject.deadlines
        self.loop = asyncio.get_running_loop()
        self.sinks: dict[str, FactSink] = {}
        self.xml: dict[str, str] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        for each in (self.state_dir, self.runtime_dir):
            each.mkdir(mode=0o700, exist_ok=True)

    async def blocking(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str | Itself,
        undo: Callable[[T], None] | None = None,
    ) -> T:  # fmt: skip
        """Run a blocking function on a thread under a deadline."""
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.to_thread(function, *args)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no result within {deadline_s:g} s", remedy="look at the tool") from error

    async def clean_up(
        self, function: Callable[..., T], /, *args: Any, deadline_s: float, domain: str, what: str
    ) -> T:
        """Run a clean-up on a thread under a deadline."""
        return await self.blocking(function, *args, deadline_s=deadline_s, domain=domain)

    async def tidy(self, work: Coroutine[Any, Any, None], *, domain: str, what: str, wait_s: float) -> bool:
        """Clean up, under the subject's own deadline."""
        await work
        return True

    async def pure(self, function: Callable[..., T], /, *args: Any, size: int = 0) -> T:
        """Run a pure function here."""
        return function(*args)

    async def definition(self, uuid: str) -> str:
        """Return the XML of a guest: as it runs, else as it was first started."""
        return self.xml[uuid]

    async def intend(self, uuid: str, note: Mapping[str, Any]) -> None:
        """Keep the note."""
        self.notes[uuid] = dict(note)

    def connection_changed(self, *, up: bool, message: str = "") -> None:
        """Take note of nothing: checks look at facts."""

    def domains_changed(self) -> None:
        """Take note of nothing: checks discover when they want to."""

    def sink(self, uuid: str) -> FactSink | None:
        """Return the recorder of a guest."""
        return self.sinks.get(uuid)


@dataclass(slots=True, kw_only=True)
class Trial:
    """One start of a guest, and all that came of it."""

    target: Target
    facts: Recorder
    handles: list[Handle] = field(default_factory=list)
    started: Started | None = None
    before: int = 0
    """How many facts there were when the start returned; the node digests those as part of it."""

    def kill_handle(self) -> KillHandle:
        """Return the kill handle that `Spawned` brought."""
        spawned = self.facts.of(Spawned)
        expect(spawned, "no Spawned was reported, so nothing can be killed")
        return spawned[-1].kill


class Lab:
    """A folder, a driver in it, and the guests that a check started."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self.folder = folder
        self.env = CheckEnv(subject, folder)
        self.driver = subject.factory(self.env)
        self._serial = 0
        self._trials: list[Trial] = []

    def target(self, incarnation: int = 1) -> Target:
        """Return a fresh guest's target."""
        self._serial += 1
        uuid = f"c0ffee00-0000-4000-8000-{self._serial:012d}"
        return Target(uuid=uuid, name=f"check-{self._serial}", incarnation=incarnation, id=self._serial)

    def xml(self, target: Target) -> str:
        """Return a definition for a target."""
        return self.subject.xml(target.uuid, target.name)

    def kept_xml(self, target: Target) -> str:
        """Return a definition for a target that can have snapshots."""
        make = self.subject.kept_xml
        return self.xml(target) if make is None else make(self.folder, target.uuid, target.name)

    async def start(
        self, target: Target | None = None, *, paused: bool = False, cancel: CancelFlag | None = None,
        record: Callable[[Handle], Awaitable[None]] | None = None, trial: Trial | None = None,
        source: str = "", kept: bool = False,
    ) -> Trial:  # fmt: skip
        """Start a guest under a deadline and return what came of it."""
        trial = trial or self.trial(target or self.target())

        async def keep(handle: Handle) -> None:
            trial.handles.append(dict(handle))
            if record is not None:
                await record(handle)

        xml = self.kept_xml(trial.target) if kept else self.xml(trial.target)
        self.env.xml[trial.target.uuid] = xml
        request = StartRequest(
            target=trial.target, xml=xml, paused=paused, token="check", source=source,
            mode=StartMode.RESTORE if source else StartMode.BOOT, cancel=cancel or CancelFlag(), record=keep,
            facts=trial.facts,
        )  # fmt: skip
        trial.started = await self.soon(self.driver.start(request), "start")
        self.env.xml[trial.target.uuid] = trial.started.live_xml or xml
        trial.handles.append(trial.started.handle)
        trial.before = len(trial.facts.all())
        return trial

    def definition_of(self, trial: Trial) -> str:
        """Return the XML that a guest was started from."""
        return self.env.xml[trial.target.uuid]

    def trial(self, target: Target) -> Trial:
        """Prepare a start: its recorder is the guest's sink from now on."""
        trial = Trial(target=target, facts=Recorder())
        self.env.sinks[target.uuid] = trial.facts
        self._trials.append(trial)
        return trial

    async def soon(self, awaitable: Awaitable[T], what: str) -> T:
        """Await something that must end within the subject's time."""
        try:
            async with asyncio.timeout(self.subject.timeout_s):
                return await awaitable
        except TimeoutError as error:
            raise CheckFailed(f"{what} did not return within {self.subject.timeout_s:g} s") from error

    async def until(self, condition: Callable[[], object], sentence: str) -> None:
        """Wait until a condition holds, or fail with `sentence`."""
        deadline = self.env.loop.time() + self.subject.timeout_s
        while not condition():
            expect(self.env.loop.time() < deadline, f"{sentence} (waited {self.subject.timeout_s:g} s)")
            await asyncio.sleep(0.005)

    async def refuses(self, awaitable: Awaitable[Any], what: str) -> MechaneError:
        """Demand that something fails with an error of config.errors, and return it."""
        try:
            await self.soon(awaitable, what)
        except MechaneError as error:
            return error
        except CheckFailed:
            raise
        except Exception as error:  # the check's edge: the finding
            raise CheckFailed(f"{what} raised {error!r} where a MechaneError is due") from error
        raise CheckFailed(f"{what} succeeded where it must be refused")

    async def end(self, trial: Trial) -> Exited:
        """Kill a guest, wait for its one `Exited`, and clean up after it."""
        if not trial.facts.of(Exited):
            trial.kill_handle().kill(0.0)
        return await self.ended(trial)

    async def ended(self, trial: Trial) -> Exited:
        """Wait for a guest's one `Exited` and clean up after it."""
        await self.until(lambda: trial.facts.of(Exited), "the guest ended and no Exited was reported")
        await self.soon(self.driver.finished(trial.target), "finished")
        await asyncio.sleep(0.02)  # a second Exited would come now
        exits = trial.facts.of(Exited)
        expect(len(exits) == 1, f"Exited was reported {len(exits)} times for one guest")
        return exits[0]

    async def nothing_left(self, trial: Trial) -> None:
        """Demand that a start which failed left no guest, process or file."""
        await asyncio.sleep(0.02)  # an exit may be reported late, but no more than once
        exits = trial.facts.of(Exited)
        expect(len(exits) <= len(trial.facts.of(Spawned)), f"a failed start reported Exited {len(exits)} times")
        for handle in trial.handles:
            again = self.driver.reattach(trial.target, handle, Recorder())
            expect(
                await self.soon(again, "reattach") is None, "a failed start left a guest that can be taken up"
            )
        await self.until(
            lambda: not self.processes(trial.target.uuid), "a failed start left a process behind"
        )
        files = [str(path) for path in self.env.runtime_dir.rglob(f"*{trial.target.uuid}*")]
        expect(not files, f"a failed start left files behind: {files}")

    def processes(self, needle: str = "") -> list[int]:
        """Return processes that name this lab's runtime folder (and `needle`) in their argv."""
        if self.driver.scope is not Scope.HOST:
            return []
        folder, found = str(self.env.runtime_dir).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # ended while we looked
                    argv = (entry / "cmdline").read_bytes()
                    if folder in argv and needle.encode() in argv:
                        found.append(int(entry.name))
        return found

    async def restart(self) -> None:
        """Close the driver and open another one in the same folders, as a new node does."""
        await self.soon(self.driver.close(), "close")
        self.env.sinks.clear()
        self.driver = self.subject.factory(self.env)
        await self.soon(self.driver.open(), "open")

    async def clean(self) -> None:
        """End every guest of this lab, then the driver."""
        for trial in self._trials:
            for spawned in trial.facts.of(Spawned):
                if not trial.facts.of(Exited):
                    spawned.kill.kill(0.0)
            if trial.handles and not trial.facts.of(Exited):
                await self.soon(self.driver.abandon(trial.target, trial.handles[-1]), "abandon")
        await self.soon(self.driver.sweep({}), "sweep")
        await self.soon(self.driver.close(), "close")
        await self.until(lambda: not self.processes(), "processes were left behind at the end")


@contextlib.asynccontextmanager
async def open_lab(subject: Subject, folder: Path) -> AsyncIterator[Lab]:
    """Give a lab whose driver is open; afterwards nothing of it runs."""
    lab = Lab(subject, folder)
    await lab.soon(lab.driver.open(), "open")
    try:
        yield lab
    finally:
        await lab.clean()
