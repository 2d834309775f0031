"""How many of libvirt's procedures the catalogue serves.

Source of numbers and names: libvirt_procedures.tsv, facts of libvirt 9.0.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .catalogue import load

TABLE = Path(__file__).with_name("libvirt_procedures.tsv")
LONGER_GROUPS = ("node_device", "domain_snapshot", "domain_checkpoint")
"""Objects whose name has two words; all others are the first word of a procedure."""


class GroupCoverage(NamedTuple):
    """One group of libvirt's procedures: how many there are and which are served by what."""

    group: str
    total: int
    served: dict[str, str]
    missing: list[str]


def procedures() -> dict[int, str]:
    """Return libvirt's procedures: number and name."""
    rows = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {int(row[0]): row[1] for row in rows if row[0].isdigit()}


def group_of(procedure: str) -> str:
    """Return the object that a procedure is about."""
    for group in LONGER_GROUPS:
        if procedure.startswith(group + "_"):
            return group
    return procedure.partition("_")[0]


def coverage() -> list[GroupCoverage]:
    """Return the coverage of each group, the largest first.

    Raises:
        KeyError: a call claims a procedure that libvirt does not have.
    """
    names = procedures()
    served = {names[number]: spec.name for spec in load() for number in spec.libvirt}
    groups: dict[str, GroupCoverage] = {}
    for name in names.values():
        group = group_of(name)
        known = groups.get(group) or GroupCoverage(group, 0, {}, [])
        if name in served:
            known.served[name] = served[name]
        else:
            known.missing.append(name)
        groups[group] = known._replace(total=known.total + 1)
    return sorted(groups.values(), key=lambda group: (-group.total, group.group))


def coverage_text(groups: list[GroupCoverage]) -> str:
    """Return the coverage as a table with a total."""
    lines = [f"{'group':<20}{'served':>8}{'of':>6}{'':>4}"]
    total, served = 0, 0
    for group in groups:
        part = 100 * len(group.served) / group.total
        lines.append(f"{group.group:<20}{len(group.served):>8}{group.total:>6}{part:>6.0f} %")
        total += group.total
        served += len(group.served)
    lines.append(f"{'all':<20}{served:>8}{total:>6}{100 * served / total:>6.0f} %")
    return "\n".join(lines)
