"""What VBoxManage prints, as values. Pure functions of text.

Formats: VBoxManageInfo.cpp and VBoxManageSnapshot.cpp of VirtualBox 6.1 and 7.0 (names in angle brackets for
machines whose file cannot be read, `Encryption:     disabled` among the machine readable lines of 7.0, exit
status 1 beside "This machine does not have any snapshots"). Quotes and backslashes carry a backslash, newlines
never do, and older releases print `description` as it is, over several lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...config.errors import (
    Busy,
    ConfigUnsupported,
    MechaneError,
    NotFound,
    OperationFailed,
    OperationInvalid,
    PermissionDenied,
    ToolFailed,
)
from ...config.states import State
from ..tooling.run import ToolResult

INACCESSIBLE = "<inaccessible>"
NO_SNAPSHOTS = "does not have any snapshots"
_VERSION = re.compile(r"^(\d+)\.(\d+)\.(\d+)\S*$", re.MULTILINE)
_LISTED = re.compile(r'^"(?P<name>.*)" \{(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}$')
_PAIR = re.compile(r'^(?P<key>"(?:[^"\\]|\\.)*"|[^="]+)=(?P<value>.*)$', re.DOTALL)
_KEY = re.compile(r"[A-Za-z][\w-]*=")
_CODE = re.compile(r"\b((?:VBOX_)?E_[A-Z_]+|NS_ERROR_[A-Z_]+) \(0x([0-9a-fA-F]{8})\)")
_SNAPSHOT = re.compile(r"SnapshotName((?:-\d+)*)\Z")
_RUNNING = ("running", "starting", "restoring", "livesnapshotting", "onlinesnapshotting", "teleporting",
            "teleportingin", "deletingsnapshotlive", "settingup", "faulttolerantsyncing")  # fmt: skip
_PAUSED = ("paused", "teleportingpausedvm", "deletingsnapshotlivepaused")
_OFF = ("poweroff", "saved", "teleported", "restoringsnapshot", "deletingsnapshot", "snapshotting",
        "offlinesnapshotting")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A machine of `list vms`."""

    uuid: str
    name: str

    @property
    def accessible(self) -> bool:
        """Whether VirtualBox could read the machine's file."""
        return self.name != INACCESSIBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Snap:
    """A snapshot of `snapshot … list --machinereadable`."""

    name: str
    uuid: str
    parent: str = ""
    description: str = ""
    current: bool = False


def version_of(text: str) -> str:
    """Return the version in `7.0.14r161095`; a warning of the kernel module may stand above it.

    Raises:
        OperationFailed: no version is printed.
    """
    found = _VERSION.search(text)
    if found is None:
        raise OperationFailed("VBoxManage names no version", remedy="run VBoxManage --version by hand")
    return found[0]


def major_of(version: str) -> int:
    """Return the first number of a version."""
    return int(version.partition(".")[0])


def machines(result: ToolResult) -> list[Listed]:
    """Return the machines of `list vms` or `list runningvms`; lines that are none are warnings.

    Raises:
        OperationFailed: the list is cut short: a machine that is missing would be taken for removed.
    """
    text = result.stdout
    if result.truncated or (text and not text.endswith("\n")):
        raise _cut(result, "list is cut short")
    found = []
    for line in text.splitlines():
        match = _LISTED.match(line.strip())
        if match is not None:
            found.append(Listed(uuid=match["uuid"].lower(), name=_unescaped(match["name"])))
        elif line.startswith('"'):
            raise _cut(result, f"list has a line that is none: {line[:80]}")
    return found


def settings(result: ToolResult) -> dict[str, str]:
    """Return what `showvminfo --machinereadable` says of a machine, by key.

    Raises:
        OperationFailed: it is cut short.
    """
    found = pairs(result.stdout)
    if "VMState" not in found or result.truncated or not result.stdout.endswith("\n"):
        raise _cut(result, "description of a machine is cut short")
    return found


