"""The table of the comparison: what was measured on both sides, the ratio, and what was wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Figures = Mapping[str, float]
Format = Callable[[float], str]


def time_text(value: float) -> str:
    """Write seconds with the unit that suits."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def rate_text(value: float) -> str:
    """Write calls a second."""
    return f"{value:,.0f}/s"


def memory_text(value: float) -> str:
    """Write KiB as MiB."""
    return f"{value / 1024:.0f} MiB"


def count_text(value: float) -> str:
    """Write a plain number."""
    return f"{value:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One line of the table.

    `key` is our figure.  It is compared with `against` (a figure of `base`: libvirt, mechane or bare; None:
    with nothing, the limit is absolute): at most `most` times it, or at least `least` times.  `absolute` is
    another way to be right: our figure itself is at most so much.
    """

    measure: str
    key: str
    against: str | None = None
    base: str = "libvirt"
    most: float | None = None
    least: float | None = None
    absolute: float | None = None
    text: Format = time_text
    base_name: str = ""


def libvirt(measure: str, key: str, **wanted: object) -> Want:
    """Compare a figure with libvirt's figure of the same name."""
    return Want(measure=measure, key=key, against=key, **wanted)  # type: ignore[arg-type]  # passed on as given


def own(measure: str, key: str, against: str, most: float) -> Want:
    """Compare a figure with another one of ours."""
    return Want(measure=measure, key=key, against=against, base="mechane", most=most, base_name="own idle")


ATTACKS = {
    "patterns": "10 readers list by costly patterns",
    "long_patterns": "10 readers list by patterns of 1,000 characters",
    "pings": "10 readers ping without pause",
    "events": "10 readers list events",
    "polls": "10 readers poll statistics",
    "documents": "10 readers send 500 documents each",
    "probes": "10 readers give up probes",
    "flood": "a guest floods events",
}
"""What `attacks.py` measures, by the names of its figures."""


def under_attack(name: str, text: str) -> tuple[Want, Want]:
    """Return the lines of one attack: HIGH below 5 ms, LOW at most 1.5 times what it was before."""
    key = f"attack_{name}"
    return (
        Want(measure=f"{text}: HIGH call, p99", key=f"{key}_high", against=f"{key}_high_before", base="mechane",
             base_name="own idle", absolute=0.005),
        own(f"{text}: LOW call, p50", f"{key}_low", f"{key}_low_before", 1.5),
    )  # fmt: skip


