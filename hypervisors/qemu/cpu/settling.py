"""What a guest's `<cpu>` comes to when it starts: host-model made concrete, optional features decided, checks.

As libvirt does it: the live XML of a guest with mode='host-model' says mode='custom' with the model and features
that it has got, and check='full', so that it has the same processor after a save, and whatever the host is then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....config.errors import CpuIncompatible, StartFailed, XmlError
from ..capabilities import EmulatorKey
from ..qmp import CommandKind, Monitor
from .choosing import closest
from .comparing import INCOMPATIBLE, compare
from .description import WITHOUT, CpuDescription
from .models import ProcessorTable
from .names import canonical, shown, shown_all, vendor_meant, vendor_shown
from .tables import ProcessorTables

if TYPE_CHECKING:
    from ....config.domain.cpu import Cpu
    from ....config.domain.domain import Domain

PATH = "/domain/cpu"


class Settler:
    """Settles the processors of guests that start. Loop's thread."""

    def __init__(self, tables: ProcessorTables) -> None:
        self._tables = tables

    async def settle(self, domain: Domain, key: EmulatorKey, accel: str) -> Domain:
        """Return the definition with the processor that the guest gets; the same one where nothing is open.

        Raises:
            CpuIncompatible: the emulator cannot give the processor, and the definition wants that checked.
            XmlError: it names an unknown model or feature.
            OperationFailed, Unsupported: the emulator does not tell its models.
        """
        if domain.cpu is None or not _is_open(domain.cpu, accel):
            return domain
        table = await self._tables.get(key, accel)
        settled = domain.copy()
        settled.cpu = settle_cpu(domain.cpu, table)
        return settled

    async def verify(self, monitor: Monitor, live: Domain, cpus: Any, deadline_s: float) -> None:
        """Ask the guest, before it runs, which features it did not get, and write that into its live definition.

        Args:
            monitor: the guest's.
            live: its definition as it was started; changed in place.
            cpus: QEMU's answer to query-cpus-fast.
            deadline_s: seconds it may take.

        Raises:
            StartFailed: it lacks something, and the definition says check='full'.
        """
        cpu = live.cpu
        if cpu is None or cpu.mode != "custom" or cpu.check not in ("partial", "full"):
            return
        arguments = {"path": cpus[0]["qom-path"], "property": "unavailable-features"}
        lacking = await monitor.execute("qom-get", arguments, kind=CommandKind.QUERY, deadline_s=deadline_s)
        note_lacking(cpu, lacking)


def _is_open(cpu: Cpu, accel: str) -> bool:
    if cpu.mode == "host-model":
        return True
    if cpu.mode in ("host-passthrough", "maximum") or not cpu.model.name:
        return False
    return (
        checks(cpu, accel) in ("partial", "full")
        or cpu.match in ("minimum", "strict")
        or any(feature.policy == "optional" for feature in cpu.features)
    )


def checks(cpu: Cpu, accel: str) -> str:
    """Return how the processor is checked: with TCG custom ones are not, unless the definition asks for it."""
    if cpu.check not in (None, "default"):
        return str(cpu.check)
    return "partial" if cpu.mode == "host-model" or accel == "kvm" else "none"


def settle_cpu(cpu: Cpu, table: ProcessorTable) -> Cpu:
    """Return a copy of `<cpu>` with nothing left open. Pure.

    Raises:
        CpuIncompatible: it cannot be had, and is to be checked.
        XmlError: it names an unknown model or feature.
    """
    settled = cpu.copy()
    settled.check = checks(cpu, table.accel)
    if cpu.mode == "host-model":
        _make_concrete(settled, table)
        if settled.check == "none":
            return settled
    description = describe(settled)
    comparison = compare(description, table.offer, table)
    if settled.check in ("partial", "full") and comparison.result == INCOMPATIBLE:
        raise CpuIncompatible(
            f"the CPU is incompatible with host CPU: {comparison.reason}",
            remedy="remove what is missing, or use mode='host-model'", path=PATH, value=settled.model.name,
            missing=shown_all(comparison.missing), forbidden=shown_all(comparison.forbidden),
        )  # fmt: skip
    if cpu.match == "minimum":
        for name in comparison.extra:
            _say(settled, name, "require")
    settled.match = "exact"
    for feature in settled.features:
        if feature.policy == "optional":
            feature.policy = "require" if canonical(feature.name) in table.offer.features else "disable"
    return settled


def describe(cpu: Cpu) -> CpuDescription:
    """Return what a definition's `<cpu>` asks for."""
    return CpuDescription(
        path=PATH, model=cpu.model.name or "", vendor=vendor_meant(cpu.vendor or ""), match=cpu.match or "exact",
        policies={canonical(feature.name): feature.policy or "require" for feature in cpu.features},
    )  # fmt: skip


def _make_concrete(cpu: Cpu, table: ProcessorTable) -> None:
    """Put the nearest model and the differences in the place of host-model; what the definition says comes after."""
    from ....config.domain.cpu import CpuFeature

    choice = closest(table.offer, table)
    said, cpu.features = cpu.features, []
    for name, policy in sorted(choice.policies.items()):
        cpu.features.append(CpuFeature(name=shown(name), policy=policy))
    for feature in said:
        if canonical(feature.name) not in table.known:
            raise XmlError(f"Unknown CPU feature {feature.name}", remedy="correct or remove it",
                           path=f"{PATH}/feature/@name", value=feature.name)  # fmt: skip
        _say(cpu, canonical(feature.name), feature.policy or "require")
    cpu.mode, cpu.match = "custom", "exact"
    cpu.migratable = None
    cpu.model.name, cpu.model.fallback = choice.model.name, "forbid"
    known_vendor = vendor_shown(choice.vendor)
    cpu.vendor = known_vendor if known_vendor != "unknown" else None


def _say(cpu: Cpu, name: str, policy: str) -> None:
    """Set what `<cpu>` says of a feature of QEMU's name."""
    from ....config.domain.cpu import CpuFeature

    for feature in cpu.features:
        if canonical(feature.name) == name:
            feature.policy = policy
            return
    cpu.features.append(CpuFeature(name=shown(name), policy=policy))


def note_lacking(cpu: Cpu, lacking: list[str]) -> None:
    """Write down which features a started guest did not get. Pure, but for `cpu`.

    Raises:
        StartFailed: the definition does not allow that.
    """
    said: Mapping[str, str] = {canonical(feature.name): feature.policy or "require" for feature in cpu.features}
    missed = sorted({canonical(name) for name in lacking if said.get(canonical(name)) not in WITHOUT})
    if missed and cpu.check == "full":
        raise StartFailed(
            f"guest CPU doesn't match specification: missing features: {','.join(shown_all(missed))}",
            remedy="remove them from the definition, or use check='partial'", path=PATH, missing=shown_all(missed),
        )  # fmt: skip
    for name in missed:
        _say(cpu, name, "disable")
    cpu.check = "full"
