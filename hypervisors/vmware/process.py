"""The process of a guest (vmware-vmx), found through vmware.log beside the .vmx.

The log's first line holds `pid=NUMBER`; it is that of the last run, and numbers are used again. So it
counts only where a process of that number has the .vmx in its command line (proc(5)).
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

LOG = "vmware.log"
_PID = re.compile(rb"\bpid=(\d{1,10})\b")
_LINE = 4096
_TICKS = os.sysconf("SC_CLK_TCK")


def pid_of(vmx: str) -> int | None:
    """Return the process that runs a .vmx, or None where that cannot be told. Blocks on files."""
    with suppress(OSError):  # no log: it never ran, or may not be read
        with (Path(vmx).parent / LOG).open("rb") as log:
            found = _PID.search(log.readline(_LINE))
        if found is not None and runs(int(found[1]), vmx):
            return int(found[1])
    return None


def runs(pid: int, vmx: str) -> bool:
    """Tell whether a process has this .vmx in its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(vmx) in words


def cpu_time_ns(pid: int) -> int:
    """Return the processor time that a process used, in ns; 0 when it is gone (proc(5), stat, fields 14 and 15)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    words = stat.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * (1_000_000_000 // _TICKS)


def end(pid: int, vmx: str) -> bool:
    """Kill the process of a guest that vmrun no longer reaches; False where it is not that process."""
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # looked at after the number is held: it cannot become another process's now
        if not runs(pid, vmx):
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(held)
