"""Run the day: each step on both sides at once, and compare what came of it."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from mechane.tests.day.host import Done
from mechane.tests.day.meaning import differences
from mechane.tests.day.shapes import wrong
from mechane.tests.day.sides import Side
from mechane.tests.day.steps import Kind, Step
from mechane.tests.day.terminal import converse
from mechane.tests.support.wait import wait_until

SETTLE_S = 8.0
"""What both sides do by themselves after a step (a guest that ends, a device that goes) is over by then."""
VIEWS = ("", "--inactive")
EVENT = re.compile(r"(?:event 'lifecycle' for domain|lifecycle) '?([^': ]+)'?:? (\w+)[ :]*(\w*)", re.IGNORECASE)
ASPECTS_EXPLAINED = ("output", "xml", "words")
"""What a reason in docs/from-virsh.md may be for; never an exit status or a state."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a step."""

    step: Step
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Aspect (status, state, output, xml, words) and what differs."""
    reason: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Return equal, explained or wrong."""
        if not self.problems:
            return "equal"
        fine = self.reason and all(aspect in ASPECTS_EXPLAINED for aspect, _ in self.problems)
        return "explained" if fine else "wrong"


class Day:
    """Runs steps on two sides.  Used by one thread; each side works in a thread of its own."""

    def __init__(self, libvirt: Side, node: Side, reasons: Mapping[str, str]) -> None:
        """Prepare.

        Args:
            libvirt: the side that is right.
            node: the side that is judged.
            reasons: of differences that are meant, by the words of their steps.
        """
        self.sides = (libvirt, node)
        self.reasons = reasons
        self.outcomes: list[Outcome] = []
        self.documents: list[tuple[str, str]] = []
        """Pairs of documents that were compared and mean the same, for the judge of the comparator."""
        self._followers: dict[str, subprocess.Popen[bytes]] = {}
        self._pool = ThreadPoolExecutor(2)

    def run(self, steps: Iterable[Step]) -> None:
        """Run steps one after the other."""
        for step in steps:
            began = time.monotonic()
            outcome = self.judge(step)
            outcome.seconds = time.monotonic() - began
            if step.counts:
                self.outcomes.append(outcome)
                print(told(outcome), flush=True)

    def judge(self, step: Step) -> Outcome:
        """Do one step on both sides, and compare."""
        left, right = self._pool.map(lambda side: self.perform(side, step), self.sides)
        outcome = Outcome(step=step, reason=self.reasons.get(step.words, ""))
        if not step.counts:
            return outcome
        if step.mechane is not None:
            outcome.problems.append(("words", step.mechane))
        if (left.status == 0) != (right.status == 0) or 124 in (left.status, right.status):
            text = f"{left.status} | {right.status}: {short(left.err or left.out)} | {short(right.err or right.out)}"
            outcome.problems.append(("status", text))
        elif left.status == 0:
            outcome.problems += [("output", line) for line in wrong(step.shape, left.out, right.out)]
        apart = settled(self.states)
        outcome.problems += [("state", line) for line in apart]
        patience_s = 0.0 if outcome.reason else SETTLE_S  # what is explained does not settle
        for name in step.xml if not apart else ():  # documents of other states are other documents
            found = settled(partial(self.documents_differ, name), patience_s)
            outcome.problems += [("xml", line) for line in found]
        return outcome

    def perform(self, side: Side, step: Step) -> Done:
        """Do one step on one side."""
        words = step.words if step.mechane is None or side.tool == "virsh" else step.mechane
        match step.kind:
            case Kind.HOST:
                return Done(status=0, out=side.host.sure("sh", "-ec", step.words), err="")
            case Kind.LOOK:
                return side.host.run("sh", "-c", step.words)
            case Kind.CONSOLE:
                return converse(side.host, side.tool, shlex.split(words)[1], step.asks, step.timeout_s)
            case Kind.RESTART | Kind.KILL:
                side.restart(signal.SIGTERM if step.kind is Kind.RESTART else signal.SIGKILL)
            case Kind.REBOOT:
                side.reboot()
            case Kind.FOLLOW:
                self._followers[side.tool] = side.host.spawn(side.tool, *shlex.split(words), log="events")
            case Kind.EVENTS:
                self._followers.pop(side.tool).kill()
                return Done(status=0, out=events_of((side.host.folder / "events").read_text()), err="")
            case Kind.UNTIL:
                return self.awaited(side, step)
            case Kind.TRY:
                return tried(side, words)
            case _:
                return side.host.run(side.tool, *shlex.split(words), env=step.env, timeout_s=step.timeout_s)
        return Done(status=0, out="", err="")

    def awaited(self, side: Side, step: Step) -> Done:
        """Run a command until it prints what is expected; what it printed last where it never does."""
        last: list[Done] = []

        def there() -> bool:
            last.append(side.host.run(side.tool, *shlex.split(step.words)))
            return last[-1].out.strip() == step.expects

        try:
            wait_until(there, step.timeout_s)
        except AssertionError:
            return Done(status=124, out=last[-1].out, err=f"not {step.expects!r} within {step.timeout_s} s")
        return last[-1]

    def states(self) -> list[str]:
        """Return in which domains' states the sides differ."""
        left, right = self._pool.map(states_of, self.sides)
        if left.keys() != right.keys():
            return [f"domains: {sorted(left.keys() - right.keys())} | {sorted(right.keys() - left.keys())}"]
        return [f"{name}: {left[name]} | {right[name]}" for name in left if left[name] != right[name]]

    def documents_differ(self, name: str) -> list[str]:
        """Return in what the documents of a domain differ, in all three views."""
        found, last = [], ""
        for view in VIEWS:
            words = ["dumpxml", name, *([view] if view else [])]
            left, right = self._pool.map(lambda side, words=words: side.host.run(side.tool, *words), self.sides)
            if view and " id=" not in last:
                break  # it does not run: there is one document
            last = left.out.partition("\n")[0]
            if left.status or right.status:
                alike = bool(left.status) == bool(right.status)
                return [] if alike else [f"dumpxml {name}: {short(left.err)} | {short(right.err)}"]
            apart = differences(left.out, right.out)
            found += [f"{view} {line}".lstrip() for line in apart]
            if not apart:
                self.documents.append((left.out, right.out))
        return found

    def clear(self) -> None:
        """Leave no domain on either side, so that what went wrong in one act is not wrong in the next."""
        list(self._pool.map(cleared, self.sides))

    def close(self) -> None:
        """End the followers; the hosts end with their own blocks."""
        for follower in self._followers.values():
            follower.kill()
        self._pool.shutdown()


