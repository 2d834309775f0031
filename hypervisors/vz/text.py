"""What prlctl prints, as values. Pure functions of text.

Formats: the sources of prlctl (github.com/OpenVZ/prlctl) and Virtuozzo's command line reference. Its JSON formatter
writes strings without escaping, so that a quote, a backslash or a line feed in a name or a description makes it
invalid: names are then taken from the plain table, where they come last on the line.

Errors: `Failed to VERB the VM: TEXT` on standard error (PrlVm.cpp); TEXT as public reports have it: "The virtual
machine could not be found. …", "Unable to complete the operation. This operation cannot be completed because the
virtual machine "NAME is in the "paused" state." and "Unable to perform the action because the virtual machine is busy.
The virtual machine is currently running. …" (github.com/Parallels/vagrant-parallels, pull request 295). A stop of what
is off already ends with 0 (get_error in Utils.cpp). Other texts are not known: they stay what they are, a failed tool.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...config.errors import MechaneError, NotFound, OperationFailed, OperationInvalid, ToolFailed, Unresponsive
from ...config.states import State
from ..abilities import SnapshotInfo
from ..tooling.run import ToolResult

STATES: dict[str, tuple[State, str]] = {
    **dict.fromkeys(("running", "starting", "resetting", "pausing", "compacting", "reconnecting", "restoring",
                     "continuing", "resuming"), (State.RUNNING, "unknown")),
    **dict.fromkeys(("paused", "snapshoting", "migrating", "suspending"), (State.PAUSED, "user")),
    "stopping": (State.SHUTDOWN, "user"),
    **dict.fromkeys(("stopped", "mounted", "del_snapshot", "deleting-snapshot", "syncing"), (State.SHUTOFF, "unknown")),
    "suspended": (State.SHUTOFF, "saved"),
}  # fmt: skip
"""Virtuozzo's word -> state and reason (fact sheet; `snapshoting` is spelled so)."""
SNAPSHOT_STATES = {"poweroff": "shutoff", "poweron": "running", "pause": "paused", "suspend": "shutoff"}
"""Virtuozzo's word for the state that a snapshot was taken in."""
UNREACHABLE, FROZEN = 253, 254
"""Exit codes of prlctl: the dispatcher cannot be reached; it is frozen."""
_UUID = r"\{?(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?"
_ROW = re.compile(rf"{_UUID}\s+(?P<status>[a-z_-]+)\s+(?P<name>\S.*?)\s*")
_SNAP = re.compile(r"^\s*(?:(?P<parent>\{[0-9a-f-]{36}\}))?\s*(?P<current>\*)?(?P<id>\{[0-9a-f-]{36}\})\s*$")
_NEW = re.compile(r"\{([0-9a-fA-F-]{36})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A guest of `prlctl list`."""

    uuid: str
    name: str
    status: str


def listed(result: ToolResult) -> list[Listed]:
    """Return the rows of `list -a -o uuid,status,name`, whose names come last and may hold anything but line feeds.

    Raises:
        OperationFailed: the table is cut short.
    """
    check(result)
    lines = result.stdout.split("\n")
    start = next((at for at, line in enumerate(lines) if line.startswith("UUID") and "STATUS" in line), None)
    if start is None or lines[-1] or result.truncated:
        raise _cut(result, "list of guests is cut short")
    found: list[Listed] = []
    for line in lines[start + 1 : -1]:
        match = _ROW.fullmatch(line)
        if match is None and found and not re.match(_UUID, line):
            continue  # the rest of a name with a line feed in it
        if match is None:
            raise _cut(result, f"list has a line that is none: {line[:80]}")
        found.append(Listed(uuid=match["uuid"].lower(), name=match["name"], status=match["status"]))
    return found


def details(result: ToolResult) -> dict[str, Any]:
    """Return the map that `list -i -f -j ID` prints of one guest.

    Raises:
        OperationFailed: it is cut short or no JSON even when strings are mended.
    """
    check(result)
    start = result.stdout.find("[")
    text = result.stdout[start:] if start >= 0 else ""
    for candidate in (text, mended(text)):
        try:
            found = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(found, list) and found and isinstance(found[0], dict):
            return found[0]
    raise _cut(result, "description of a guest is no JSON, even with its strings mended")


def mended(text: str) -> str:
    """Return JSON whose strings are escaped, where each line holds one key and one value, as prlctl writes it."""
    out = []
    pattern = re.compile(r'^(?P<head>\s*"(?:[^"\\]|\\.)*"\s*:\s*")(?P<body>.*)(?P<tail>"\s*,?\s*)$', re.DOTALL)
    held = ""
    for line in text.split("\n"):
        whole = f"{held}\n{line}" if held else line
        match = pattern.match(whole)
        if match is not None:
            body = json.dumps(match["body"], ensure_ascii=False)[1:-1]
            out.append(f"{match['head']}{body}{match['tail']}")
            held = ""
        elif re.match(r'^\s*"[^"]*"\s*:\s*"', whole):
            held = whole  # a string that goes on over the next line
        else:
            out.append(whole)
    return "\n".join([*out, held] if held else out)


def snapshots(result: ToolResult) -> list[tuple[str, str, bool]]:
    """Return id, parent (empty: none) and whether it is the current one, of `snapshot-list`."""
    check(result)
    found = []
    for line in result.stdout.splitlines():
        match = _SNAP.match(line)
        if match is not None:
            found.append((match["id"].strip("{}"), (match["parent"] or "").strip("{}"), bool(match["current"])))
    return found


def described(result: ToolResult) -> dict[str, str]:
    """Return what `snapshot-list -i ID` says: Name, Date, State, Description (PrlSnapshot.cpp); {} where it failed."""
    found: dict[str, str] = {}
    if result.status == 0:
        head, _, about = result.stdout.partition("\nDescription: ")
        found = {line.partition(": ")[0]: line.partition(": ")[2].strip() for line in head.splitlines() if ": " in line}
        found["Description"] = about.strip()
    return found


def snapshot_of(said: dict[str, str], name: str, parent: str, *, current: bool) -> SnapshotInfo:
    """Return a snapshot as it is described; its time is the host's local one."""
    state = SNAPSHOT_STATES.get(said.get("State", ""), "nostate")
    created_at = 0.0
    with suppress(ValueError, OverflowError):  # no date, or one of another form
        created_at = time.mktime(time.strptime(said.get("Date", ""), "%Y-%m-%d %H:%M:%S"))
    return SnapshotInfo(name=name, parent=parent, current=current, state=state, created_at=created_at,
                        description=said.get("Description", ""), memory=state in ("running", "paused"))  # fmt: skip


def new_snapshot(result: ToolResult) -> str:
    """Return the id that `snapshot` printed in braces."""
    found = _NEW.search(check(result).stdout)
    if found is None:
        raise _cut(result, "answer names no snapshot")
    return found[1]


def mebibytes(text: object) -> int:
    """Return a size such as 2048Mb, 2048 or "65536Mb" in MiB."""
    match = re.match(r"\s*(\d+)", str(text))
    return int(match[1]) if match else 0


def check(result: ToolResult, name: str = "") -> ToolResult:
    """Return the result of a command that succeeded.

    Raises:
        MechaneError: what its exit code, or its message, means.
    """
    if result.status == 0:
        return result
    failure = result.failure()
    said = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[-1]
    text = f"prlctl{f' for {name}' if name else ''}: {said}"
    if result.status == UNREACHABLE:
        raise OperationFailed(f"{text} (the dispatcher cannot be reached)", remedy="start prl-disp", status=UNREACHABLE)
    if result.status == FROZEN:
        raise Unresponsive(f"{text} (the dispatcher is frozen)", remedy="look at prl-disp", status=FROZEN)
    kinds: tuple[tuple[str, type[MechaneError], str], ...] = (
        ("could not be found|not found|No such", NotFound, "list what there is"),
        ('is in the "?[a-z]+"? state|is currently [a-z]+', OperationInvalid, "look at its state"),
        ("is not running|not started|already running|is stopped|not paused", OperationInvalid, "look at its state"),
    )
    for pattern, kind, remedy in kinds:
        if re.search(pattern, result.stderr):
            raise kind(text, remedy=remedy)
    raise ToolFailed(text, remedy=failure.remedy, **failure.details)


def _cut(result: ToolResult, what: str) -> ToolFailed:
    return ToolFailed(f"prlctl's {what}", remedy="run it by hand", argv=list(result.argv), status=result.status,
                      stderr=(result.stderr or result.stdout)[-500:])  # fmt: skip
