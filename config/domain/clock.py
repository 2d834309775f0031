"""The guest's clock and timers."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.convert import UINT, UINT32, YES_NO, any_of, integer, words
from ..xml.extra import Problem
from ..xml.fields import attr
from .filling import Filling

SECONDS = integer(-(2**63), 2**63 - 1)


class Catchup(Element):
    """How lost ticks are caught up with: threshold in nanoseconds, slew and limit in parts per million."""

    threshold: int | None = attr("threshold", UINT)
    slew: int | None = attr("slew", UINT32)
    limit: int | None = attr("limit", UINT32)


class Timer(Element):
    """A timer of the guest; frequency in Hz."""

    name: str = attr(
        "name",
        words("platform", "pit", "rtc", "hpet", "tsc", "kvmclock", "hypervclock", "armvtimer"),
        default="",
        required=True,
    )
    present: bool | None = attr("present", YES_NO)
    tickpolicy: str | None = attr("tickpolicy", words("delay", "catchup", "merge", "discard"))
    track: str | None = attr("track", words("boot", "guest", "wall", "realtime"))
    frequency: int | None = attr("frequency", UINT)
    mode: str | None = attr("mode", words("auto", "native", "emulate", "paravirt", "smpsafe"))
    catchup: Catchup | None = optional("catchup", Catchup)


class Clock(Element):
    """What the guest's clock shows when it starts; the adjustment in seconds."""

    offset: str | None = attr("offset", words("utc", "localtime", "variable", "timezone", "absolute"))
    adjustment: str | int | None = attr("adjustment", any_of(words("reset"), SECONDS))
    basis: str | None = attr("basis", words("utc", "localtime"))
    timezone: str | None = attr("timezone")
    start: int | None = attr("start", UINT)
    timers: list[Timer] = children("timer", Timer)

    def fill(self, filling: Filling) -> None:
        """The clock shows UTC; a variable one starts without a difference to it.

        A number makes a clock of UTC or local time a variable one (formatdomain, "Time keeping"; libvirt 9.0 writes
        it back so, and leaves one out where no clock has it).
        """
        self.offset = self.offset or "utc"
        if self.offset in ("utc", "localtime") and isinstance(self.adjustment, int):
            self.offset, self.basis = "variable", self.offset
        elif self.offset in ("timezone", "absolute"):
            self.adjustment = None
        if self.offset == "variable":
            self.adjustment = self.adjustment if isinstance(self.adjustment, int) else 0
            self.basis = self.basis or "utc"

    def problems(self) -> Iterator[Problem]:
        """Check that what the offset needs is there."""
        if self.offset == "timezone" and not self.timezone:
            yield Problem("@timezone", None, "a clock with the offset timezone needs it")
        if self.offset == "absolute" and self.start is None:
            yield Problem("@start", None, "a clock with the offset absolute needs it")
        names: set[str] = set()
        for timer in self.timers:
            if timer.name in names:
                yield Problem("timer/@name", timer.name, "there twice")
            names.add(timer.name)
