"""Memory modules."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import BITMAP, KIB, UINT32, UUID, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr, flag, text
from .device import Device
from .words import SHARED_PRIVATE

SMALLEST_LABEL_KIB = 128  # ACPI 6.x and libvirt: the smallest label area of an NVDIMM


class MemorySource(Element, change="re-create"):
    """Where the host takes the memory from; sizes in KiB."""

    path: str | None = text("path")
    alignsize: int | None = text("alignsize", KIB)
    pmem: bool = flag("pmem")
    pagesize: int | None = text("pagesize", KIB)
    nodemask: str | None = text("nodemask", BITMAP)


class MemoryLabel(Element, change="re-create"):
    """The label area of an NVDIMM, in KiB."""

    size: int | None = text("size", KIB)


class MemoryTarget(Element, change="re-create"):
    """What the guest sees; sizes in KiB."""

    size: int | None = text("size", KIB)
    node: int | None = text("node", UINT32)
    label: MemoryLabel | None = optional("label", MemoryLabel)
    readonly: bool = flag("readonly")
    block: int | None = text("block", KIB)
    requested: int | None = text("requested", KIB, change="live")
    current: int | None = text("current", KIB, live_only=True)


class MemoryDevice(Device, change="re-create"):
    """A memory module."""

    model: str = attr(
        "model", words("dimm", "nvdimm", "virtio-pmem", "virtio-mem", "sgx-epc"), default="", required=True
    )
    access: str | None = attr("access", SHARED_PRIVATE)
    discard: bool | None = attr("discard", YES_NO)
    uuid: str | None = text("uuid", UUID)
    source: MemorySource = child("source", MemorySource)
    target: MemoryTarget = child("target", MemoryTarget)

    def problems(self) -> Iterator[Problem]:
        """Check sizes and what each model needs."""
        target = self.target
        if not target.size:
            yield Problem("target/size", target.size, "a memory module needs a size above 0")
            return
        if self.model in ("nvdimm", "virtio-pmem") and not self.source.path:
            yield Problem("source/path", None, f"a module of model {self.model} needs it")
        label = target.label.size if target.label else None
        if label is not None and not SMALLEST_LABEL_KIB <= label < target.size:
            yield Problem("target/label/size", label, "too small or larger than the module", "128 KiB or more")
        if self.model == "virtio-mem":
            block = target.block
            if block is not None and (block <= 0 or block & (block - 1)):
                yield Problem("target/block", block, "not a power of two")
            elif target.requested is None or target.requested > target.size:
                yield Problem("target/requested", target.requested, "missing, or more than the module's size")
            elif block and target.requested % block:
                yield Problem("target/requested", target.requested, "not a multiple of the block", f"{block} KiB")
