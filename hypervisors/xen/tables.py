"""What xl, xentop and `xl info` print, as values.  Pure functions of text.

Formats: xl_list.c, xl_info.c, xl_vcpu.c and xentop.c of Xen 4.17; the samples in the tests were recorded from
Xen 4.17.7 of Debian 12 (measured).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...config.errors import OperationFailed
from ...config.states import State

ZOMBIE_NAME = "(null)"
NO_UUID = "00000000-0000-0000-0000-000000000000"
KIB_PER_MIB = 1024
# The name is padded to 40 characters and may be longer or hold blanks, so the rest is told from the right.
_ROW = re.compile(
    r"(?P<name>.*?)\s+(?P<id>\d+)\s+(?P<mem>\d+)\s+(?P<vcpus>\d+)\s+(?P<state>[-rbpsdcwSa-z]{6})\s+"
    r"(?P<time>\d+\.\d+)(?:\s+(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\s+(?P<reason>\S+)\s+(?P<label>\S+))?\s*"
)
_VCPU = re.compile(r".*?\s+(\d+)\s+(\d+)\s+(?:\d+|-)\s+(\S{3}|--[a-z])\s+(\d+\.\d+)\s+\S.*")
_COUNTED = r":\s*(\d+)bytes\s+(\d+)pkts\s+(\d+)err\s+(\d+)drop"
_NET = re.compile(rf"Net\d+\s+RX{_COUNTED}\s+TX{_COUNTED}")
_VBD = re.compile(
    r"VBD\s+\S+\s+(\d+)\s+\[[^]]*\]\s+OO:\s*(\d+)\s+RD:\s*(\d+)\s+WR:\s*(\d+)\s+RSECT:\s*(\d+)\s+WSECT:\s*(\d+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A domain of `xl list -v`; memory in MiB, processor time in seconds with one decimal."""

    name: str
    domid: int
    memory_mib: int
    vcpus: int
    flags: str
    time_s: float
    uuid: str = ""

    @property
    def dying(self) -> bool:
        """Tell whether it is being torn down (a zombie, where that does not end)."""
        return self.flags[5] == "d"


def read_list(text: str) -> list[Row]:
    """Return the domains of `xl list [-v]`, dom0 included.

    Raises: OperationFailed when the table is not whole: a domain that is not listed would be taken for ended.
    """
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if line.startswith("Name ") and "State" in line), None)
    if start is None or lines[-1]:
        raise _unreadable("xl list", lines[-1] or (lines[0] if lines else ""))
    rows = []
    for line in lines[start + 1 : -1]:
        match = _ROW.fullmatch(line)
        if match is None:
            raise _unreadable("xl list", line)
        rows.append(Row(
            name=match["name"], domid=int(match["id"]), memory_mib=int(match["mem"]), vcpus=int(match["vcpus"]),
            flags=match["state"], time_s=float(match["time"]), uuid=match["uuid"] or "",
        ))  # fmt: skip
    if not any(row.domid == 0 for row in rows):
        raise _unreadable("xl list", "no Domain-0 in it")
    return rows


def _unreadable(what: str, line: str) -> OperationFailed:
    return OperationFailed(
        f"{what} printed what cannot be understood: {line[:100]!r}", remedy="run it by hand and look", line=line[:200]
    )


def state_of(flags: str) -> tuple[State, str]:
    """Return state and reason of the six characters of `xl list`.

    The first four and the last are flags (running, blocked, paused, shut down, dying); the fifth is why it
    shut down: - (power off), r(eboot), s(uspend), c(rash), w(atchdog), S(oft reset).
    """
    if flags[5] == "d":
        return State.SHUTDOWN, "unknown"
    if flags[3] == "s":
        why = flags[4]
        if why in "cw":
            return State.CRASHED, "panicked" if why == "c" else "unknown"
        return (State.PMSUSPENDED, "unknown") if why == "s" else (State.SHUTDOWN, "user")
    if flags[2] == "p":
        return State.PAUSED, "unknown"
    if flags[1] == "b":
        return State.BLOCKED, "unknown"
    return State.RUNNING, "unknown"


def read_info(text: str) -> dict[str, str]:
    """Return the facts of `xl info`: its lines are `key<blanks>: value`."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip().isidentifier():
            found[name.strip()] = value.strip()
    return found


def read_vcpus(text: str) -> list[tuple[int, str, float]]:
    """Return number, state and seconds of each processor of `xl vcpu-list DOMAIN`.

    Raises: OperationFailed when the table is not whole.
    """
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if line.startswith("Name ") and "VCPU" in line), None)
    if start is None or lines[-1]:
        raise _unreadable("xl vcpu-list", lines[-1])
    found = []
    for line in lines[start + 1 : -1]:
        match = _VCPU.fullmatch(line)
        if match is None:
            raise _unreadable("xl vcpu-list", line)
        found.append((int(match[2]), match[3], float(match[4])))
    return found


@dataclass(slots=True, kw_only=True)
class Traffic:
    """A domain of xentop: totals, and single devices where they were asked for."""

    name: str
    figures: dict[str, int] = field(default_factory=dict)
    nets: list[tuple[int, ...]] = field(default_factory=list)
    """rx bytes, packets, errors, drops, then the same of tx."""
    disks: list[tuple[int, ...]] = field(default_factory=list)
    """device number, waits, reads, writes, sectors read, sectors written."""


COUNTERS = ("MEM(k)", "MAXMEM(k)", "VCPUS", "NETS", "NETTX(k)", "NETRX(k)", "VBDS", "VBD_RD", "VBD_WR", "VBD_RSECT",
            "VBD_WSECT")  # fmt: skip


def read_xentop(text: str) -> dict[str, Traffic]:
    """Return the last block of `xentop -b -f -n -x -i 2` by domain name.

    The first block lacks rates, and counters only count from the second on.  Rows are read from the right:
    names hold blanks, and a domain without a limit has the two words `no limit` for one number.
    """
    lines = text.split("\n")
    heads = [at for at, line in enumerate(lines) if line.split()[:2] == ["NAME", "STATE"]]
    if not heads or lines[-1]:
        raise _unreadable("xentop", lines[-1])
    columns = lines[heads[-1]].split()
    found: dict[str, Traffic] = {}
    now: Traffic | None = None
    for line in lines[heads[-1] + 1 : -1]:
        if match := _NET.search(line):
            if now is not None:
                now.nets.append(tuple(int(each) for each in match.groups()))
        elif match := _VBD.search(line):
            if now is not None:
                now.disks.append(tuple(int(each) for each in match.groups()))
        elif line.strip():
            now = _traffic(line, columns)
            if now is not None:
                found[now.name] = now
    return found


def _traffic(line: str, columns: list[str]) -> Traffic | None:
    given = len(columns) - 1
    words = line.replace("no limit", "no-limit").rstrip().rsplit(None, given)
    if len(words) < len(columns):
        return None
    name, figures = words[0].strip(), dict(zip(columns[1:], words[1:], strict=True))
    counted = {key: int(figures[key]) for key in COUNTERS if figures.get(key, "").isdigit()}
    return Traffic(name=name, figures=counted)
