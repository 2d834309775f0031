"""Statistics of bhyve's guests: one script on the host, and its output under libvirt's names.

Where each number comes from: processor time and memory of the process from ps(1) (usertime, systime: minutes:seconds
with hundredths; rss in KiB); each virtual processor from `bhyvectl --vm=N --cpu=K --get-stats` (bhyvectl(8), a
`vcpuK stats:` header and lines of description, tab, number; "vcpu total runtime" counts ticks of the TSC, whose
frequency is the sysctl machdep.tsc_freq; "Resident memory" is in bytes); cards from the counters of their tap devices,
`netstat --libxo json -bnI TAP` (netstat(1), libxo(3)). What the host received from a tap, the guest sent. bhyve counts
no requests of disks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ...config.errors import ToolFailed
from ..tooling.numbered import numbered
from ..tooling.run import ToolResult

SCRIPT = """name=$1; folder=$2; count=$3; ctl=$4; ps=$5; sysctl=$6; netstat=$7; shift 7
p=$(cat "$folder/pid" 2>/dev/null)
case "$(ps -ww -o args= -p "$p" 2>/dev/null)" in
  *"$name"*) "$ps" -o usertime= -o systime= -o rss= -p "$p" | sed 's/^/ps /';;
esac
[ -z "$sysctl" ] || "$sysctl" -n machdep.tsc_freq 2>/dev/null | sed 's/^/tsc /'
n=0
while [ $n -lt "$count" ]; do
  "$ctl" "--vm=$name" "--cpu=$n" --get-stats || exit 1
  n=$(($n + 1))
done
for tap; do "$netstat" --libxo json -bnI "$tap" | tr -d '\\n' | sed 's/^/net /'; echo; done
echo end"""
"""Arguments: machine, folder, processors, bhyvectl, ps, sysctl (empty where the frequency is known), netstat, taps."""
RUNTIME, RESIDENT = "vcpu total runtime", "Resident memory"
NS = 1_000_000_000
CARD = {"sent-bytes": "rx.bytes", "sent-packets": "rx.pkts", "send-errors": "rx.errs", "received-bytes": "tx.bytes",
        "received-packets": "tx.pkts", "received-errors": "tx.errs", "dropped-packets": "tx.drop"}  # fmt: skip
"""netstat's name of the host's side -> the guest's."""
_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)[.,](\d+)")
_HEADER = re.compile(r"vcpu(\d+) stats:")


@dataclass(slots=True)
class Seen:
    """What the script printed."""

    user_ns: int | None = None
    system_ns: int | None = None
    rss_kib: int | None = None
    frequency: int = 0
    resident: int | None = None
    ticks: dict[int, int] = field(default_factory=dict)
    nics: dict[str, dict[str, int]] = field(default_factory=dict)


def seen(result: ToolResult) -> Seen:
    """Read what the script printed.

    Raises:
        ToolFailed: it failed, or was cut short.
    """
    lines = result.check().stdout.split("\n")
    if result.truncated or lines[-2:] != ["end", ""]:
        raise ToolFailed("the statistics are cut short", remedy="look at the host's shell", status=result.status,
                         argv=list(result.argv[:1]), stderr=result.stderr[-500:])  # fmt: skip
    found, number = Seen(), 0
    for line in lines[:-2]:
        if header := _HEADER.fullmatch(line):
            number = int(header[1])
        elif line.startswith("ps "):
            _process(found, line[3:].split())
        elif line.startswith("tsc ") and line[4:].isdigit():
            found.frequency = int(line[4:])
        elif line.startswith("net "):
            found.nics |= _card(line[4:])
        elif "\t" in line:
            name, _, value = line.partition("\t")
            if name.strip() == RUNTIME and value.strip().isdigit():
                found.ticks[number] = int(value)
            elif name.strip() == RESIDENT and value.strip().isdigit() and int(value):
                found.resident = int(value)
    return found


def _process(found: Seen, words: list[str]) -> None:
    times = [_ns(word) for word in words[:2]]
    if len(words) == 3 and None not in times and words[2].isdigit():
        found.user_ns, found.system_ns, found.rss_kib = times[0], times[1], int(words[2])


def _ns(text: str) -> int | None:
    """Return the nanoseconds of a time such as 12:34.56, with hours and days before it where ps has them."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(each or 0) for each in match.groups()[:4])
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * NS + int(float(f"0.{match[5]}") * NS)


def _card(text: str) -> dict[str, dict[str, int]]:
    try:
        rows = json.loads(text)["statistics"]["interface"]
    except (ValueError, KeyError, TypeError):
        return {}  # the tap is gone, or another netstat: it counts nothing
    for row in rows if isinstance(rows, list) else ():
        if str(row.get("network", "")).startswith("<Link"):  # further rows are its addresses
            values = {ours: int(row[theirs]) for theirs, ours in CARD.items() if theirs in row}
            return {str(row.get("name", "")): values}
    return {}


def stats_of(found: Seen, groups: frozenset[str], vcpus: int, memory_kib: int) -> dict[str, Any]:
    """Return statistics.

    Args:
        found: what `seen` returned.
        groups: any of cpu, balloon, vcpu, block, interface.
        vcpus: processors of the definition.
        memory_kib: its memory.
    """
    stats: dict[str, Any] = {}
    times = {number: ticks * NS // found.frequency for number, ticks in found.ticks.items() if found.frequency}
    if "cpu" in groups:
        if found.user_ns is not None and found.system_ns is not None:
            stats |= {"cpu.time": found.user_ns + found.system_ns, "cpu.user": found.user_ns,
                      "cpu.system": found.system_ns}  # fmt: skip
        elif times:
            stats["cpu.time"] = sum(times.values())
    if "balloon" in groups:
        stats["balloon.current"] = stats["balloon.maximum"] = memory_kib
        rss = found.resident // 1024 if found.resident is not None else found.rss_kib
        if rss is not None:
            stats["balloon.rss"] = rss
    if "vcpu" in groups:
        stats["vcpu.current"] = stats["vcpu.maximum"] = vcpus
        stats |= {f"vcpu.{number}.time": value for number, value in sorted(times.items())}
    if "interface" in groups:
        stats |= numbered("net", found.nics)
    return stats
