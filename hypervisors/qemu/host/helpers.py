"""Programs that serve one guest beside QEMU: a TPM's emulator, a shared folder's server.

Each is connected with QEMU by a pair of sockets that the node makes, so nothing waits for a socket to
appear, and nobody else can connect. Each ends when QEMU's end is closed, also while no node runs; the node
ends those that do not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..process import QemuProcess
from ..procfs import read_stat

if TYPE_CHECKING:
    from .records import HelperRecord

GRACE_S = 3.0
"""Seconds from SIGTERM to SIGKILL: a TPM writes its state in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperPlan:
    """How a helper is started."""

    name: str
    """What it is for: tpm0.swtpm, fs0.virtiofsd."""
    argv: tuple[str, ...]
    pass_fds: tuple[int, ...]
    as_root: bool = False
    """Whether it keeps the node's own user instead of QEMU's."""


@dataclass(slots=True, kw_only=True)
class Helper:
    """A helper that runs, watched through its pidfd."""

    name: str
    process: QemuProcess


@dataclass(slots=True)
class Helpers:
    """The helpers of one guest. Loop's thread."""

    guest: str
    log: logging.Logger
    running: list[Helper] = field(default_factory=list)
    ending: bool = False

    def add(self, name: str, spawn: Callable[..., QemuProcess]) -> None:
        """Start one and watch it.

        Args:
            name: what it is for.
            spawn: called with `on_exit` and `on_stubborn`; returns its process.

        Raises:
            StartFailed: it could not be executed.
        """
        helper: list[Helper] = []
        process = spawn(on_exit=lambda: self._ended(helper[0]), on_stubborn=lambda: self._stubborn(name))
        helper.append(Helper(name=name, process=process))
        self.running += helper

    def adopt(self, record: HelperRecord, loop: asyncio.AbstractEventLoop) -> None:
        """Watch one again that an earlier node started; nothing happens when it has ended."""
        helper: list[Helper] = []
        try:
            process = QemuProcess(
                record.pid, loop, on_exit=lambda: self._ended(helper[0]),
                on_stubborn=lambda: self._stubborn(record.name),
            )  # fmt: skip
        except OSError:
            return
        helper.append(Helper(name=record.name, process=process))
        stat = read_stat(record.pid)
        if stat is None or stat.ended or process.start_time != record.start_time:
            process.forget()
            return
        self.running += helper

    def records(self) -> tuple[HelperRecord, ...]:
        """Return what a handle keeps of them."""
        from .records import HelperRecord

        return tuple(
            HelperRecord(name=item.name, pid=item.process.pid, start_time=item.process.start_time)
            for item in self.running
        )

    def forget(self) -> None:
        """Stop watching; they run on."""
        for helper in self.running:
            helper.process.forget()
        self.running.clear()

    async def end(self) -> None:
        """End those that run, and wait until they have: one that the kernel holds for as long as it does."""
        self.ending = True
        for helper in self.running:
            if not helper.process.exited.is_set():
                helper.process.kill(GRACE_S)
        waits: list[Any] = [helper.process.exited.wait() for helper in self.running]
        if waits:
            await asyncio.gather(*waits)
        self.running.clear()

    def _ended(self, helper: Helper) -> None:
        status = helper.process.status
        if not self.ending and status not in (0, None):
            self.log.warning("%s of %s ended with status %s", helper.name, self.guest, status)

    def _stubborn(self, name: str) -> None:
        self.log.error("%s of %s does not die", name, self.guest)
