"""Memory modules."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import BITMAP, KIB, UINT32, UUID, YES_NO, words
from ..xml.fields import attr, flag, text
from .device import Device
from .words import SHARED_PRIVATE


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
