"""Functions that tests run in a worker process."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from mechane.config.errors import XmlError


def add(first: int, second: int) -> int:
    """Add."""
    return first + second


def echo(value: Any) -> Any:
    """Return the argument."""
    return value


def refuse(text: str) -> None:
    """Raise an expected error."""
    raise XmlError("wrong element", remedy="remove it", path="domain.devices", value=text, odd=open)


def fail() -> None:
    """Have a bug."""
    raise ZeroDivisionError("one by nought")


def hang() -> None:
    """Run for ever, in plain Python."""
    while True:
        pass


def sleep(seconds: float) -> float:
    """Take some time."""
    time.sleep(seconds)
    return seconds


def hog(megabytes: int) -> int:
    """Use memory."""
    return len(bytearray(megabytes * 1024 * 1024))


def die(words: str) -> None:
    """End the process by signal 9, after some last words."""
    os.write(2, words.encode())
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path: str) -> None:
    """Say that it runs by creating `path`.started, then run until `path` exists."""
    Path(f"{path}.started").touch()
    while not Path(path).exists():
        time.sleep(0.001)


def surroundings() -> dict[str, Any]:
    """Tell what the process has."""
    fds = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            fds[int(link.name)] = str(link.readlink())
    return {
        "pid": os.getpid(),
        "fds": fds,
        "environment": dict(os.environ),
        "session": os.getsid(0),
        "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
    }


def unpicklable() -> Any:
    """Return what cannot travel."""
    return lambda: None
