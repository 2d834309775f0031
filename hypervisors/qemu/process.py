"""A QEMU process: its exit is seen by the loop, and it is ended without its monitor.

Guarantees:
- a signal never reaches another process: all go through the pidfd, taken before the PID
  could be reused;
- `kill` and `cpu_time_ns` never wait and may be called from any thread;
- the exit is reported once, on the loop's thread, also for a process that is not our child;
- no thread is kept for a process.

Source: pidfd_open(2), pidfd_send_signal(2), waitid(2) with P_PIDFD.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from .procfs import NS_PER_TICK, read_stat

STUBBORN_S = 2.5
"""Seconds after SIGKILL before a process that is still there is called a zombie."""


class QemuProcess:
    """A process that is watched through its pidfd; it is also its own kill handle."""

    __slots__ = (
        "_doom", "_loop", "_lock", "_on_exit", "_on_stubborn", "_pidfd", "_stat_fd", "asked_to_end", "exited",
        "pid", "start_time", "status",
    )  # fmt: skip

    def __init__(
        self, pid: int, loop: asyncio.AbstractEventLoop, *, on_exit: Callable[[], None],
        on_stubborn: Callable[[], None],
    ) -> None:  # fmt: skip
        """Watch a process. Loop's thread.

        Args:
            pid: a child that was not waited for, or a process whose identity is checked
                after this (`start_time`).
            loop: whose thread sees the exit.
            on_exit: called once when it ended.
            on_stubborn: called once when SIGKILL did not end it in STUBBORN_S.

        Raises:
            ProcessLookupError: there is no such process.
        """
        self.pid = pid
        self.status: int | None = None
        self.asked_to_end = False
        self.exited = asyncio.Event()
        self._pidfd = os.pidfd_open(pid)
        stat = read_stat(pid)
        self.start_time = stat.start_time if stat is not None else 0
        self._stat_fd = -1
        self._loop = loop
        self._on_exit = on_exit
        self._on_stubborn = on_stubborn
        self._doom: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        loop.add_reader(self._pidfd, self._ended)

    # ---- any thread

    def kill(self, grace_s: float) -> None:
        """Send SIGTERM now and SIGKILL after `grace_s` seconds; with 0 SIGKILL now. Any thread."""
        self.asked_to_end = True
        last = grace_s <= 0
        if self._signal(signal.SIGKILL if last else signal.SIGTERM):
            with suppress(RuntimeError):  # the loop is closed: the node is going down
                self._loop.call_soon_threadsafe(self._arm, grace_s, last)

    def cpu_time_ns(self) -> int:
        """Return the processor time used so far; 0 when the process is gone. Any thread."""
        with self._lock:
            if self._pidfd < 0:
                return 0
            try:
                if self._stat_fd < 0:
                    self._stat_fd = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
                text = os.pread(self._stat_fd, 1024, 0)
            except OSError:
                return 0
        fields = text[text.rindex(b")") + 2 :].split(None, 13)
        return (int(fields[11]) + int(fields[12])) * NS_PER_TICK

    def _signal(self, number: signal.Signals) -> bool:
        with self._lock:  # the descriptor may not be closed, and its number reused, in between
            if self._pidfd < 0:
                return False
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return False  # it ended just now; the loop will see it
        return True

    # ---- loop's thread

    def _arm(self, grace_s: float, last: bool) -> None:
        if self._pidfd < 0:
            return
        if last:
            doom = self._loop.call_later(STUBBORN_S, self._stubborn)
        else:
            doom = self._loop.call_later(grace_s, self.kill, 0.0)
            if self._doom is not None and self._doom.when() <= doom.when():
                doom.cancel()  # a later call does not put off what an earlier one began
                return
        if self._doom is not None:
            self._doom.cancel()
        self._doom = doom

    def _stubborn(self) -> None:
        self._doom = None
        self._on_stubborn()

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        with suppress(ChildProcessError):  # an adopted process is not our child
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            if result is not None:
                killed = result.si_code != os.CLD_EXITED
                self.status = -result.si_status if killed else result.si_status
        self._close()
        self.exited.set()
        self._on_exit()

    def forget(self) -> None:
        """Stop watching; the process runs on. Loop's thread."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        self._close()

    def _close(self) -> None:
        if self._doom is not None:
            self._doom.cancel()
            self._doom = None
        with self._lock:
            for fd in (self._pidfd, self._stat_fd):
                if fd >= 0:
                    os.close(fd)
            self._pidfd = self._stat_fd = -1
