"""What an emulator can do, as a probe found it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

TYPE_ALIASES = {"ahci": "ich9-ahci", "lsi": "lsi53c895a"}
"""Names of devices that -device takes and the object model does not have (qdev_alias_table of QEMU)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineType:
    """A machine type of query-machines."""

    name: str
    alias: str = ""
    default: bool = False
    deprecated: bool = False
    max_cpus: int = 1
    default_cpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuModel:
    """A CPU model of query-cpu-definitions; `blockers` are features that this host lacks for it."""

    name: str
    deprecated: bool = False
    blockers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorKey:
    """Names one build of an emulator: a probe's result holds as long as this is the same."""

    path: str
    inode: int
    mtime_ns: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorCapabilities:
    """A probed emulator; immutable, shared by all that start guests with it."""

    key: EmulatorKey
    version: tuple[int, int, int]
    package: str
    arch: str
    types: frozenset[str]
    machines: tuple[MachineType, ...]
    cpus: tuple[CpuModel, ...]
    options: frozenset[str]
    """Names of command line options that take properties (query-command-line-options)."""
    displays: frozenset[str] = frozenset()
    """Kinds of displays on the host that -display takes (the schema's DisplayType)."""

    def has_type(self, name: str) -> bool:
        """Tell whether QEMU's object model knows a type (a device, object or accelerator)."""
        return TYPE_ALIASES.get(name, name) in self.types

    def machine(self, name: str) -> MachineType | None:
        """Return a machine type by its name or alias."""
        return next((item for item in self.machines if name in (item.name, item.alias)), None)

    def canonical_machine(self, name: str) -> str | None:
        """Return the versioned name of a machine type or alias; None where it is unknown."""
        found = self.machine(name)
        return found.name if found is not None else None

    def default_cpu(self, machine: str) -> str | None:
        """Return the CPU model that QEMU takes by itself for a machine type."""
        found = self.machine(machine)
        return found.default_cpu or None if found is not None else None

    def max_cpus(self, machine: str) -> int | None:
        """Return how many processors a machine type can have; None where it is unknown."""
        found = self.machine(machine)
        return found.max_cpus if found is not None else None

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Accelerators that are built in: tcg, kvm."""
        return tuple(name for name in ("kvm", "tcg") if f"{name}-accel" in self.types)

    def to_map(self) -> dict[str, Any]:
        """Return plain data for the cache file."""
        sets = {"types": self.types, "options": self.options, "displays": self.displays}
        return {**asdict(self), **{name: sorted(values) for name, values in sets.items()}}

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Make it from what `to_map` gave.

        Raises:
            KeyError, TypeError, ValueError: it is of another version.
        """
        major, minor, micro = values["version"]
        return cls(
            key=EmulatorKey(**values["key"]),
            version=(int(major), int(minor), int(micro)),
            package=str(values["package"]),
            arch=str(values["arch"]),
            types=frozenset(values["types"]),
            machines=tuple(MachineType(**item) for item in values["machines"]),
            cpus=tuple(CpuModel(**{**item, "blockers": tuple(item["blockers"])}) for item in values["cpus"]),
            options=frozenset(values["options"]),
            displays=frozenset(values["displays"]),
        )


def from_replies(key: EmulatorKey, replies: Mapping[str, Any]) -> EmulatorCapabilities:
    """Make the record from QMP's replies, by command (qapi/machine.json, qapi/qom.json)."""
    version = replies["query-version"]
    numbers = version["qemu"]
    arch = str(replies["query-target"]["arch"])
    return EmulatorCapabilities(
        key=key,
        version=(int(numbers["major"]), int(numbers["minor"]), int(numbers["micro"])),
        package=str(version.get("package", "")).strip(),
        arch=arch,
        types=frozenset(item["name"] for item in replies["qom-list-types"]),
        machines=tuple(_machine(item, f"-{arch}-cpu") for item in replies["query-machines"]),
        cpus=tuple(_cpu(item) for item in sorted(replies["query-cpu-definitions"], key=lambda item: item["name"])),
        options=frozenset(item["option"] for item in replies["query-command-line-options"]),
        displays=_displays(replies.get("query-qmp-schema") or ()),
    )


def _displays(schema: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the values of DisplayType, whose name the schema hides (qapi/introspect.json): the enum with these two."""
    for item in schema:
        values = item.get("values", ()) if item.get("meta-type") == "enum" else ()
        if "curses" in values or {"default", "none", "gtk"} <= set(values):
            return frozenset(values)
    return frozenset()


def _machine(item: Mapping[str, Any], suffix: str) -> MachineType:
    return MachineType(
        name=item["name"],
        alias=item.get("alias", ""),
        default=bool(item.get("is-default")),
        deprecated=bool(item.get("deprecated")),
        max_cpus=int(item.get("cpu-max", 1)),
        default_cpu=str(item.get("default-cpu-type", "")).removesuffix(suffix),
    )


def _cpu(item: Mapping[str, Any]) -> CpuModel:
    return CpuModel(
        name=item["name"],
        deprecated=bool(item.get("deprecated")),
        blockers=tuple(item.get("unavailable-features", ())),
    )
