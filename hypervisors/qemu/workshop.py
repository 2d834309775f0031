"""What the driver's parts share: the environment, whom QEMU runs as, and how one is spawned."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...config.errors import DeadlineExceeded
from ..contract import DriverEnv, Itself
from .folder import GuestFolder
from .host.ports import Ports
from .identity import Identity
from .locks import Survey
from .logfile import GuestLog
from .options import QemuOptions
from .process import QemuProcess
from .receiver import Crowd
from .spawn import spawn

T = TypeVar("T")
PREPARE_S = 20.0
"""Seconds for making folders, opening logs and changing owners on a slow file system."""
CLEAN_S = 0.5
"""Seconds that a clean-up is waited for; giving a file back takes 0.1 ms where its storage answers (measured)."""


STOP_S = 2.0
"""Seconds that work for a domain has to come to its end when the node stops; then the next node settles it."""
CANCEL_S = 1.0


MOST_BYTES = 200
"""Bytes of a file's name: 255 with what is put behind it (NAME.log.12); a domain's own name may have that many."""


def file_name(name: str) -> str:
    """Return how the files of a domain are called; a long name is cut, and told from others by its sum."""
    safe = name.replace("/", "_").lstrip(".") or "_"
    if len(safe.encode()) <= MOST_BYTES:
        return safe
    cut = safe.encode()[: MOST_BYTES - 20].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@dataclass(slots=True, kw_only=True)
class Workshop:
    """Shared by all parts of one connection; made by `open`."""

    env: DriverEnv
    options: QemuOptions
    identity: Identity
    boot_id: str
    log: logging.Logger
    ports: Ports
    tasks: set[asyncio.Task[Any]]
    surveyed: Survey | None = None
    """Which guests ran when the connection was opened."""
    underway: dict[str, set[asyncio.Task[Any]]] = field(default_factory=dict)
    """Those of the tasks that must have ended before a domain is changed again, by its UUID."""
    crowd: Crowd = field(default_factory=Crowd)
    """The monitors of all guests, which share a part of the loop's time."""

    @property
    def users(self) -> frozenset[int]:
        """Whose processes can be our guests."""
        return frozenset({self.identity.uid, os.geteuid()})

    def folder_of(self, uuid: str) -> GuestFolder:
        """Return the folder of a guest."""
        return GuestFolder(self.env.runtime_dir / uuid)

    def log_of(self, name: str) -> GuestLog:
        """Return the log of a guest, named as its domain."""
        file = file_name(name)
        return GuestLog(
            self.env.state_dir / "log" / f"{file}.log",
            limit_bytes=self.options.log_bytes,
            files=self.options.log_files,
        )

    async def blocking(
        self, function: Callable[..., Any], /, *args: Any, domain: str | Itself,
        undo: Callable[[Any], None] | None = None,
    ) -> Any:  # fmt: skip
        """Run something short that touches the file system on a thread, see `DriverEnv.blocking`."""
        return await self.env.blocking(function, *args, deadline_s=PREPARE_S, domain=domain, undo=undo)

    async def clean_up(self, function: Callable[..., Any], /, *args: Any, uuid: str, what: str) -> Any:
        """Run a clean-up that touches a guest's storage; where that hangs it goes on by itself, and None comes back."""
        try:
            return await self.env.clean_up(function, *args, deadline_s=CLEAN_S, domain=uuid, what=what)
        except DeadlineExceeded:
            self.log.warning("%s does not answer: the clean-up after domain %s goes on when it does", what, uuid)
            return None

    def keep(self, uuid: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something for a domain that goes on when whoever awaits it goes away; `quiet` waits for it."""
        task = self.env.loop.create_task(work)
        mine = self.underway.setdefault(uuid, set())
        for kept in (self.tasks, mine):
            kept.add(task)
            task.add_done_callback(kept.discard)

        def ended(done: asyncio.Task[T]) -> None:
            if not mine and self.underway.get(uuid) is mine:
                del self.underway[uuid]
            if not done.cancelled():
                done.exception()  # who waits for it is told

        task.add_done_callback(ended)
        return task

    async def quiet(self, uuid: str) -> None:
        """Wait until nothing of that kind is done for a domain any more."""
        while tasks := self.underway.get(uuid):
            await asyncio.wait(set(tasks))

    async def end_tasks(self) -> None:
        """End what runs in the background: what must not be broken off has a while, the rest is cancelled."""
        kept = [task for tasks in self.underway.values() for task in tasks]
        for task in self.tasks.difference(kept):
            task.cancel()
        if kept:
            await asyncio.wait(kept, timeout=STOP_S)
        left = list(self.tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CANCEL_S)

    async def unbroken(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await work to its end also when the caller is cancelled meanwhile, and be cancelled after it."""
        task = self.env.loop.create_task(work)
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            task.exception()
            raise asyncio.CancelledError
        return task.result()

    def spawn(
        self, argv: Sequence[str], *, log_fd: int, pass_fds: Sequence[int], environment: Mapping[str, str],
        domain: str, on_exit: Callable[[], None], on_stubborn: Callable[[], None], as_root: bool = False,
        raw_io: bool = False,
    ) -> QemuProcess:  # fmt: skip
        """Start an emulator (or its helper) as the right user and watch it. Loop's thread; cost: see spawn.py.

        `as_root` is for helpers that keep the node's own user, `raw_io` for guests that may send their disks anything.

        Raises:
            StartFailed: it could not be executed.
            OperationFailed: the node cannot allow raw I/O.
        """
        identity = Identity.own() if as_root else self.identity
        pid = spawn(
            argv, identity=identity.with_raw_io() if raw_io else identity, log_fd=log_fd, pass_fds=pass_fds,
            environment=environment, domain=domain,
        )  # fmt: skip
        return QemuProcess(pid, self.env.loop, on_exit=on_exit, on_stubborn=on_stubborn)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background until it ends or the driver is closed."""
        task = self.env.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("a background task of %s failed", self.env.uri, exc_info=error)

    def let_in(self, *folders: Path) -> None:
        """Make folders of ours, and let QEMU's user pass through them (not list them), whatever the umask. Blocks."""
        for folder in folders:
            folder.mkdir(mode=0o700, exist_ok=True)
            if self.identity.drops:
                with suppress(OSError):  # only what lies inside by path suffers, and says so
                    folder.chmod(0o711)


def own_files(uuid: str) -> Itself:
    """Name what the node keeps of a domain in its own folders, whatever that domain's storage does."""
    return Itself(f"the node's own files of {uuid}")


def close_all(fds: Sequence[int], *sockets: socket.socket) -> None:
    """Close descriptors that the child has inherited."""
    for sock in sockets:
        sock.close()
    for fd in fds:
        with suppress(OSError):  # closed already
            os.close(fd)
