"""Answers what the host and its emulators can do."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ...config.errors import ConfigUnsupported, InvalidArgument
from . import capabilities_xml as shown
from .capabilities import EmulatorCapabilities, MachineType
from .emulators import Emulators
from .kvm import KvmProbe, Verdict
from .workshop import Workshop


class HostCapabilities:
    """Capabilities for clients. Loop's thread."""

    def __init__(self, shop: Workshop, emulators: Emulators, kvm: KvmProbe, default: str) -> None:
        self._shop = shop
        self._emulators = emulators
        self._kvm = kvm
        self._default = default

    async def get_capabilities(self) -> dict[str, Any]:
        """Return the host's capabilities: `xml`, and the same as a map."""
        emulator = await self._emulators.get(self._default)
        kvm = await self._kvm.verdict(self._default)
        host = await self._shop.blocking(_host)
        return {
            "xml": shown.capabilities_xml(host, emulator, kvm),
            "host": host,
            "kvm": _kvm_map(kvm),
            "guests": [
                {
                    "os_type": "hvm",
                    "arch": shown.guest_arch(emulator),
                    "emulator": emulator.key.path,
                    "version": ".".join(str(number) for number in emulator.version),
                    "machines": [item.name for item in emulator.machines],
                    "domains": ["qemu", *(["kvm"] if kvm.usable else [])],
                }
            ],
        }

    async def get_domain_capabilities(
        self, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Return what a domain may ask for; see `connection.get_domain_capabilities`.

        Raises:
            ConfigUnsupported: no such emulator or machine type.
            InvalidArgument: an unknown kind of virtualisation.
        """
        path = emulator or (f"/usr/bin/qemu-system-{arch}" if arch else self._default)
        found = await self._emulators.get(path)
        kvm = await self._kvm.verdict(path)
        kind = virttype or ("kvm" if kvm.usable else "qemu")
        if kind not in ("qemu", "kvm"):
            raise InvalidArgument(
                f"QEMU has no virtualisation {kind!r}", remedy="use kvm or qemu", path="params.virttype", value=kind,
                allowed=["kvm", "qemu"],
            )  # fmt: skip
        if kind == "kvm" and not kvm.usable:
            raise ConfigUnsupported(
                f"KVM cannot be used on this host: {kvm.reason}", remedy="ask for virttype qemu",
                path="params.virttype", value=kind, allowed=["qemu"],
            )  # fmt: skip
        facts = shown.domain_facts(found, _machine(found, machine), kind)
        return {"xml": shown.domain_xml(facts), **facts, "kvm": _kvm_map(kvm)}


def _machine(emulator: EmulatorCapabilities, name: str | None) -> MachineType:
    if name is not None:
        chosen = emulator.machine(name)
    else:
        chosen = next((item for item in emulator.machines if item.default), None) or emulator.machines[0]
    if chosen is None:
        raise ConfigUnsupported(
            f"{emulator.key.path} has no machine type {name!r}", remedy="use one of `allowed`",
            path="params.machine", value=name, allowed=[item.name for item in emulator.machines],
        )  # fmt: skip
    return chosen


def _kvm_map(verdict: Verdict) -> dict[str, Any]:
    return {"present": verdict.present, "usable": verdict.usable, "reason": verdict.reason}


def _host() -> dict[str, Any]:
    """Ask the host for what `<host>` shows; blocks."""
    try:
        uuid = Path("/sys/class/dmi/id/product_uuid").read_text().strip().lower()
    except OSError:
        uuid = Path("/etc/machine-id").read_text().strip() if Path("/etc/machine-id").exists() else ""
        uuid = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:])) if len(uuid) == 32 else uuid
    iommu = Path("/sys/kernel/iommu_groups")
    return {
        "uuid": uuid,
        "arch": platform.machine(),
        "cpus": os.cpu_count() or 1,
        "iommu": iommu.exists() and any(iommu.iterdir()),
    }
