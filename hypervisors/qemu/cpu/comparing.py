"""Compare a described processor with one that is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .description import CpuDescription
from .models import IGNORED, Processor, ProcessorTable
from .names import shown_all, vendor_shown

IDENTICAL, SUPERSET, INCOMPATIBLE = "identical", "superset", "incompatible"
NUMBERS = {INCOMPATIBLE: 0, IDENTICAL: 1, SUPERSET: 2}
"""virCPUCompareResult of libvirt's include/libvirt/libvirt-host.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`superset`: what is there has more than what is described."""

    result: str
    reason: str = ""
    missing: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()


def compare(wanted: CpuDescription, have: Processor, table: ProcessorTable) -> Comparison:
    """Compare; the words of reasons are libvirt's.

    Raises:
        XmlError: the description names an unknown model or feature.
    """
    if wanted.vendor and have.vendor and wanted.vendor != have.vendor:
        reason = f"Host CPU vendor does not match required CPU vendor {vendor_shown(wanted.vendor)}"
        return Comparison(result=INCOMPATIBLE, reason=reason)
    model = wanted.model_features(table)
    policies = wanted.policies
    needed = model - policies.keys() | {name for name, policy in policies.items() if policy == "require"}
    missing = frozenset(needed) - have.features - IGNORED
    forbidden = frozenset(name for name, policy in policies.items() if policy == "forbid") & have.features
    extra = have.features - model - policies.keys() - IGNORED - table.switched
    extra |= frozenset(name for name, policy in policies.items() if policy == "disable") & have.features
    reason = ""
    if missing:
        reason = f"Host CPU does not provide required features: {_listed(missing)}"
    elif forbidden:
        reason = f"Host CPU provides forbidden features: {_listed(forbidden)}"
    elif extra and wanted.match == "strict":
        reason = f"Host CPU does not strictly match guest CPU: Extra features: {_listed(extra)}"
    result = INCOMPATIBLE if reason else SUPERSET if extra else IDENTICAL
    return Comparison(result=result, reason=reason, missing=missing, forbidden=forbidden, extra=extra)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(shown_all(names))
