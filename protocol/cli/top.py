"""The verb `top`: a live table of domains, by what they use."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from argparse import Namespace
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ...config.characters import in_one_line
from ...config.errors import ConnectionLost, DeadlineExceeded, MechaneError
from .context import Context
from .exits import OK
from .listing import state_text
from .output import own
from .tables import clip, table
from .verb import Verb, flag, option, seconds

if TYPE_CHECKING:
    from ..records import DomainInfo, NodeInfo

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
BOLD, REVERSE, PLAIN = "\x1b[1m", "\x1b[7m", "\x1b[0m"
DELAY_S = 2.0
SORTS = {"c": "cpu", "m": "memory", "n": "name"}


class Usage(NamedTuple):
    """One line: a domain and what it used since the last look."""

    info: DomainInfo
    cpu_percent: float


class Watch:
    """Asks for all running domains again and again, and keeps what rates need."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._before: dict[str, tuple[int, int]] = {}
        self._before_at = 0.0

    def look(self, everything: bool) -> tuple[NodeInfo, list[Usage]]:
        """Ask anew; CPU is in percent of one processor since the look before."""
        client = self._context.client
        node = client.node.get_info()
        listed = client.domain.list(self._context.connection, active=None if everything else True)
        calls = [("domain.get_info", {"domain": record["uuid"]}) for record in listed]
        answers = client.pipeline(calls, raise_errors=False)
        now = monotonic()
        usages = [self._usage(info, now) for info in answers if not isinstance(info, MechaneError)]
        self._before = {u.info["uuid"]: (u.info["incarnation"], u.info["cpu_time_ns"]) for u in usages}
        self._before_at = now
        return node, usages

    def _usage(self, info: DomainInfo, now: float) -> Usage:
        incarnation, before_ns = self._before.get(info["uuid"], (-1, 0))
        if incarnation != info["incarnation"] or now <= self._before_at:
            return Usage(info, 0.0)
        return Usage(info, max(0.0, (info["cpu_time_ns"] - before_ns) / (now - self._before_at) / 1e7))


def top(context: Context, options: Namespace) -> int:
    """Show a live table until q or Ctrl-C; once, without a terminal or with --once."""
    watch = Watch(context)
    if options.once or context.json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return _once(context, watch, options)
    sort, everything = options.sort, options.all
    with screen():
        message = ""
        while True:
            try:
                node, usages = watch.look(everything)
                message = ""
            except (ConnectionLost, DeadlineExceeded) as error:
                message = f"{error.message}; trying again"
                node, usages = None, []
            draw(node, usages, sort, message)
            key = pressed(options.delay)
            if key in ("q", "\x03", "\x1b"):
                return OK
            sort = SORTS.get(key, sort)
            everything = everything != (key == "a")


def _once(context: Context, watch: Watch, options: Namespace) -> int:
    _, usages = watch.look(options.all)
    rows = [_row(usage) for usage in ordered(usages, options.sort)]
    value = [{**usage.info, "cpu_percent": usage.cpu_percent} for usage in ordered(usages, options.sort)]
    context.show_table(value, TITLES, rows)
    return OK


TITLES = ("Id", "Name", "State", "CPU %", "CPUs", "Memory", "CPU time", "Process")


def _row(usage: Usage) -> tuple[Any, ...]:
    info = usage.info
    return (
        info["id"], info["name"], state_text(info), f"{usage.cpu_percent:.1f}", info["vcpus"],
        f"{info['memory_kib'] / 1024:.0f} MiB", f"{info['cpu_time_ns'] / 1e9:.1f} s", info.get("pid"),
    )  # fmt: skip


def ordered(usages: list[Usage], sort: str) -> list[Usage]:
    """Return the lines in the order that was chosen: cpu, memory or name."""
    if sort == "name":
        return sorted(usages, key=lambda usage: usage.info["name"])
    if sort == "memory":
        return sorted(usages, key=lambda usage: (-usage.info["memory_kib"], usage.info["name"]))
    return sorted(usages, key=lambda usage: (-usage.cpu_percent, usage.info["name"]))


def draw(node: NodeInfo | None, usages: list[Usage], sort: str, message: str) -> None:
    """Paint the screen anew, without flicker: each line is overwritten and its rest cleared."""
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        width, height = 80, 24
    lines = page(node, usages, sort, message, width, height)
    own(sys.stdout, HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in lines) + CLEAR_REST)
    sys.stdout.flush()


def page(
    node: NodeInfo | None, usages: list[Usage], sort: str, message: str, width: int, height: int
) -> list[str]:
    """Return the lines of one screen."""
    head = "mechane top"
    if node is not None:
        used = node["memory_kib"] - node["memory_free_kib"]
        load = " ".join(f"{value:.2f}" for value in node["load"])
        head = (
            f"mechane top - {node['node']}: {node['cpus']} cpus, load {load}, "
            f"memory {used // 1024} of {node['memory_kib'] // 1024} MiB"
        )
    total = sum(usage.cpu_percent for usage in usages)
    running = sum(1 for usage in usages if usage.info["id"] is not None)
    keys = "q quit, c/m/n sort by cpu/memory/name, a all"
    second = message or f"{running} running of {len(usages)} shown, {total:.1f} % CPU; by {sort} - {keys}"
    lines = table(TITLES, (_row(usage) for usage in ordered(usages, sort)), width).splitlines()
    body = [f"{REVERSE}{clip(lines[0], width)}{PLAIN}", *lines[2:]]
    head, second = in_one_line(head), in_one_line(second)
    return [f"{BOLD}{clip(head, width)}{PLAIN}", clip(second, width), "", *body][: height - 1]


def pressed(delay_s: float) -> str:
    """Wait for a key, at most so long; "" when none was pressed. A window that was resized is seen afterwards."""
    readable, _, _ = select.select([sys.stdin], [], [], delay_s)
    return os.read(sys.stdin.fileno(), 16).decode("utf-8", "replace")[:1] if readable else ""


@contextlib.contextmanager
def screen() -> Iterator[None]:
    """Take the terminal over (its other screen, keys at once) and give it back as it was."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    own(sys.stdout, OTHER_SCREEN + HIDE_CURSOR)
    tty.setcbreak(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        own(sys.stdout, SHOW_CURSOR + OWN_SCREEN)
        sys.stdout.flush()


VERBS = (
    Verb(
        "top", "Show a live table of domains by what they use; q leaves.", top,
        (
            option("--delay", "S", "seconds between two looks (2)", "-d", type=seconds, default=DELAY_S),
            option("--sort", "WHAT", "cpu, memory or name", choices=tuple(SORTS.values()), default="cpu"),
            flag("--all", "also domains that do not run"),
            flag("--once", "print one table and end"),
        ),
    ),
)  # fmt: skip