WANTED = (
    libvirt("HIGH call (get_state), 1 client, p50", "high_p50", most=0.6),
    libvirt("the same, 8 client processes", "processes_per_s", least=2.5, text=rate_text),
    libvirt("one connection, many calls in flight", "in_flight_per_s", least=5, text=rate_text),
    libvirt("one connection, 8 threads", "threads_per_s", text=rate_text),
    own("HIGH p50 beside 4 loading clients", "loaded_p50", "unloaded_p50", 3),
    own("HIGH p99 beside 4 loading clients", "loaded_p99", "unloaded_p99", 10),
    libvirt("HIGH p99 beside 4 loading clients, libvirt's", "loaded_p99"),
    Want(measure="document to command line, median of libvirt's samples", key="reading", absolute=0.003),
    libvirt("define, the smallest guest, p50", "define_small", most=1),
    libvirt("define, virt-install's document, p50", "define", most=1),
    libvirt("start to running", "start", most=0.2),
    Want(
        measure="start to running, bare QEMU beside it",
        key="start",
        against="start",
        base="bare",
        most=2.2,
        base_name="bare QEMU",
    ),
    libvirt("destroy", "destroy", most=0.03, absolute=0.050),
    libvirt("20 starts at once", "at_once", most=0.25),
    libvirt("destroy of a stopped QEMU", "destroy_stopped", most=0.25),
    Want(
        measure="the same with grace 0", key="destroy_stopped_at_once", against="destroy_stopped", most=0.02
    ),
    libvirt("suspend", "suspend", most=0.6),
    libvirt("event of suspend at a second client", "event", most=0.6),
    libvirt("statistics of 20 guests, all groups", "bulk", most=0.4),
    libvirt("one monitor command (query-status), p50", "monitor", most=0.7),
    Want(
        measure="28 of 30 hung: LOW calls returned, of 100",
        key="hung_returned",
        against="hung_returned",
        least=0,
        text=count_text,
    ),
    own("28 of 30 hung: LOW call, p50", "hung_low", "hung_low_before", 1.5),
    libvirt("28 of 30 hung: HIGH call, p99", "hung_high_p99", most=2),
    own("300 of 310 stubs hung: LOW call, p50", "stubs_low", "stubs_low_before", 1.5),
    own("300 of 310 stubs hung: HIGH call, p99", "stubs_high_p99", "stubs_high_p99_before", 2),
    Want(measure="300 of 310 stubs hung: threads", key="stubs_threads", absolute=59, text=count_text),
    own("8 connections, 1 hung, 1 crashing: HIGH p50 on 6", "eight_high_p50", "eight_high_p50_before", 1.5),
    own("8 connections, 1 hung, 1 crashing: HIGH p99 on 6", "eight_high_p99", "eight_high_p99_before", 2),
    own("8 connections, 1 hung, 1 crashing: LOW p50 on 6", "eight_low_p50", "eight_low_p50_before", 1.5),
    own("8 connections, 1 hung, 1 crashing: LOW p99 on 6", "eight_low_p99", "eight_low_p99_before", 2),
    Want(measure="8 connections: threads", key="eight_threads", absolute=64, text=count_text),
    *(line for name, text in ATTACKS.items() for line in under_attack(name, text)),
    libvirt("5,000 domains: start to answering", "many_start", most=0.25),
    libvirt("5,000 domains: list all", "many_list", most=0.6),
    libvirt("5,000 domains: memory", "many_rss_kib", most=2, text=memory_text),
    Want(
        measure="10,000 domains: threads", key="more_threads", against="more_threads", absolute=39, text=count_text
    ),
    libvirt("restart after kill -9, 30 guests answer", "restart", absolute=0.6),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line with its figures; `ok` is None where nothing was wanted or something is missing."""

    measure: str
    other: str
    ours: str
    ratio: float | None
    wanted: str
    ok: bool | None

    def as_json(self) -> dict[str, object]:
        """Give the row for programs."""
        return {name: getattr(self, name) for name in self.__slots__}


def row(want: Want, sides: Mapping[str, Figures]) -> Row | None:
    """Fill in one line; None when it was not measured on our side."""
    ours = sides["mechane"].get(want.key)
    other = sides.get(want.base, {}).get(want.against or "")
    if ours is None and other is None:
        return None
    ratio = ours / other if ours is not None and other else None
    shown = f"{want.text(other)}{f' ({want.base_name})' if want.base_name else ''}" if other is not None else "–"
    return Row(
        measure=want.measure,
        other=shown,
        ours=want.text(ours) if ours is not None else "–",
        ratio=ratio,
        wanted=wanted_text(want),
        ok=verdict(want, ours, ratio),
    )


def verdict(want: Want, ours: float | None, ratio: float | None) -> bool | None:
    """Say whether a figure is as wanted; None when it cannot be said."""
    if ours is None:
        return None
    if want.key.endswith("_returned"):
        return ours >= 100
    if want.absolute is not None and ours <= want.absolute:
        return True
    if want.most is not None and ratio is not None:
        return ratio <= want.most
    if want.least is not None and ratio is not None:
        return ratio >= want.least
    return False if want.absolute is not None else None


def wanted_text(want: Want) -> str:
    """Write what was wanted."""
    if want.key.endswith("_returned"):
        return "all"
    parts = [f"≤ {want.most:g}"] if want.most is not None else []
    parts += [f"≥ {want.least:g}"] if want.least is not None else []
    parts += [f"≤ {want.text(want.absolute)}"] if want.absolute is not None else []
    return " or ".join(parts)


def rows(sides: Mapping[str, Figures]) -> list[Row]:
    """Fill in all lines that were measured."""
    return [filled for want in WANTED if (filled := row(want, sides))]


def text(filled: list[Row], title: str) -> str:
    """Lay the lines out in columns."""
    head = ("measure", title, "mechane", "ratio", "wanted", "")
    lines = [head]
    for one in filled:
        mark = {True: "ok", False: "MISSED", None: ""}[one.ok]
        ratio = f"{one.ratio:.3g}" if one.ratio is not None else ""
        lines.append((one.measure, one.other, one.ours, ratio, one.wanted, mark))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    out = []
    for line in lines:
        figures = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        out.append("  ".join((line[0].ljust(widths[0]), *figures)).rstrip())
    out.insert(1, "-" * max(map(len, out)))
    return "\n".join(out)
