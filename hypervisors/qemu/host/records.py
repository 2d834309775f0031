"""What a handle keeps of what the node made on the host for a guest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperRecord:
    """A helper process; its start time names it for good."""

    name: str
    pid: int
    start_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What must be taken away when the guest has ended."""

    helpers: tuple[HelperRecord, ...] = ()
    links: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Empty folders, such as those on hugetlbfs."""

    def to_map(self) -> dict[str, Any]:
        """Return plain data for a handle; {} where there is nothing."""
        found: dict[str, Any] = {
            "helpers": [[item.name, item.pid, item.start_time] for item in self.helpers],
            "links": list(self.links), "folders": list(self.folders),
        }  # fmt: skip
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_map` gave."""
        return cls(
            helpers=tuple(
                HelperRecord(name=name, pid=pid, start_time=start) for name, pid, start in values.get("helpers", ())
            ),
            links=tuple(values.get("links", ())), folders=tuple(values.get("folders", ())),
        )  # fmt: skip
