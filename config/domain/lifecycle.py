"""Words for what happens at the end of a guest's life, power management and performance events."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import YES_NO, words
from ..xml.fields import attr

ACTION = words("destroy", "restart", "rename-restart", "preserve")
CRASH_ACTION = words("destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart")
LOCK_FAILURE_ACTION = words("default", "poweroff", "restart", "pause", "ignore")
PERF_EVENTS = (
    "cmt", "mbmt", "mbml", "cpu_cycles", "instructions", "cache_references", "cache_misses",
    "branch_instructions", "branch_misses", "bus_cycles", "stalled_cycles_frontend", "stalled_cycles_backend",
    "ref_cpu_cycles", "cpu_clock", "task_clock", "page_faults", "context_switches", "cpu_migrations",
    "page_faults_min", "page_faults_maj", "alignment_faults", "emulation_faults",
)  # fmt: skip


class SuspendMode(Element):
    """Whether the guest may do this."""

    enabled: bool | None = attr("enabled", YES_NO)


class Pm(Element):
    """The ways of sleeping that the guest is offered."""

    suspend_to_mem: SuspendMode | None = optional("suspend-to-mem", SuspendMode)
    suspend_to_disk: SuspendMode | None = optional("suspend-to-disk", SuspendMode)


class PerfEvent(Element, change="live"):
    """An event that is counted."""

    name: str = attr("name", words(*PERF_EVENTS), default="", required=True)
    enabled: bool | None = attr("enabled", YES_NO)


class Perf(Element, change="live"):
    """Events that are counted."""

    events: list[PerfEvent] = children("event", PerfEvent)
