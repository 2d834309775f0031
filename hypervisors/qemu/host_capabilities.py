"""Answers what the host and its emulators can do."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ...config.errors import Unsupported
from . import capabilities_xml as shown
from .capabilities import EmulatorKey
from .cpu.models import ProcessorTable
from .cpu.tables import ProcessorTables
from .emulators import Emulators
from .host_choice import HostChoice
from .kvm import KvmProbe, Verdict
from .workshop import Workshop


class HostCapabilities:
    """Capabilities for clients. Loop's thread."""

    def __init__(
        self, shop: Workshop, emulators: Emulators, kvm: KvmProbe, choice: HostChoice, tables: ProcessorTables
    ) -> None:
        self._shop = shop
        self._emulators = emulators
        self._kvm = kvm
        self._choice = choice
        self._tables = tables

    async def get_capabilities(self) -> dict[str, Any]:
        """Return the host's capabilities: `xml`, and the same as a map."""
        path = self._choice.path(None, None)
        emulator = await self._emulators.get(path)
        kvm = await self._kvm.verdict(path)
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
        found, chosen, kind = await self._choice.choose(emulator, arch, machine, virttype)
        kvm = await self._kvm.verdict(found.key.path)
        table = await self._processors(found.key, "kvm" if kind == "kvm" else "tcg")
        facts = shown.domain_facts(found, chosen, kind, table)
        return {"xml": shown.domain_xml(facts), **facts, "kvm": _kvm_map(kvm)}

    async def _processors(self, key: EmulatorKey, accel: str) -> ProcessorTable | None:
        """Return the processors of an emulator; None where it does not tell them."""
        try:
            return await self._tables.get(key, accel)
        except Unsupported:
            return None


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
