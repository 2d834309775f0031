"""Memory modules: DIMM, NVDIMM, virtio-pmem, virtio-mem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import DimmAddress
from ....config.domain.memory_device import MemoryDevice
from .memory import MemoryBuilder, whole_mib

if TYPE_CHECKING:
    from .context import Build

DRIVERS = {"dimm": "pc-dimm", "nvdimm": "nvdimm", "virtio-pmem": "virtio-pmem-pci", "virtio-mem": "virtio-mem-pci"}


def add_memory_devices(build: Build, memory: MemoryBuilder) -> None:
    """Add all memory modules."""
    for item in build.domain.devices.memories:
        if item.model not in DRIVERS:
            raise build.refuse(item, "@model", f"modules of model {item.model} cannot be built yet")
        limit = build.domain.max_memory
        if limit is None or not limit.slots:
            raise build.refuse(item, "", "memory modules need room to grow",
                               remedy="Add <maxMemory slots='…'> to the definition")
        _add_module(build, memory, item)


def _add_module(build: Build, memory: MemoryBuilder, item: MemoryDevice) -> None:
    alias = build.alias(item)
    name = f"mem{alias}"
    if not item.target.size:
        raise build.refuse(item, "target/size", "the size is missing")
    label = item.target.label.size if item.target.label is not None else None
    size = item.target.size
    source = item.source
    mode = "strict" if source.nodemask else None
    kind, backend = memory.backend(
        name, whole_mib(size), part=item, page_kib=source.pagesize, path=source.path, access=item.access,
        discard=item.discard, nodeset=source.nodemask, mode=mode, cell=item.target.node,
    )
    if source.path:
        build.use_file(source.path, read_only=item.target.readonly, kind="device")
        if source.alignsize:
            backend["align"] = source.alignsize * 1024
        if source.pmem:
            backend["pmem"] = True
        if item.target.readonly:
            backend["readonly"] = True
    if item.model == "virtio-mem":
        backend["reserve"] = False
    context = backend.pop("_context", None)
    if context:
        build.object("thread-context", f"tc-{name}", item, **{"node-affinity": context})
        backend["prealloc-context"] = f"tc-{name}"
    build.object(kind, name, item, **backend)
    properties: dict[str, Any] = {"driver": DRIVERS[item.model]}
    if item.model != "virtio-pmem":
        properties["node"] = item.target.node
    properties |= _options(item, label)
    properties |= {"memdev": name, "id": alias}
    if isinstance(item.address, DimmAddress):
        properties |= {"slot": item.address.slot, "addr": item.address.base}
    else:
        properties |= build.pci(item)
    build.device(item, properties, below="@model")


def _options(item: MemoryDevice, label: int | None) -> dict[str, Any]:
    if item.model == "nvdimm":
        return {
            "label-size": label * 1024 if label else None,
            "uuid": item.uuid,
            "unarmed": True if item.target.readonly else None,
        }
    if item.model == "virtio-mem":
        return {
            "block-size": (item.target.block or 0) * 1024 or None,
            "requested-size": (item.target.requested or 0) * 1024,
        }
    return {}
