"""What /proc tells of a process. Formats: proc(5).

`read_stat`, `boot_id` and the processor times never wait. The command line may: reading it
takes the process's memory lock, on which a process that hangs in the kernel can sit, so
callers read it on the pool.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
KIB_PER_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024
PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcStat:
    """The parts of /proc/PID/stat that are used; times in nanoseconds."""

    state: str
    user_ns: int
    system_ns: int
    start_time: int
    """Clock ticks after the boot; with the PID it names a process for good."""
    processor: int
    rss_kib: int

    @property
    def ended(self) -> bool:
        """Whether only the entry is left (zombie or dead)."""
        return self.state in "ZXx"


def parse_stat(text: bytes) -> ProcStat:
    """Parse /proc/PID/stat; the name in brackets may hold anything, so count from its end."""
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcStat(
        state=fields[0].decode(),
        user_ns=int(fields[11]) * NS_PER_TICK,
        system_ns=int(fields[12]) * NS_PER_TICK,
        start_time=int(fields[19]),
        processor=int(fields[36]),
        rss_kib=int(fields[21]) * KIB_PER_PAGE,
    )


def read_stat(pid: int, tid: int | None = None) -> ProcStat | None:
    """Return the stat of a process, or of one of its threads; None when it is gone."""
    path = f"/proc/{pid}/stat" if tid is None else f"/proc/{pid}/task/{tid}/stat"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse_stat(os.read(fd, 1024))
    except (OSError, ValueError, IndexError):
        return None  # it ended between open and read
    finally:
        os.close(fd)


def read_delay_ns(pid: int, tid: int) -> int | None:
    """Return how long a thread waited for a processor (/proc/PID/task/TID/schedstat); None when unknown."""
    try:
        fd = os.open(f"/proc/{pid}/task/{tid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return int(os.read(fd, 128).split()[1])
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(fd)


def has_thread(pid: int, name: str) -> bool:
    """Tell whether a process has a thread of this name, of at most 15 characters. Never waits."""
    with suppress(OSError):  # it ended
        for task in os.scandir(PROC / str(pid) / "task"):
            with suppress(OSError):  # that thread did
                if Path(task.path, "comm").read_text(errors="replace").rstrip("\n") == name:
                    return True
    return False


def read_cmdline(pid: int) -> list[str]:
    """Return the command line of a process, empty when it is gone. May wait: see the module."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.split(b"\0")[:-1]]


def boot_id() -> str:
    """Return the name of this boot of the host (random(4))."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def processes() -> Iterator[int]:
    """Yield the PIDs of all processes."""
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def where_it_hangs(pid: int) -> str:
    """Say in which state and where in the kernel a process that does not die is.

    Looks at each thread, as any of them keeps the process. May wait; call it on the pool.
    """
    found: list[str] = []
    with suppress(OSError):  # it may end while we look
        for task in sorted((PROC / str(pid) / "task").iterdir()):
            stat = read_stat(pid, int(task.name))
            if stat is None or stat.ended:
                continue
            where = _kernel_place(task)
            found.append(f"thread {task.name} in state {stat.state}" + (f" at {where}" if where else ""))
    stuck = [text for text in found if "state D" in text]
    return "; ".join((stuck or found)[:4]) or "no thread is left, but the kernel keeps the process"


def _kernel_place(task: Path) -> str:
    for name in ("wchan", "stack"):
        with suppress(OSError):  # needs privileges that we may lack
            text = (task / name).read_text().strip()
            if text and text != "0":
                return text.splitlines()[0]
    return ""
