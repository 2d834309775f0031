"""Answers clients' questions about processors: comparison, baseline, names of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....config.errors import InvalidArgument, Unsupported
from ...contract import Itself
from ..emulators import emulator_at, key_of
from ..host_choice import HostChoice
from ..workshop import Workshop
from .choosing import Choice, closest, common
from .comparing import NUMBERS, compare
from .description import CpuDescription, cpu_xml, read_descriptions
from .host import read_host_cpu
from .models import Processor, ProcessorTable
from .names import shown_all, vendor_shown
from .tables import ProcessorTables

MOST_DOCUMENTS = 256


class CpuAnswers:
    """Compares and chooses processors. Loop's thread."""

    def __init__(self, shop: Workshop, choice: HostChoice, tables: ProcessorTables) -> None:
        self._shop = shop
        self._choice = choice
        self._tables = tables

    async def get_cpu_models(self, arch: str | None) -> list[str]:
        """Return the models of an architecture's emulator, with names as libvirt lists them.

        Raises:
            ConfigUnsupported: there is no emulator for it.
        """
        path = self._choice.path(None, arch)
        key = await self._shop.blocking(key_of, path, domain=emulator_at(path))
        return [model.name for model in (await self._tables.get(key, "tcg")).named]

    async def compare_cpu(self, xml: str) -> dict[str, Any]:
        """Compare a description with the host; see `connection.compare_cpu`."""
        table, host = await self._host()
        return await self._compared(xml, host, table)

    async def compare_hypervisor_cpu(
        self, xml: str, *, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> dict[str, Any]:
        """Compare a description with what a guest can get; see `connection.compare_hypervisor_cpu`."""
        table = await self._table(emulator, arch, machine, virttype)
        return await self._compared(xml, table.offer, table)

    async def baseline_cpu(self, documents: Sequence[str], *, expand: bool, migratable: bool) -> dict[str, Any]:
        """Return a processor that all hosts have; see `connection.baseline_cpu`."""
        table, _ = await self._host()
        return await self._baseline(documents, table, expand=expand, migratable=migratable)

    async def baseline_hypervisor_cpu(
        self, documents: Sequence[str], *, emulator: str | None, arch: str | None, machine: str | None,
        virttype: str | None, expand: bool, migratable: bool,
    ) -> dict[str, Any]:  # fmt: skip
        """Return a processor that guests can get on all hosts; see `connection.baseline_hypervisor_cpu`."""
        table = await self._table(emulator, arch, machine, virttype)
        return await self._baseline(documents, table, expand=expand, migratable=migratable)

    async def _host(self) -> tuple[ProcessorTable, Processor]:
        """Return the models and the host's own processor.

        Raises:
            Unsupported: the kernel does not tell its features.
        """
        path = self._choice.path(None, None)
        key = await self._shop.blocking(key_of, path, domain=emulator_at(path))
        table = await self._tables.get(key, "tcg")
        host = (await self._shop.blocking(read_host_cpu, domain=Itself("the host's processors"))).processor(table.known)
        if not host.features:
            raise Unsupported("this host's kernel does not tell what its processor can", remedy="ask for an x86 host")
        return table, host

    async def _table(
        self, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> ProcessorTable:
        found, _, kind = await self._choice.choose(emulator, arch, machine, virttype)
        return await self._tables.get(found.key, "kvm" if kind == "kvm" else "tcg")

    async def _compared(self, xml: str, have: Processor, table: ProcessorTable) -> dict[str, Any]:
        (wanted,) = await self._descriptions([xml], "params.xml", limit=1)
        found = compare(wanted, have, table)
        return {
            "result": found.result, "number": NUMBERS[found.result], "reason": found.reason,
            "missing": shown_all(found.missing), "forbidden": shown_all(found.forbidden),
            "extra": shown_all(found.extra),
        }  # fmt: skip

    async def _descriptions(self, documents: Sequence[str], path: str, limit: int) -> list[CpuDescription]:
        size = sum(len(document) for document in documents)
        found: list[CpuDescription] = await self._shop.env.pure(read_descriptions, documents, path, size=size)
        if len(found) > limit:
            raise InvalidArgument(f"there are {len(found)} CPUs, but {limit} can be taken", path=path,
                                  remedy="give fewer", allowed=limit)  # fmt: skip
        return found

    async def _baseline(
        self, documents: Sequence[str], table: ProcessorTable, *, expand: bool, migratable: bool
    ) -> dict[str, Any]:
        if not documents:
            raise InvalidArgument("there is no CPU to find a baseline of", remedy="give at least one",
                                  path="params.documents")  # fmt: skip
        found = await self._descriptions(documents, "params.documents", MOST_DOCUMENTS)
        shared = common([item.processor(table) for item in found], migratable=migratable)
        return _shown(closest(shared, table, [item.model for item in found]), expand=expand)


def _shown(choice: Choice, *, expand: bool) -> dict[str, Any]:
    policies = choice.expanded if expand else choice.policies
    return {
        "xml": cpu_xml(choice.model.name, choice.vendor, policies),
        "model": choice.model.name, "vendor": vendor_shown(choice.vendor),
        "require": shown_all(name for name, policy in policies.items() if policy == "require"),
        "disable": shown_all(choice.disable),
    }  # fmt: skip
