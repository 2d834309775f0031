"""How many processors the guest has, and the threads that do its disks' work."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import children
from ..xml.convert import BITMAP, INT32, UINT32, YES_NO, integer, words
from ..xml.extra import Problem
from ..xml.fields import attr, body

COUNT = integer(1, 65535)


class Vcpu(Element):
    """The most processors, and how many of them are there now (`current`, all where absent)."""

    placement: str | None = attr("placement", words("static", "auto"))
    cpuset: str | None = attr("cpuset", BITMAP)
    current: int | None = attr("current", COUNT, change="live")
    maximum: int | None = body(COUNT)


class VcpuState(Element, change="live"):
    """Whether one processor is there."""

    id: int | None = attr("id", UINT32)
    enabled: bool | None = attr("enabled", YES_NO)
    hotpluggable: bool | None = attr("hotpluggable", YES_NO)
    order: int | None = attr("order", UINT32)


class VcpuStates(Element, change="live"):
    """Which processors are there."""

    vcpus: list[VcpuState] = children("vcpu", VcpuState)


class IoThread(Element, change="live"):
    """A thread of disk work."""

    id: int | None = attr("id", UINT32)
    thread_pool_min: int | None = attr("thread_pool_min", INT32)
    thread_pool_max: int | None = attr("thread_pool_max", INT32)


class IoThreadIds(Element, change="live"):
    """The threads of disk work."""

    iothreads: list[IoThread] = children("iothread", IoThread)

    def problems(self) -> Iterator[Problem]:
        """Numbers start at 1 and are there once."""
        seen: set[int] = set()
        for thread in self.iothreads:
            if not thread.id or thread.id in seen:
                yield Problem("iothread/@id", thread.id, "0, missing, or there twice", "1 or more")
            seen.add(thread.id or 0)
            low, high = thread.thread_pool_min, thread.thread_pool_max
            if low is not None and high is not None and low > high:
                yield Problem("iothread/@thread_pool_min", low, "more than thread_pool_max", f"0 to {high}")


class DefaultIoThread(Element):
    """The pool of the emulator's own thread."""

    thread_pool_min: int | None = attr("thread_pool_min", INT32)
    thread_pool_max: int | None = attr("thread_pool_max", INT32)
