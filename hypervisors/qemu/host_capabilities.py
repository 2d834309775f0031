"""Answers what the host and its emulators can do."""

from __future__ import annotations

import asyncio
import os
import platform
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...config.errors import MechaneError, Unsupported
from ..contract import Itself
from . import capabilities_xml as shown
from .capabilities import EmulatorCapabilities, EmulatorKey
from .cpu.host import read_host_cpu
from .cpu.models import ProcessorTable
from .cpu.tables import ProcessorTables
from .emulators import Emulators
from .firmware import read_descriptors
from .firmware_offering import firmware_facts
from .host.topology import read_topology
from .host_choice import HostChoice
from .host_xml import HostFacts, capabilities_xml
from .kvm import KvmProbe, Verdict
from .workshop import Workshop

STEM = "qemu-system-"
ARCHITECTURES = (
    "aarch64", "alpha", "arm", "cris", "hppa", "i386", "loongarch64", "m68k", "microblaze", "microblazeel", "mips",
    "mips64", "mips64el", "mipsel", "ppc", "ppc64", "riscv32", "riscv64", "s390x", "sh4", "sh4eb", "sparc", "sparc64",
    "x86_64", "xtensa", "xtensaeb",
)  # fmt: skip
"""Endings of emulators' names (qemu's configs/targets) that libvirt has an architecture for."""
KVM_RUNS = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm"), "ppc64le": ("ppc64",)}
"""Architectures of guests that KVM runs on a host beside its own."""
PROBES_AT_ONCE = 2
UUID_FILES = (Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id"))


class HostCapabilities:
    """Capabilities for clients. Loop's thread."""

    def __init__(
        self, shop: Workshop, emulators: Emulators, kvm: KvmProbe, choice: HostChoice, tables: ProcessorTables,
        *, live_migration: bool,
    ) -> None:  # fmt: skip
        self._shop = shop
        self._emulators = emulators
        self._kvm = kvm
        self._choice = choice
        self._tables = tables
        self._live_migration = live_migration

    async def get_capabilities(self) -> dict[str, Any]:
        """Return the host's capabilities: `xml`, and the same as a map."""
        path = self._choice.path(None, None)
        emulator = await self._emulators.get(path)
        kvm = await self._kvm.verdict(path)
        table = await self._processors(emulator.key, "tcg")
        facts: HostFacts = await self._shop.blocking(self._facts, domain=Itself("the host"))
        runs_on_kvm = KVM_RUNS.get(facts.arch, (facts.arch,)) if kvm.usable else ()
        guests = [(found, found.arch in runs_on_kvm) for found in await self._all()]
        return {
            "xml": capabilities_xml(facts, table, guests),
            "host": _host_map(facts),
            "kvm": _kvm_map(kvm),
            "guests": [
                {
                    "os_type": "hvm",
                    "arch": shown.guest_arch(found),
                    "emulator": found.key.path,
                    "version": ".".join(str(number) for number in found.version),
                    "machines": [item.name for item in found.machines],
                    "domains": ["qemu", *(["kvm"] if runs else [])],
                }
                for found, runs in guests
            ],
        }

    async def _all(self) -> list[EmulatorCapabilities]:
        """Return the emulators of this host, one an architecture; those that cannot be used are left out."""
        default = Path(self._choice.path(None, None))
        paths = await self._shop.blocking(find_emulators, default, domain=Itself(f"the emulators in {default.parent}"))
        gate = asyncio.Semaphore(PROBES_AT_ONCE)

        async def ask(path: str) -> EmulatorCapabilities | None:
            async with gate:
                try:
                    return await self._emulators.get(path)
                except MechaneError as error:
                    self._shop.log.warning("%s is left out of the host's capabilities: %s", path, error)
                    return None

        found = await asyncio.gather(*(ask(path) for path in paths))
        return [item for item in found if item is not None]

    def _facts(self) -> HostFacts:
        """Ask the host; blocks."""
        identity = self._shop.identity
        return HostFacts(
            uuid=_host_uuid(), arch=platform.machine(), iommu=_has_iommu(),
            cpu=read_host_cpu(), topology=read_topology(), live_migration=self._live_migration,
            owner=(identity.uid, identity.gid) if self._shop.options.set_ownership and identity.drops else None,
        )  # fmt: skip

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
        descriptors, vfio = await self._shop.blocking(_installed, domain=Itself("the installed firmware"))
        firmware = firmware_facts(descriptors, found, chosen)
        facts = shown.domain_facts(found, chosen, kind, table, firmware, vfio=vfio)
        return {"xml": shown.domain_xml(facts), **facts, "kvm": _kvm_map(kvm)}

    async def _processors(self, key: EmulatorKey, accel: str) -> ProcessorTable | None:
        """Return the processors of an emulator; None where it does not tell them."""
        try:
            return await self._tables.get(key, accel)
        except Unsupported:
            return None


def _kvm_map(verdict: Verdict) -> dict[str, Any]:
    return {"present": verdict.present, "usable": verdict.usable, "reason": verdict.reason}


def _installed() -> tuple[list[dict[str, Any]], bool]:
    """Return the installed firmware, and whether the host hands PCI devices on; blocks."""
    return read_descriptors(), Path("/dev/vfio/vfio").exists() and _has_iommu()


def _has_iommu() -> bool:
    groups = Path("/sys/kernel/iommu_groups")
    return groups.exists() and any(groups.iterdir())


def find_emulators(default: Path) -> list[str]:
    """Return the system emulators that lie beside the host's own one, one an architecture. Blocks."""
    found: dict[str, str] = {}
    for path in sorted(default.parent.glob(f"{STEM}*")):
        name = path.name.removeprefix(STEM)
        if name in ARCHITECTURES and os.access(path, os.X_OK):
            found[name] = str(path)
    if str(default) not in found.values():
        found[default.name] = str(default)
    return list(found.values())


def _host_uuid() -> str:
    """Return what the firmware says, or else the host's machine id (machine-id(5)) as a UUID; '' where neither is."""
    for path in UUID_FILES:
        with suppress(OSError, ValueError):  # not for this user to read, not there, or no UUID
            return str(uuid.UUID(path.read_text().strip()))
    return ""


def _host_map(facts: HostFacts) -> dict[str, Any]:
    topology = facts.topology
    return {
        "uuid": facts.uuid, "arch": facts.arch, "iommu": facts.iommu, "cpu_name": facts.cpu.name,
        "cpus": sum(len(cell.threads) for cell in topology.cells), "topology": topology.counts,
        "cells": [
            {"id": cell.id, "memory_kib": cell.memory_kib, "cpus": [thread.id for thread in cell.threads]}
            for cell in topology.cells
        ],
        "power": list(topology.sleeps),
    }  # fmt: skip
