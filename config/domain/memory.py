"""How much memory the guest has and what backs it."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import BITMAP, KIB, ON_OFF, UINT32, words
from ..xml.fields import attr, body, flag
from .words import SHARED_PRIVATE


class Memory(Element):
    """An amount of memory."""

    kib: int | None = body(KIB)
    dump_core: bool | None = attr("dumpCore", ON_OFF)


class CurrentMemory(Element, change="live"):
    """The memory that the guest may use now."""

    kib: int | None = body(KIB)


class MaxMemory(Element):
    """The memory that the guest may grow to, and the modules it may take."""

    slots: int | None = attr("slots", UINT32)
    kib: int | None = body(KIB)


class Page(Element):
    """Huge pages of one size (KiB), for some of the guest's NUMA cells."""

    size: int | None = attr("size", KIB)
    nodeset: str | None = attr("nodeset", BITMAP)


class Hugepages(Element):
    """Memory from huge pages."""

    pages: list[Page] = children("page", Page)


class BackingSource(Element):
    """What kind of memory the host gives."""

    type: str | None = attr("type", words("file", "anonymous", "memfd"))


class BackingAccess(Element):
    """Whether other processes see the memory."""

    mode: str | None = attr("mode", SHARED_PRIVATE)


class Allocation(Element):
    """When the host gives the memory, and with how many threads."""

    mode: str | None = attr("mode", words("immediate", "ondemand"))
    threads: int | None = attr("threads", UINT32)


class MemoryBacking(Element):
    """What backs the guest's memory."""

    hugepages: Hugepages | None = optional("hugepages", Hugepages)
    nosharepages: bool = flag("nosharepages")
    locked: bool = flag("locked")
    source: BackingSource = child("source", BackingSource)
    access: BackingAccess = child("access", BackingAccess)
    allocation: Allocation = child("allocation", Allocation)
    discard: bool = flag("discard")
