"""-rtc and the guest's other timers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .options import as_keys

if TYPE_CHECKING:
    from .context import Build

TRACKS = {"boot": None, "guest": "vm", "wall": "host", "realtime": "rt"}


def add_clock(build: Build) -> None:
    """Add -rtc and what lost ticks of timers lead to."""
    clock = build.domain.clock
    options: dict[str, object] = {"base": base_of(build)}
    for timer in clock.timers:
        if timer.name == "rtc":
            if timer.track is not None:
                options["clock"] = TRACKS.get(timer.track)
                if timer.track == "boot":
                    raise build.refuse(timer, "@track", "the emulator has no such way")
            if timer.tickpolicy == "catchup":
                options["driftfix"] = "slew"
            elif timer.tickpolicy not in (None, "delay"):
                raise build.refuse(timer, "@tickpolicy", "the emulator has no such policy for this timer")
    build.option("-rtc", as_keys("", options))
    _add_pit(build)


def base_of(build: Build) -> str:
    """Return the base of -rtc."""
    clock = build.domain.clock
    offset = clock.offset or "utc"
    if offset == "localtime":
        return "localtime"
    if offset == "timezone":
        if clock.timezone:
            build.environment["TZ"] = clock.timezone
        return "localtime"
    if offset == "absolute" or (offset == "variable" and isinstance(clock.adjustment, int) and clock.adjustment):
        try:
            return as_moment(_moment(build, offset))
        except (ValueError, OverflowError, OSError) as error:
            raise build.refuse(clock, "@start" if offset == "absolute" else "@adjustment", "no such year") from error
    if offset == "variable" and clock.basis == "localtime":
        return "localtime"
    return "utc"


def _moment(build: Build, offset: str) -> int:
    """Return what the guest's clock shows at its start, in seconds since 1970."""
    clock = build.domain.clock
    if offset == "absolute":
        return clock.start or 0
    now = build.resources.clock_base
    if now is None and not build.resources.check_only:
        raise build.refuse(clock, "@adjustment", "the node did not say what time it is")
    moment = (now or 0) + (clock.adjustment if isinstance(clock.adjustment, int) else 0)
    return moment + (time.localtime(moment).tm_gmtoff if clock.basis == "localtime" else 0)


def as_moment(seconds: int) -> str:
    """Return seconds since 1970 as -rtc takes them: 2001-02-03T04:05:06."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _add_pit(build: Build) -> None:
    for timer in build.domain.clock.timers:
        if timer.name == "pit" and timer.tickpolicy is not None:
            if timer.tickpolicy == "delay":
                build.option("-global", as_keys("", {"kvm-pit.lost_tick_policy": "delay"}))
            elif timer.tickpolicy == "discard":
                build.option("-global", as_keys("", {"kvm-pit.lost_tick_policy": "discard"}))
            elif timer.tickpolicy == "merge":
                raise build.refuse(timer, "@tickpolicy", "the emulator has no such policy for this timer")
        elif timer.name in ("platform", "armvtimer"):
            raise build.refuse(timer, "@name", "x86 guests of QEMU have no such timer")
