"""Snapshots of a guest: names from vmrun, what else there is from the .vmsd file beside the .vmx.

A .vmsd is written like a .vmx: `snapshot.current` is a uid, `snapshotN.uid/.parent/.displayName/
.description/.createTimeHigh/.createTimeLow/.type`; the time is in microseconds since 1970 in two 32-bit
halves, type 1 has the guest's memory. VMware does not document the file, so nothing depends on it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ...config.errors import InvalidArgument, MechaneError
from ..abilities import SnapshotInfo
from ..vmx.text import MAX_BYTES, VmxText, decode

MOST = 1000


def described(vmx: str, tree: list[tuple[str, str]]) -> list[SnapshotInfo]:
    """Return the snapshots of a guest. Blocks on a file.

    Args:
        vmx: path of its .vmx.
        tree: names and parents as vmrun lists them.
    """
    details = _details(Path(vmx).with_suffix(".vmsd"))
    found = []
    for name, parent in tree:
        known = details.get(name)
        if known is None:
            found.append(SnapshotInfo(name=name, parent=parent))
        else:
            found.append(SnapshotInfo(
                name=name, parent=parent, current=known.current, state=known.state, created_at=known.created_at,
                description=known.description, memory=known.memory,
            ))  # fmt: skip
    return found


def _details(path: Path) -> dict[str, SnapshotInfo]:
    found: dict[str, SnapshotInfo] = {}
    with suppress(OSError, MechaneError):  # not there, or not as it is known: names are enough
        with path.open("rb") as file:
            vmsd = VmxText.parse(decode(file.read(MAX_BYTES + 1)))
        current = vmsd.string("snapshot.current")
        for number in range(MOST):
            key = f"snapshot{number}"
            name = vmsd.string(f"{key}.displayName")
            if name is None:
                continue
            memory = vmsd.number(f"{key}.type") == 1
            micros = (vmsd.number(f"{key}.createTimeHigh") << 32) + (vmsd.number(f"{key}.createTimeLow") & 0xFFFFFFFF)
            found[name] = SnapshotInfo(
                name=name, current=vmsd.string(f"{key}.uid") == current, memory=memory, created_at=micros / 1e6,
                state="running" if memory else "shutoff", description=vmsd.string(f"{key}.description") or "",
            )  # fmt: skip
    return found


def checked_name(name: str) -> str:
    """Return a snapshot's name that vmrun takes as one: `/` would name a path of snapshots.

    Raises:
        InvalidArgument: it is none.
    """
    if not name or name.startswith("-") or "/" in name or "\t" in name or not name.isprintable():
        raise InvalidArgument(
            f"{name[:60]!r} cannot name a snapshot", path="name", value=name[:60], remedy="choose a plain name"
        )
    return name