def pairs(text: str) -> dict[str, str]:
    """Return key=value lines; values in quotes may go on over several lines."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        match = _PAIR.match(line)
        if match is None:
            continue  # a warning, or a line of another form such as `Encryption:     disabled`
        value = match["value"]
        more = at
        if match["key"] == "description" and not value.startswith('"'):
            while more < len(lines) and not _KEY.match(lines[more]):
                value += "\n" + lines[more]
                more += 1
            found.setdefault("description", value)
            at = more
            continue
        while value.startswith('"') and not _closed(value) and more < len(lines):
            value += "\n" + lines[more]
            more += 1
        if value.startswith('"') and _closed(value):
            at = more
        else:
            value = match["value"]
        found.setdefault(_bare(match["key"].strip()), _bare(value.strip()))
    return found


def _closed(value: str) -> bool:
    """Tell whether a quoted value ends where its last line does: a quote that no backslash takes back."""
    return re.search(r'(?<!\\)(?:\\\\)*"\Z', value[1:]) is not None


def _bare(text: str) -> str:
    return _unescaped(text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _unescaped(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text)


def snapshots(result: ToolResult) -> list[Snap]:
    """Return the snapshots of a machine, parents first.

    Raises:
        MechaneError: they cannot be listed.
    """
    if NO_SNAPSHOTS in result.stdout + result.stderr:
        return []
    check(result)
    found = pairs(result.stdout)
    names = {match[1]: value for key, value in found.items() if (match := _SNAPSHOT.match(key))}
    if not names or not result.stdout.endswith("\n"):
        raise _cut(result, "list of snapshots is cut short")
    current = found.get("CurrentSnapshotUUID", "")
    return [
        Snap(name=name, uuid=found.get(f"SnapshotUUID{path}", ""), parent=names.get(path.rpartition("-")[0], "")
             if path else "", description=found.get(f"SnapshotDescription{path}", ""),
             current=found.get(f"SnapshotUUID{path}", "-") == current)
        for path, name in sorted(names.items(), key=lambda item: item[0].count("-"))
    ]  # fmt: skip


def state_of(word: str) -> tuple[State, str]:
    """Return state and reason for VirtualBox's word; one that nobody knows is no state."""
    if word in _RUNNING:
        return State.RUNNING, "unknown"
    if word in _PAUSED:
        return State.PAUSED, "user" if word == "paused" else "migration"
    if word in ("stopping", "saving"):
        return State.SHUTDOWN, "user"
    if word in _OFF:
        return State.SHUTOFF, {"saved": "saved", "teleported": "migrated"}.get(word, "unknown")
    if word == "gurumeditation":
        return State.BLOCKED, "unknown"  # libvirt's choice; the guest is dead and its process kept
    if word in ("aborted", "aborted-saved"):
        return State.CRASHED, "unknown"
    return State.NOSTATE, "unknown"


def error_of(result: ToolResult) -> str:
    """Return the name of VirtualBox's error code, such as VBOX_E_OBJECT_NOT_FOUND; empty where none is said.

    Texts are translated, codes are not (VirtualBox.xidl lists them).
    """
    found = _CODE.search(result.stderr)
    return found[1] if found else ""


def is_locked(result: ToolResult) -> bool:
    """Tell whether another session holds the machine, which passes: right after a stop VBoxSVC still has it."""
    return result.status != 0 and (
        error_of(result) in ("VBOX_E_INVALID_OBJECT_STATE", "VBOX_E_OBJECT_IN_USE")
        or "already locked for a session" in result.stderr
        or "already locked by a session" in result.stderr
    )


def check(result: ToolResult, name: str = "") -> ToolResult:
    """Return the result of a command that succeeded.

    Raises:
        MechaneError: what VirtualBox's error code means.
    """
    if result.status == 0:
        return result
    failure = result.failure()
    said = next((line for line in result.stderr.splitlines() if "error:" in line), failure.message)
    text = f"VBoxManage{f' for {name}' if name else ''}: {said.partition('error: ')[2] or said}"
    kinds: dict[str, tuple[type[MechaneError], str]] = {
        "VBOX_E_OBJECT_NOT_FOUND": (NotFound, "list what there is"),
        "VBOX_E_INVALID_VM_STATE": (OperationInvalid, "look at the machine's state"),
        "VBOX_E_NOT_SUPPORTED": (ConfigUnsupported, "this VirtualBox cannot do it"),
        "E_ACCESSDENIED": (PermissionDenied, "run the node as the owner of the machines"),
    }
    if is_locked(result):
        raise Busy(text, remedy="close the machine in other programs", what="session", limit=1)
    kind, remedy = kinds.get(error_of(result), (ToolFailed, failure.remedy))
    raise kind(text, remedy=remedy, **(failure.details if kind is ToolFailed else {}))


def _cut(result: ToolResult, what: str) -> ToolFailed:
    return ToolFailed(
        f"VBoxManage's {what}", remedy="run the command by hand", argv=list(result.argv), status=result.status,
        stderr=(result.stderr or result.stdout)[-500:],
    )  # fmt: skip
