"""What the scenario needs of each side: a daemon to start, end and look into, and a measuring process."""

import signal
from pathlib import Path
from typing import Any, Protocol

from mechane.benchmarks.side import MEASURE_TIMEOUT_S
from mechane.tests.support.procs import argv_of

SHORT_GRACE = 0.0


class Peer(Protocol):
    """One side of the comparison."""

    @property
    def side(self) -> str:
        """Its name in the table."""

    def start_daemon(self) -> float:
        """Start the daemon; return the seconds until it has answered a first call."""

    def stop_daemon(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon alone; its guests run on."""

    def daemon_pid(self) -> int:
        """Give the daemon's process number."""

    def measure(self, measure: str, *, timeout_s: float = MEASURE_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Run one measure in the measuring process."""


def guest_pid(name: str) -> int:
    """Find the emulator of a guest by `-name guest=NAME,…`, as both sides write it.

    Raises: LookupError when there is none.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        argv = argv_of(int(entry.name))
        if "-name" in argv and argv[argv.index("-name") + 1].split(",")[0] in (f"guest={name}", name):
            return int(entry.name)
    raise LookupError(f"no emulator runs {name}")


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
