"""Ask emulators for their processor models; in memory, and on disk across restarts of the node.

QEMU 2.9 and later expand a model to what it is made of (query-cpu-model-expansion, qapi/machine-target.json).
A static expansion has each feature once, under its canonical name; `max` (TCG) and `host` (KVM) expand to the
most that can be had. On x86 there is neither a comparison nor a baseline in QEMU, so we have our own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from ....config.errors import MonitorError, Unsupported
from .. import caches
from ..capabilities import EmulatorKey
from ..emulators import CACHE
from ..probe import converse
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop
from .models import IGNORED, Processor, ProcessorModel, ProcessorTable

FORMAT = 1
KEPT = 16
CLOSE_S = 2.0
"""Seconds that an emulator which is asked may take to end, when the driver is closed."""
MOST = {"tcg": "max", "kvm": "host"}
"""The model that has all that an accelerator gives."""
UNNAMED = ("max", "host", "base")
NO_FEATURES = ("kvm", "hv-")
"""Beginnings of switches that tell the guest of its hypervisor, not of the processor."""
SWITCHES = frozenset({"full-width-write", "migratable", "pmu", "lmce"})


class ProcessorTables:
    """The tables by emulator and accelerator; each is asked for once, who asks meanwhile waits. Loop's thread."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._folder = shop.env.state_dir / "emulators"
        self._known: LRUCache[tuple[EmulatorKey, str], ProcessorTable] = LRUCache(KEPT)
        self._asking: dict[tuple[EmulatorKey, str], asyncio.Task[ProcessorTable]] = {}

    async def get(self, key: EmulatorKey, accel: str) -> ProcessorTable:
        """Return what an emulator knows of processors, asking it where that is not known.

        Args:
            key: the emulator.
            accel: tcg or kvm (which must be usable).

        Raises:
            OperationFailed: the emulator cannot be used.
            Unsupported: it cannot expand models: it is not for x86, or too old.
        """
        found = self._known.get((key, accel))
        if found is not None:
            return found
        task = self._asking.get((key, accel))
        if task is None:
            task = self._asking[key, accel] = self._shop.env.loop.create_task(self._learn(key, accel))
            task.add_done_callback(lambda done: self._learnt((key, accel), done))
        return await asyncio.shield(task)

    def _learnt(self, what: tuple[EmulatorKey, str], task: asyncio.Task[ProcessorTable]) -> None:
        self._asking.pop(what, None)
        if not task.cancelled() and task.exception() is None:
            self._known[what] = task.result()

    async def _learn(self, key: EmulatorKey, accel: str) -> ProcessorTable:
        stamp = self._stamp(key, accel)
        file = self._folder / (hashlib.sha256(f"{key.path} {accel}".encode()).hexdigest()[:16] + ".cpu.json")
        stored = await self._shop.blocking(_load, file, stamp, domain=CACHE)
        if isinstance(stored, ProcessorTable):
            return stored
        found = await self._ask(key, accel)
        await self._shop.blocking(_save, file, stamp, found, domain=CACHE)
        return found

    async def close(self) -> None:
        """Give up on questions that run; their processes are ended."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)

    def _stamp(self, key: EmulatorKey, accel: str) -> list[Any]:
        """Return what a table depends on: with KVM the host too, whose kernel and microcode change at a boot."""
        return [FORMAT, asdict(key), self._shop.boot_id if accel == "kvm" else ""]

    async def _ask(self, key: EmulatorKey, accel: str) -> ProcessorTable:
        deadline_s = self._shop.env.deadlines.probe_s

        async def talk(monitor: Monitor) -> ProcessorTable:
            return await _ask_all(monitor, accel, deadline_s)

        try:
            return await converse(
                self._shop, key, talk, accel=accel, purpose=f"the question for processors to {key.path}"
            )
        except MonitorError as error:
            raise Unsupported(
                f"{key.path} does not say what its processor models are made of: {error.message}",
                remedy="use an emulator for x86, QEMU 2.9 or later", emulator=key.path,
            ) from error  # fmt: skip


async def _ask_all(monitor: Monitor, accel: str, deadline_s: float) -> ProcessorTable:
    definitions = await monitor.execute("query-cpu-definitions", kind=CommandKind.QUERY, deadline_s=deadline_s)
    targets = {item.get("alias-of") for item in definitions}  # those are known by their better names
    wanted = [item for item in definitions if item["name"] not in (*targets, *UNNAMED)]
    names = [MOST[accel], *(item["name"] for item in wanted)]
    replies = await monitor.execute_all(
        [_expansion(name) for name in names], kind=CommandKind.QUERY, deadline_s=deadline_s
    )
    most, *rest = (reply["model"]["props"] for reply in replies)
    models = sorted((_model(*pair) for pair in zip(wanted, rest, strict=True)), key=lambda item: item.name)
    return ProcessorTable(
        accel=accel, models=tuple(models), known=frozenset(_features(most, (False, True))),
        offer=Processor(vendor=str(most.get("vendor", "")), features=frozenset(_features(most))),
    )  # fmt: skip


def _expansion(name: str) -> Command:
    return Command("query-cpu-model-expansion", {"type": "static", "model": {"name": name}})


def _model(definition: Mapping[str, Any], properties: Mapping[str, Any]) -> ProcessorModel:
    return ProcessorModel(
        name=definition["name"],
        vendor=str(properties.get("vendor", "")),
        features=frozenset(_features(properties)) - IGNORED,
        blockers=frozenset(definition.get("unavailable-features", ())),
        deprecated=bool(definition.get("deprecated")),
    )


def _features(properties: Mapping[str, Any], values: Iterable[bool] = (True,)) -> list[str]:
    """Return the features among the properties of an expansion that have one of the values."""
    return [
        name
        for name, value in properties.items()
        if isinstance(value, bool) and value in values and not name.startswith(NO_FEATURES) and name not in SWITCHES
    ]


def _load(file: Path, stamp: list[Any]) -> ProcessorTable | None:
    with suppress(ValueError, KeyError, TypeError, AttributeError):  # damaged: ask again
        values = caches.read(file, FORMAT)
        if values is not None and values["stamp"] == stamp:
            return ProcessorTable.from_map(values["table"])
    return None


def _save(file: Path, stamp: list[Any], table: ProcessorTable) -> None:
    caches.write(file, FORMAT, {"stamp": stamp, "table": table.to_map()})
