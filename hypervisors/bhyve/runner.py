"""The shell scripts that run, list and end guests on bhyve's host, here or over SSH. Pure functions of text.

A guest has a folder with `info` (one line of JSON), the script `run`, and what that writes: `runner` (its process),
`child` (loader or bhyve), `pid` (bhyve), `boots`, `exit` (status, and seconds since the last boot). The script lives
on without the node: at a reboot (bhyve exits 0) it destroys the machine, loads its kernel and runs it again, as
bhyve(8) demands. Only POSIX sh and its usual tools are needed.

Whoever ends a guest writes `stop` (or removes the folder) and then kills what `child` names; the script writes `child`
and then looks for `stop`. So one of them always sees the other, whenever it comes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...config.errors import OperationFailed, ToolFailed
from ..tooling.run import ToolResult

LIST = """ls -1 "$1" 2>/dev/null | sed 's/^/vmm /'
for d in "$2"/*/; do
  [ -s "$d/info" ] || continue
  printf 'info '; cat "$d/info"
  for f in pid boots exit; do [ -s "$d/$f" ] && echo "$f $(cat "$d/$f")"; done
  r=$(cat "$d/runner" 2>/dev/null) && kill -0 "$r" 2>/dev/null && echo "runner $r"
done
echo end"""
"""Lists machines and folders; $1 is the folder of machines (/dev/vmm), $2 that of guests."""

LAUNCH = 'mkdir -p -m 700 "$1" && { nohup sh "$1/run" >"$1/log" 2>&1 </dev/null & echo $! >"$1/runner"; }'
"""Begins to run the guest of folder $1; its script is known from then on."""

END = """[ -d "$1" ] || exit 0
: >"$1/stop"
is() { case "$(ps -ww -o args= -p "$1" 2>/dev/null)" in *"$2"*) return 0;; esac; return 1; }
n=0
while r=$(cat "$1/runner" 2>/dev/null) && is "$r" "$1/run"; do
  c=$(cat "$1/child" 2>/dev/null) && is "$c" "$2" && kill -KILL "$c"
  n=$(($n + 1)); [ $n -gt 100 ] && exit 4
  sleep 0.05
done
exit 0"""
"""Ends what the script of folder $1 runs for guest $2, again and again until the script itself has ended.

Once would not do: the script may be between its loader and bhyve. Its folder may go only after it.
"""

SIGNAL = """p=$(cat "$1/$2" 2>/dev/null) || exit 3
case "$(ps -ww -o args= -p "$p" 2>/dev/null)" in *"$3"*) kill -"$4" "$p" || exit 3;; *) exit 3;; esac"""
"""Sends signal $4 to the process in file $2 of folder $1 if its command line still holds $3; else exit 3."""
NO_PROCESS = 3


@dataclass(slots=True)
class Kept:
    """A guest's folder as it is now."""

    uuid: str
    name: str
    taps: list[str] = field(default_factory=list)
    xml: str = ""
    port: int = 0
    pid: int = 0
    boots: int = 0
    alive: bool = False
    """Whether its script runs."""
    status: int | None = None
    """How bhyve ended, as sh tells it: 128 and more for a signal."""
    seconds: int = 0


def script(
    folder: str, name: str, bhyve: Sequence[str], loader: Sequence[str], bhyvectl: str, *, restarts: bool
) -> str:
    """Return the script that runs a guest.

    Args:
        folder: the guest's folder.
        name: the machine's name.
        bhyve: the command that runs it.
        loader: the command that must run before; empty for none.
        bhyvectl: the tool that destroys it.
        restarts: whether a reboot boots again.
    """
    destroy = shlex.join([bhyvectl, "--destroy", f"--vm={name}"]) + " >/dev/null 2>&1"
    load = f"go {shlex.join(loader)} || {{ s=$?; {destroy}; end $(($s + 1000)); }}" if loader else ":"
    again = "0" if restarts else "none"
    return f"""cd -- {shlex.quote(folder)} || exit 1
put() {{ echo "$2" >"$1.new" && mv -f "$1.new" "$1"; }}
end() {{ put exit "$1 $(($(date +%s) - $t))"; exit 0; }}
gone() {{ [ -e stop ] || [ ! -e run ]; }}
run() {{ "$@" </dev/null & c=$!; put child $c; gone && kill -KILL $c; }}
go() {{ run "$@"; wait $c; }}
put runner $$
b=0
while :; do
  t=$(date +%s)
  gone && end 1000
  {load}
  run {shlex.join(bhyve)}
  put pid $c; b=$(($b + 1)); put boots $b
  wait $c; s=$?
  {destroy}
  gone && end $s
  if [ -e again ] && {{ [ $s -le 2 ] || [ $s = 143 ]; }}; then rm -f again; continue; fi
  [ "$s" = "{again}" ] || end $s
done
"""


def read_list(result: ToolResult) -> tuple[set[str], list[Kept]]:
    """Return the machines there are by name, and the folders of guests.

    Raises:
        OperationFailed: the list is cut short.
    """
    lines = result.stdout.split("\n")
    if result.status != 0 or result.truncated or lines[-2:] != ["end", ""]:
        raise ToolFailed("the list of guests is cut short", remedy="look at the host's shell", status=result.status,
                         argv=list(result.argv[:1]), stderr=result.stderr[-500:])  # fmt: skip
    machines: set[str] = set()
    kept: list[Kept] = []
    for line in lines[:-2]:
        word, _, value = line.partition(" ")
        if word == "vmm":
            machines.add(value)
        elif word == "info":
            kept.append(_info(value))
        elif kept:
            _fact(kept[-1], word, value)
    return machines, kept


def _info(text: str) -> Kept:
    try:
        said = json.loads(text)
        return Kept(uuid=str(said["uuid"]), name=str(said["name"]), taps=[str(tap) for tap in said["taps"]],
                    xml=str(said["xml"]), port=int(said["port"]))  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise OperationFailed(f"a guest's info is damaged: {text[:80]}", remedy="remove its folder") from error


def _fact(kept: Kept, word: str, value: str) -> None:
    numbers = [int(each) for each in value.split() if each.isdigit()]
    if word == "pid" and numbers:
        kept.pid = numbers[0]
    elif word == "boots" and numbers:
        kept.boots = numbers[0]
    elif word == "runner":
        kept.alive = True
    elif word == "exit" and len(numbers) == 2:
        kept.status, kept.seconds = numbers


def info(kept: Kept) -> bytes:
    """Return the line of `info`."""
    said = {"uuid": kept.uuid, "name": kept.name, "taps": kept.taps, "xml": kept.xml, "port": kept.port}
    return json.dumps(said).encode() + b"\n"


def reason_of(kept: Kept, *, old: bool) -> str:
    """Return why a guest ended, as a reason of shutoff.

    Exit codes (bhyve(8), FreeBSD r336188): 0 reboot, 1 powered off, 2 halted, 3 triple fault, 4 error. Before that
    change an error was 1 as well: one that comes at once is taken for it. 1000 and more: the loader's.

    Args:
        kept: the guest.
        old: whether the host is older than FreeBSD 12.
    """
    status = kept.status
    if status is None:
        return "unknown"
    if status in (0, 1, 2, TERMINATED):
        return "failed" if old and status == 1 and kept.seconds < EARLY_S else "shutdown"
    if status == 3 or 128 < status < 1000:
        return "crashed"
    return "failed"


TERMINATED = 128 + 15
"""The ACPI button was pressed before bhyve listened for it."""
EARLY_S = 3
"""No guest boots and switches itself off in so few seconds."""
