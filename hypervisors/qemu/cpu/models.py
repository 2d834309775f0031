"""What an emulator knows of processors under one accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

IGNORED = frozenset({"hypervisor"})
"""In each of QEMU's models and in none of libvirt's: it says that there is a hypervisor, not what the processor can."""
SWITCHED = {"tcg": frozenset({"vme"}), "kvm": frozenset[str]()}
"""Features that an accelerator switches off in each model, so that a model's definition does not tell of them
(tcg_default_props of QEMU's target/i386/tcg/tcg-cpu.c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorModel:
    """A named model: its features are QEMU's canonical names."""

    name: str
    vendor: str = ""
    features: frozenset[str]
    blockers: frozenset[str] = frozenset()
    """Features of it that the accelerator cannot give here."""
    deprecated: bool = False

    @property
    def usable(self) -> bool:
        """Tell whether the accelerator gives all of it."""
        return not self.blockers


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """A processor that is there, or can be had: vendor and features."""

    vendor: str = ""
    features: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTable:
    """All models of an emulator, and the most that one accelerator gives."""

    accel: str
    models: tuple[ProcessorModel, ...]
    offer: Processor
    known: frozenset[str]
    """All features that QEMU has a name for."""

    def model(self, name: str) -> ProcessorModel | None:
        """Return a model by its name."""
        return next((item for item in self.models if item.name == name), None)

    @property
    def named(self) -> tuple[ProcessorModel, ...]:
        """Return the models to choose from: those with a name of their own, not `EPYC-v3`, as libvirt lists them."""
        return tuple(item for item in self.models if not _versioned(item.name))

    @property
    def switched(self) -> frozenset[str]:
        """Return the features that no model tells of."""
        return SWITCHED.get(self.accel, frozenset())

    def to_map(self) -> dict[str, Any]:
        """Return plain data for the cache file."""
        return {
            "accel": self.accel,
            "models": [_plain(asdict(item)) for item in self.models],
            "offer": _plain(asdict(self.offer)),
            "known": sorted(self.known),
        }

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Make it from what `to_map` gave.

        Raises:
            KeyError, TypeError, ValueError: it is of another version.
        """
        return cls(
            accel=str(values["accel"]),
            models=tuple(
                ProcessorModel(**_frozen(item, "features", "blockers")) for item in values["models"]
            ),
            offer=Processor(**_frozen(values["offer"], "features")),
            known=frozenset(values["known"]),
        )  # fmt: skip


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()}


def _frozen(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**values, **{name: frozenset(values[name]) for name in names}}


def _versioned(name: str) -> bool:
    stem, _, version = name.rpartition("-v")
    return bool(stem) and version.isdigit()
