"""A container that runs, and the handle that ends it: through pidfds, without any tool.

Guarantees: a signal never reaches another process; `kill` and `cpu_time_ns` never wait and
may be called from any thread; whatever hangs (a tool, the monitor), SIGKILL to the first
process ends all of the container, and a monitor that does not notice is killed as well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from .cgroups import Groups, groups_of
from .processes import Process, Sight

END_S = 10.0
"""Seconds after a kill during which processes of the container that only show up then are killed as well: the
first process of one that was starting outlives its monitor, waiting for it for ever (measured, LXC 5.0.2)."""
MONITOR_S = 3.0
"""Seconds after the death of the first process that the monitor has to clean up and leave."""


class Container:
    """One container's processes while it runs; it is its own kill handle."""

    def __init__(
        self, path: str, name: str, loop: asyncio.AbstractEventLoop, *, changed: Callable[[], None], halt_signal: int
    ) -> None:
        """Prepare to watch a container. Loop's thread.

        Args:
            path: LXC's path, the folder that its folder is in.
            name: its name.
            loop: whose thread sees exits.
            changed: called when one of its processes ended.
            halt_signal: what its first process takes as "shut down".
        """
        self.path = path
        self.name = name
        self.halt_signal = halt_signal
        self.groups = Groups()
        self.own_groups: list[Groups] = []
        """Groups to remove at the end: the container's and its monitor's."""
        self.monitor: Process | None = None
        self.init: Process | None = None
        self.killed = False
        self.on_kill: Callable[[], None] = lambda: None
        """Called (any thread) when somebody wants it dead."""
        self.on_reboot: Callable[[], None] = lambda: None
        """Called when another first process took the place of the one before."""
        self._booted = False
        self._settled = False
        """Whether its control groups were the same when looked at twice."""
        self._ends_until = 0.0
        self._fds: dict[str, int] = {}
        self._loop = loop
        self._changed = changed
        self._lock = threading.Lock()
        self._doom: asyncio.TimerHandle | None = None

    @property
    def native_id(self) -> str:
        """Return what changes with each boot of the container; "" between two."""
        return f"{self.init.pid}:{self.init.start}" if self.init is not None else ""

    # ---- any thread

    def kill(self, grace_s: float) -> None:
        """Ask the first process to shut down, and kill it after `grace_s` seconds (0: at once)."""
        self.killed = True
        self.on_kill()
        if grace_s <= 0:
            self._end()
        else:
            self._signal("init", self.halt_signal)
        with suppress(RuntimeError):  # the loop is closed: the node is going down
            self._loop.call_soon_threadsafe(self._arm, grace_s)

    def cpu_time_ns(self) -> int:
        """Return the processor time used so far."""
        return self.groups.cpu_ns()

    def _end(self) -> None:
        if not self._signal("init", signal.SIGKILL) and self.init is None:
            self._signal("monitor", signal.SIGKILL)  # it has not come to its first process yet
        self.groups.thaw()

    def _signal(self, which: str, number: int) -> bool:
        with self._lock:  # the descriptor may not be closed, and its number reused, in between
            fd = self._fds.get(which, -1)
            if fd < 0:
                return False
            try:
                signal.pidfd_send_signal(fd, number)
            except ProcessLookupError:
                return False  # it ended just now; the loop will see it
        return True

    # ---- loop's thread

    def _arm(self, grace_s: float) -> None:
        if grace_s <= 0:
            self._ends_until = self._loop.time() + END_S
        if self._doom is not None:
            if grace_s > 0 and self._doom.when() <= self._loop.time() + grace_s:
                return  # a later call does not put off what an earlier one began
            self._doom.cancel()
        if grace_s > 0:
            self._doom = self._loop.call_later(grace_s, self.kill, 0.0)
        else:
            self._doom = self._loop.call_later(MONITOR_S, self._signal, "monitor", signal.SIGKILL)

    def pin(self, sight: Sight) -> None:
        """Watch the processes that were found; those of an earlier boot are let go."""
        if sight.monitor is not None and sight.monitor != self.monitor and self._watch("monitor", sight.monitor):
            self.monitor = sight.monitor
            self._end_late("monitor")
            with suppress(OSError):  # it ended just now
                self.own_groups.append(groups_of(sight.monitor.pid))
        if sight.init is not None and sight.init != self.init and self._watch("init", sight.init):
            self.init = sight.init
            self._settled = False
            self.learn_groups()
            self._end_late("init")
            if self._booted:
                self.on_reboot()
            self._booted = True
        elif not self._settled:
            self.learn_groups()

    def learn_groups(self) -> None:
        """Look again which control groups the container is in: LXC puts its first process there while it starts.

        One that was found early is in none yet, or in some; what cannot be thawed could not be ended.
        """
        if self.init is None:
            return
        with suppress(OSError):  # it ended just now
            found = groups_of(self.init.pid)
            self._settled = bool(found.paths) and found.paths == self.groups.paths
            if found.paths != self.groups.paths:
                self.groups = found
                self.own_groups.append(found)

    def _end_late(self, which: str) -> None:
        """Kill a process that only shows up after the container was killed; one that was known cleans up in peace."""
        if self._loop.time() < self._ends_until:
            self._signal(which, signal.SIGKILL)

    def _watch(self, which: str, process: Process) -> bool:
        self._unwatch(which)
        try:
            fd = os.pidfd_open(process.pid)
        except OSError:
            return False  # it ended just now
        if not process.alive():  # asked after the descriptor was opened: the number was not reused
            os.close(fd)
            return False
        self._fds[which] = fd
        self._loop.add_reader(fd, self._ended, which)
        return True

    def _ended(self, which: str) -> None:
        self._unwatch(which)
        if which == "init":
            self.init = None
            if self._doom is not None:  # it was killed: see that its monitor leaves as well
                self._doom.cancel()
                self._doom = self._loop.call_later(MONITOR_S, self._signal, "monitor", signal.SIGKILL)
        else:
            self.monitor = None
        self._changed()

    def _unwatch(self, which: str) -> None:
        with self._lock:
            fd = self._fds.pop(which, -1)
            if fd >= 0:
                self._loop.remove_reader(fd)
                os.close(fd)

    def forget(self) -> None:
        """Watch no longer; what runs, runs on."""
        if self._doom is not None:
            self._doom.cancel()
        for which in list(self._fds):
            self._unwatch(which)
