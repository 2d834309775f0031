"""Run an emulator and ask it what it can do.

The probe runs as QEMU's own user, under the same system call filter, without a guest.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...config.errors import ConnectionLost, DeadlineExceeded, OperationFailed
from ..contract import Itself
from .capabilities import EmulatorCapabilities, EmulatorKey, from_replies
from .folder import GuestFolder
from .qmp import Command, CommandKind, Monitor, Stuck
from .strays import PROBE
from .workshop import Workshop, close_all

T = TypeVar("T")
PROBES = Itself("the folders of probes")

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
QUERIES = (
    Command("query-version"),
    Command("query-target"),
    Command("query-machines"),
    Command("qom-list-types", {"abstract": False}),
    Command("query-cpu-definitions"),
    Command("query-command-line-options"),
    Command("query-qmp-schema"),
)
TAIL_BYTES = 4096
SHARES = (0.15, 0.35, 0.5)
"""What each try may take of the deadline."""


class _Nobody:
    """A monitor's listener that needs to know nothing: a probe has no guest."""

    def on_event(self, name: str, data: Mapping[str, Any]) -> None:
        """No event of a machine without guest matters."""

    def on_stuck(self, stuck: Stuck) -> None:
        """The awaiting probe fails by itself."""

    def on_back(self, stuck: Stuck) -> None:
        """The awaiting probe has failed already."""

    def on_closed(self) -> None:
        """The awaiting probe fails by itself."""


class TemporaryRun:
    """An emulator that runs for a moment, in a folder that is removed with it."""

    def __init__(self, shop: Workshop, purpose: str) -> None:
        self._shop = shop
        self._purpose = purpose
        self.folder: GuestFolder | None = None
        self.process: Any = None
        self._output: Any = None

    async def start(
        self, arguments: Sequence[str], *, with_monitor: bool, pass_fds: Sequence[int] = ()
    ) -> None:
        """Spawn the emulator; `{fd}` in an argument stands for the monitor's descriptor.

        Raises:
            StartFailed: it could not be executed.
        """
        shop = self._shop
        listener = await shop.blocking(self._prepare, domain=PROBES)
        assert self.folder is not None
        try:
            fd = listener.fileno()
            argv = [argument.replace("{fd}", str(fd)) for argument in arguments]
            argv += ["-L", str(self.folder.path)]  # how the next node recognises one that a kill left (strays.py)
            self.process = shop.spawn(
                argv, log_fd=self._output.fileno(), pass_fds=(*pass_fds, fd) if with_monitor else pass_fds,
                environment={}, domain=self._purpose, on_exit=_nothing, on_stubborn=_nothing,
            )  # fmt: skip
        finally:
            close_all((), listener)

    def _prepare(self) -> Any:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end()
        path = Path(tempfile.mkdtemp(prefix=PROBE, dir=self._shop.env.runtime_dir))
        self.folder = GuestFolder(path)
        return self.folder.create(self._shop.identity.uid, self._shop.identity.gid)

    def monitor(self) -> Monitor:
        """Connect to its monitor."""
        assert self.folder is not None
        return Monitor(self.folder.connect(self.process.pid), self._shop.env.loop, _Nobody(), name=self._purpose)

    def output(self) -> str:
        """Return the end of what it wrote."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - TAIL_BYTES))
        return str(self._output.read().decode(errors="replace").strip())

    async def end(self) -> None:
        """End it, and remove what it left."""
        if self.process is not None and not self.process.exited.is_set():
            self.process.kill(0.0)
            await self.process.exited.wait()
        if self._output is not None:
            self._output.close()
        if self.folder is not None:
            await self._shop.blocking(self.folder.remove, domain=PROBES)


async def probe(shop: Workshop, key: EmulatorKey, deadline_s: float) -> EmulatorCapabilities:
    """Run an emulator without a guest and collect its answers.

    An emulator that does not greet is tried again: without a machine QEMU's main loop begins
    at once, and then it can lose the client that waits already, because its monitor thread
    takes over the socket at the same moment (seen once in some thousand probes on a busy host).

    Raises:
        OperationFailed: it is no emulator that we can use; `details.stderr` has its words.
        StartFailed: it could not be executed.
    """
    for share in SHARES:
        try:
            return await _probe_once(shop, key, deadline_s * share)
        except DeadlineExceeded as error:
            late = error
    raise OperationFailed(
        f"{key.path} cannot be used: {late.message}",
        remedy="look why the emulator hangs, or correct <emulator> in the definition", emulator=key.path, stderr="",
    ) from late  # fmt: skip


async def _probe_once(shop: Workshop, key: EmulatorKey, deadline_s: float) -> EmulatorCapabilities:
    async def talk(monitor: Monitor) -> EmulatorCapabilities:
        replies = await monitor.execute_all(QUERIES, kind=CommandKind.QUERY, deadline_s=deadline_s)
        return from_replies(key, {query.name: reply for query, reply in zip(QUERIES, replies, strict=True)})

    return await converse(shop, key, talk, purpose=f"the probe of {key.path}")


async def converse(
    shop: Workshop, key: EmulatorKey, talk: Callable[[Monitor], Awaitable[T]], *, purpose: str, accel: str = "tcg"
) -> T:
    """Run an emulator without a machine and talk with its monitor.

    Args:
        shop: whom it runs as.
        key: the emulator.
        talk: asks, under deadlines of its own, and returns what was learnt.
        purpose: what the run is for, in logs.
        accel: the accelerator that it runs with.

    Raises:
        OperationFailed: it is no emulator that we can use; `details.stderr` has its words.
        StartFailed: it could not be executed.
    """
    run = TemporaryRun(shop, purpose)
    arguments = [
        key.path, "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", f"none,accel={accel}",
        "-chardev", "socket,id=monitor,fd={fd},server=on,wait=off", "-mon", "chardev=monitor,mode=control",
    ]  # fmt: skip
    if shop.options.sandbox:
        arguments += ["-sandbox", SANDBOX]
    try:
        await run.start(arguments, with_monitor=True)
        monitor = run.monitor()
        try:
            return await talk(monitor)
        finally:
            monitor.close()
    except (ConnectionLost, OSError) as error:
        await _settle(run)
        said = run.output()
        raise OperationFailed(
            f"{key.path} cannot be used: {said or error}",
            remedy="install QEMU's system emulator, or correct <emulator> in the definition",
            emulator=key.path, stderr=said,
        ) from error  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise OperationFailed(
            f"{key.path} answers as no known emulator does: {error!r}", remedy="use QEMU 5.2 or later",
            emulator=key.path,
        ) from error  # fmt: skip
    finally:
        await run.end()


async def _settle(run: TemporaryRun) -> None:
    """Give a process whose monitor broke off a moment to end by itself, so that its words are complete."""
    try:
        await asyncio.wait_for(run.process.exited.wait(), 1.0)
    except TimeoutError:
        return


def _nothing() -> None:
    """A temporary run is awaited by who started it."""
