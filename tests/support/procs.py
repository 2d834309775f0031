"""Processes in tests: find those that name a folder in their command line, and end what a test started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mechane.tests.support.wait import wait_until

END_TIMEOUT_S = 10.0


def argv_of(pid: int) -> list[str]:
    """Read the command line of a process from /proc (proc(5)); empty for a zombie or one that is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return raw.decode(errors="replace").split("\0")[:-1]


def leftovers(folder: Path) -> dict[int, list[str]]:
    """Find the processes whose command line contains `folder`: pid and argv, ourselves left out."""
    needle = str(folder)
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        argv = argv_of(int(entry.name))
        if any(needle in word for word in argv):
            found[int(entry.name)] = argv
    return found


def end_leftovers(folder: Path) -> None:
    """Kill every process whose command line contains `folder`, stopped ones too, and wait for the end.

    `folder` must be one that the caller made: a private, random name.
    """
    for pid in leftovers(folder):
        with contextlib.suppress(ProcessLookupError):  # ended between the look and the signal
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not leftovers(folder), END_TIMEOUT_S, f"the end of the processes of {folder}")


def assert_none_left(folder: Path, timeout_s: float = END_TIMEOUT_S) -> None:
    """Demand that no process names `folder` any more; end them before failing, so that nothing stays."""
    try:
        wait_until(lambda: not leftovers(folder), timeout_s, f"the end of the processes of {folder}")
    except AssertionError:
        left = leftovers(folder)
        end_leftovers(folder)
        raise AssertionError(f"processes left behind: {left}") from None


@contextlib.contextmanager
def running(argv: list[str], *, stderr: int | None = None, env: dict[str, str] | None = None) -> Iterator[
    subprocess.Popen[bytes]
]:
    """Run a process for the time of a block; at the end ask it to stop, then kill it."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=stderr, env=env)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], grace_s: float = 5.0) -> int:
    """End a child: SIGTERM, `grace_s`, SIGKILL; return its exit status (negative: the signal)."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            return process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(END_TIMEOUT_S)