def settled(look: Callable[[], list[str]], patience_s: float = SETTLE_S) -> list[str]:
    """Return what differs for longer than it takes both sides to settle."""
    last = [look()]

    def equal() -> bool:
        last.append(look())
        return not last[-1]

    if last[0] and patience_s:
        with contextlib.suppress(AssertionError):
            wait_until(equal, patience_s)
    return last[-1]


def cleared(side: Side) -> None:
    """Destroy and undefine what there is, as well as the side can."""
    run = partial(side.host.run, side.tool)
    for name in states_of(side):
        run("destroy", name)
        for snapshot in run("snapshot-list", name, "--name").out.split():
            run("snapshot-delete", name, snapshot)
        if run("undefine", name).status and side.tool == "virsh":
            run("undefine", name, "--nvram", "--snapshots-metadata")


def tried(side: Side, words: str) -> Done:
    """Define and start, as `define FILE, start NAME` says; where one is refused, nothing of it stays."""
    done = Done(status=0, out="", err="")
    name = words.rpartition(" ")[2]
    for command in words.split(", "):
        done = side.host.run(side.tool, *shlex.split(command))
        if done.status:
            side.host.run(side.tool, "undefine", name)
            break
    return done


def states_of(side: Side) -> dict[str, str]:
    """Return every domain's state, as `list` shows it."""
    rows = side.host.run(side.tool, "list", "--all").out.splitlines()[2:]
    cells = [row.split(maxsplit=2) for row in rows if row.strip()]
    return {row[1]: row[2] for row in cells if len(row) == 3}


def events_of(text: str) -> str:
    """Return lifecycle events in order, one a line: domain, event and detail as far as both tools tell them."""
    found = [" ".join(part.lower() for part in match.groups()) for match in EVENT.finditer(text)]
    return "\n".join(found)


def short(text: str) -> str:
    """Return the beginning of a text on one line."""
    return " ".join(text.split())[:300]


def told(outcome: Outcome) -> str:
    """Return an outcome as lines for people."""
    words = outcome.step.asks and f" ({outcome.step.asks})"
    line = f"{outcome.verdict:<9} {outcome.seconds:5.1f} s  {outcome.step.words}{words}"
    if outcome.verdict == "wrong" and outcome.step.fault:
        line += f"  [known: {outcome.step.fault}]"
    lines = [f"      {aspect}: {text}" for aspect, text in outcome.problems] if outcome.verdict == "wrong" else []
    return "\n".join([line, *lines[:30]])
