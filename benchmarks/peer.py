"""What the scenario needs of each side: a daemon to start, end and look into, and a measuring process."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from mechane.benchmarks.side import MEASURE_TIMEOUT_S
from mechane.tests.support.procs import argv_of

IDLE_WINDOW_S = 0.5
IDLE_SHARE = 0.03
"""A guest in its firmware's last loop takes 1 to 2 % of a processor, one that boots all it gets (measured)."""
IDLE_LIMIT_S = 30.0


class Peer(Protocol):
    """One side of the comparison."""

    @property
    def side(self) -> str:
        """Its name in the table."""

    @property
    def began(self) -> float:
        """When the daemon was last started: monotonic time."""

    def start_daemon(self) -> float:
        """Start the daemon; return the seconds until it has answered a first call."""

    def stop_daemon(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon alone; its guests run on."""

    def daemon_pid(self) -> int:
        """Give the daemon's process number."""

    def measure(self, measure: str, *, timeout_s: float = MEASURE_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Run one measure in the measuring process."""


def guest_pids() -> dict[str, int]:
    """Find the emulators that run, by `-name guest=NAME,…`, as both sides write it."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        argv = argv_of(int(entry.name)) if entry.name.isdigit() else []
        if "-name" in argv[:-1]:
            name = argv[argv.index("-name") + 1].split(",")[0].removeprefix("guest=")
            found[name] = int(entry.name)
    return found


@contextlib.contextmanager
def stopped(names: Sequence[str]) -> Iterator[None]:
    """Hold the emulators of some guests by SIGSTOP, so that their monitors hang, and let them go at the end.

    Raises: KeyError when one does not run.
    """
    running = guest_pids()
    pids = [running[name] for name in names]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # destroyed meanwhile
                os.kill(pid, signal.SIGCONT)


def wait_for_idle(names: Sequence[str]) -> float:
    """Wait until some guests' firmware has come to rest; return the seconds that took, at most IDLE_LIMIT_S.

    Whoever starts guests faster would otherwise be measured beside guests that still boot.
    """
    running = guest_pids()
    pids = [running[name] for name in names]
    begin = time.monotonic()
    before = _busy_s(pids)
    while time.monotonic() - begin < IDLE_LIMIT_S:
        time.sleep(IDLE_WINDOW_S)
        now = _busy_s(pids)
        if now - before <= IDLE_SHARE * IDLE_WINDOW_S * len(pids):
            break
        before = now
    return time.monotonic() - begin


def _busy_s(pids: Sequence[int]) -> float:
    """Add up the processor time of processes (utime and stime of proc_pid_stat(5))."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    """Give a process's resident memory (VmRSS of proc_pid_status(5))."""
    return _status(pid, "VmRSS")


def threads(pid: int) -> int:
    """Give how many threads a process has."""
    return _status(pid, "Threads")


def children_of(pid: int) -> list[int]:
    """List a process's children, those of its other threads too."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise LookupError(f"no {key} of process {pid}")
