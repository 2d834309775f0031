"""The guest's processor: model, features, topology, NUMA."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import (
    BITMAP,
    BYTES,
    KIB,
    ON_OFF,
    UINT,
    UINT32,
    YES_NO,
    bitmap_to_set,
    integer,
    matching,
    words,
)
from ..xml.extra import Problem
from ..xml.fields import attr, body, text
from .cpu_features import is_feature_name
from .words import POSITIVE, SHARED_PRIVATE


class CpuModel(Element):
    """The model's name."""

    fallback: str | None = attr("fallback", words("allow", "forbid"))
    vendor_id: str | None = attr("vendor_id", matching("[^,]{12}", "exactly 12 characters without a comma"))
    name: str | None = body()


class CpuFeature(Element):
    """A feature, and whether the guest has it."""

    policy: str | None = attr("policy", words("force", "require", "optional", "disable", "forbid"))
    name: str = attr("name", default="", required=True)

    def problems(self) -> Iterator[Problem]:
        if not is_feature_name(self.name):
            yield Problem("@name", self.name, "is no name of a feature", "letters, digits, dot, dash and underscore")


class Topology(Element):
    """How many of each; their product is the number of processors."""

    sockets: int | None = attr("sockets", POSITIVE)
    dies: int | None = attr("dies", POSITIVE)
    clusters: int | None = attr("clusters", POSITIVE)
    cores: int | None = attr("cores", POSITIVE)
    threads: int | None = attr("threads", POSITIVE)


class CpuCache(Element):
    """The processor's cache."""

    level: int | None = attr("level", integer(1, 3))
    mode: str | None = attr("mode", words("emulate", "passthrough", "disable"))


class MaxPhysAddr(Element):
    """The number of bits of a physical address."""

    mode: str | None = attr("mode", words("emulate", "passthrough"))
    bits: int | None = attr("bits", UINT32)
    limit: int | None = attr("limit", UINT32)


class Sibling(Element):
    """The distance to another cell."""

    id: int | None = attr("id", UINT32)
    value: int | None = attr("value", integer(10, 255))


class Distances(Element):
    """The distances to other cells."""

    siblings: list[Sibling] = children("sibling", Sibling)


class SizedValue(Element):
    """A size in KiB."""

    value: int | None = attr("value", KIB)


class LineSize(Element):
    """A size in bytes."""

    value: int | None = attr("value", BYTES)


class NumaCache(Element):
    """A memory side cache."""

    level: int | None = attr("level", UINT32)
    associativity: str | None = attr("associativity", words("none", "direct", "full"))
    policy: str | None = attr("policy", words("none", "writeback", "writethrough"))
    size: SizedValue | None = optional("size", SizedValue)
    line: LineSize | None = optional("line", LineSize)


class NumaCell(Element):
    """Processors and memory (KiB) that are near each other."""

    id: int | None = attr("id", UINT32)
    cpus: str | None = attr("cpus", BITMAP)
    memory: int | None = attr("memory", KIB)
    mem_access: str | None = attr("memAccess", SHARED_PRIVATE)
    discard: bool | None = attr("discard", YES_NO)
    distances: Distances | None = optional("distances", Distances)
    caches: list[NumaCache] = children("cache", NumaCache)


class Latency(Element):
    """The time of an access between cells, in nanoseconds."""

    initiator: int | None = attr("initiator", UINT32)
    target: int | None = attr("target", UINT32)
    cache: int | None = attr("cache", UINT32)
    type: str | None = attr("type", words("access", "read", "write"))
    value: int | None = attr("value", UINT)


class NumaBandwidth(Element):
    """Bytes a second between cells, in KiB."""

    initiator: int | None = attr("initiator", UINT32)
    target: int | None = attr("target", UINT32)
    cache: int | None = attr("cache", UINT32)
    type: str | None = attr("type", words("access", "read", "write"))
    value: int | None = attr("value", KIB)


class Interconnects(Element):
    """How fast cells reach each other."""

    latencies: list[Latency] = children("latency", Latency)
    bandwidths: list[NumaBandwidth] = children("bandwidth", NumaBandwidth)


class Numa(Element):
    """The guest's NUMA cells."""

    cells: list[NumaCell] = children("cell", NumaCell)
    interconnects: Interconnects | None = optional("interconnects", Interconnects)

    def problems(self) -> Iterator[Problem]:
        """Cells must not share processors or numbers."""
        taken: set[int] = set()
        ids: set[int] = set()
        for position, cell in enumerate(self.cells, 1):
            at = f"cell[{position}]" if len(self.cells) > 1 else "cell"
            if cell.id is not None and (cell.id in ids or cell.id >= len(self.cells)):
                yield Problem(f"{at}/@id", cell.id, "there twice or too large", f"0 to {len(self.cells) - 1}")
            if cell.id is not None:
                ids.add(cell.id)
            cpus = bitmap_to_set(cell.cpus) if cell.cpus else frozenset()
            if cpus & taken:
                yield Problem(f"{at}/@cpus", cell.cpus, "names processors of another cell")
            taken |= cpus
            if not cell.memory:
                yield Problem(f"{at}/@memory", cell.memory, "a cell needs memory")


class Cpu(Element):
    """The guest's processor."""

    mode: str | None = attr("mode", words("custom", "host-model", "host-passthrough", "maximum"))
    match: str | None = attr("match", words("minimum", "exact", "strict"))
    check: str | None = attr("check", words("default", "none", "partial", "full"))
    migratable: bool | None = attr("migratable", ON_OFF)
    model: CpuModel = child("model", CpuModel)
    vendor: str | None = text("vendor")
    topology: Topology | None = optional("topology", Topology)
    cache: CpuCache | None = optional("cache", CpuCache)
    maxphysaddr: MaxPhysAddr | None = optional("maxphysaddr", MaxPhysAddr)
    features: list[CpuFeature] = children("feature", CpuFeature)
    numa: Numa | None = optional("numa", Numa)

    def problems(self) -> Iterator[Problem]:
        """Check that features are named once and belong to a model."""
        names: set[str] = set()
        for feature in self.features:
            if feature.name in names:
                yield Problem("feature/@name", feature.name, "there twice")
            names.add(feature.name)
        if self.mode == "custom" and self.features and not self.model.name:
            yield Problem("model", None, "features need a model to be added to")
        address = self.maxphysaddr
        if address is not None and (address.mode == "emulate") != (address.bits is not None):
            yield Problem("maxphysaddr/@bits", address.bits, "needed for the mode emulate, and only for that")
