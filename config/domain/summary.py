"""What the node keeps of a definition in memory: small, frozen, packable, no XML library needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSummary:
    """The facts of a definition that lists, look-ups and permissions need; memory in KiB."""

    name: str
    uuid: str
    type: str
    os_type: str = "hvm"
    arch: str = ""
    machine: str = ""
    title: str = ""
    description: str = ""
    memory_kib: int = 0
    max_memory_kib: int = 0
    vcpus: int = 1
    max_vcpus: int = 1
    emulator: str = ""
    # qemu:commandline, qemu:capabilities, qemu:override and their like: a permission of their own
    passthrough: bool = False
    # how many elements and attributes are kept without being understood
    unknown: int = 0

    def to_map(self) -> dict[str, str | int | bool]:
        """Return a map for MessagePack."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Make a summary from what to_map gave; names of later versions are passed over."""
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})
