"""What vmrun says: running guests, snapshots, errors.

vmrun prints errors on standard output, as `Error: The virtual machine is not powered on: /path`, and ends
with a status that is not 0 (output: github.com/hashicorp/packer issue 1300; status 255: metasploitable3
issue 464). `list` names running guests only, paused ones among them; a count stands above the paths, so
that half a list is noticed. Where `-T` names another product than is installed, it says so as an error.
"""

from __future__ import annotations

import re

from ...config.errors import Busy, MechaneError, NotFound, OperationFailed, OperationInvalid, ToolFailed, Unsupported
from ..tooling.run import ToolResult

PRODUCTS = {"vmwarews": "ws", "vmwareplayer": "player", "vmwarefusion": "fusion"}
"""Scheme of the connection -> vmrun's -T (libvirt.org/drvvmware.html names the schemes)."""
NOT_RUNNING = re.compile(r"not powered on|(virtual machine|VM) is not running", re.IGNORECASE)
_ERROR = re.compile(r"^Error: ?(.*)$", re.MULTILINE)
_TOTAL = re.compile(r"^Total running VMs: (\d+)\s*$", re.MULTILINE)
_SNAPSHOTS = re.compile(r"^Total snapshots: (\d+)\s*$", re.MULTILINE)
_KINDS: tuple[tuple[re.Pattern[str], type[MechaneError], str], ...] = (
    (NOT_RUNNING, OperationInvalid, "start it first"),
    (re.compile("a password is required", re.IGNORECASE), OperationFailed,
     "the guest is encrypted: mechane has no place for its password, take the encryption off"),
    (re.compile("virtual machine cannot be found", re.IGNORECASE), NotFound, "look at the path of its .vmx"),
    (re.compile("tools are not running|tools is not running|tools.*not.*installed", re.IGNORECASE), OperationFailed,
     "the guest needs running VMware Tools for this; `destroy` needs none"),
    (re.compile("snapshot.*(does not exist|not found|invalid)|invalid snapshot name", re.IGNORECASE), NotFound,
     "`list_snapshots` shows the names"),
    (re.compile("already exists", re.IGNORECASE), OperationInvalid, "choose another name"),
    (re.compile("not supported|unrecognized command", re.IGNORECASE), Unsupported, "this product cannot do it"),
    (re.compile("already in use|is busy|insufficient permission", re.IGNORECASE), Busy,
     "another VMware program has the guest open: close it there"),
)  # fmt: skip


def check(result: ToolResult, name: str) -> ToolResult:
    """Return the result of a command that succeeded.

    Args:
        result: what the command said.
        name: the guest that it was for; empty for none.

    Raises:
        OperationInvalid: the guest does not run.
        NotFound: no such snapshot.
        Unsupported: the product does not have the command.
        Busy: another program holds the guest.
        OperationFailed: anything else; `details` hold what it said.
    """
    said = _ERROR.search(result.stdout) or _ERROR.search(result.stderr)
    if result.status == 0 and said is None:
        return result
    text = said[1].strip() if said else ""
    for pattern, kind, remedy in _KINDS:
        if pattern.search(text):
            extra = {"what": "guest", "limit": 1} if kind is Busy else {}
            raise kind(f"vmrun{f' for {name}' if name else ''}: {text}", remedy=remedy, **extra)
    failure = result.failure()
    if text:
        raise ToolFailed(f"vmrun{f' for {name}' if name else ''}: {text}", remedy=failure.remedy, **failure.details)
    raise failure


def running_paths(result: ToolResult) -> list[str]:
    """Return the .vmx files of running guests, as `list` printed them.

    Raises:
        OperationFailed: the list is cut short, or is none.
    """
    paths = _counted(result, _TOTAL)
    return [line.strip() for line in paths]


def snapshot_tree(result: ToolResult) -> list[tuple[str, str]]:
    """Return names and parents (empty: none) of `listSnapshots … showTree`: a tab a level.

    Raises:
        OperationFailed: the list is cut short, or is none.
    """
    found: list[tuple[str, str]] = []
    chain: list[str] = []
    for line in _counted(result, _SNAPSHOTS):
        name = line.lstrip("\t")
        depth = min(len(line) - len(name), len(chain))
        found.append((name.rstrip("\r"), chain[depth - 1] if depth else ""))
        chain[depth:] = [name.rstrip("\r")]
    return found


def _counted(result: ToolResult, head: re.Pattern[str]) -> list[str]:
    """Return the lines below a count, which must be as many: what stands above it is noise."""
    heads = list(head.finditer(result.stdout))
    if not heads or result.truncated:
        raise _cut(result, "has no count of guests in it" if not heads else "is too long")
    lines = [line for line in result.stdout[heads[-1].end() :].splitlines() if line.strip()]
    if len(lines) != int(heads[-1][1]):
        raise _cut(result, f"names {len(lines)} of {heads[-1][1]}")
    return lines


def _cut(result: ToolResult, why: str) -> OperationFailed:
    return ToolFailed(
        f"what vmrun lists {why}", remedy="run the command by hand", argv=list(result.argv), status=result.status,
        stderr=(result.stderr or result.stdout)[-2000:],
    )  # fmt: skip
