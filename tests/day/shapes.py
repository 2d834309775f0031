"""Compare what two commands printed, in shape."""

from __future__ import annotations

import re
from collections import Counter

from mechane.tests.day.meaning import differences
from mechane.tests.day.steps import Shape

VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [+-]\d{4})?"), "TIME"),
    (re.compile(r"/dev/pts/\d+"), "PTY"),
    (re.compile(r"(?<![\w.:-])\d+(\.\d+)?(?![\w:-])"), "N"),
)
"""Times, terminals and numbers that stand alone are what they are."""
ID = re.compile(r"^\d+(?= )")
"""A running domain's id begins its row: each daemon counts its starts by itself."""
PAIR = re.compile(r"\s*([^:=]+?)\s*[:=]\s*(.*)")


def wrong(shape: Shape, theirs: str, ours: str) -> list[str]:
    """Return how the second output differs from the first; empty where they have one shape."""
    if shape is Shape.ANY:
        return []
    if shape is Shape.XML:
        return differences(theirs, ours)
    left, right = _reduced(shape, theirs), _reduced(shape, ours)
    if left == right:
        return []
    lacking = [f"- {line}" for line in (Counter(left) - Counter(right)).elements()]
    if shape is Shape.KEYS:
        return lacking
    surplus = [f"+ {line}" for line in (Counter(right) - Counter(left)).elements()]
    return lacking + surplus or ["the order of lines"]


def _reduced(shape: Shape, text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line and set(line) != {"-"}]
    if shape is Shape.VALUE:
        return lines
    if shape is Shape.KEYS:
        return sorted(_name(line) for line in lines)
    if shape is Shape.TABLE:
        return [ID.sub("N", line) for line in lines]
    for pattern, word in VARYING:
        lines = [pattern.sub(word, line) for line in lines]
    return lines


def _name(line: str) -> str:
    """Return the name of `name: value`, `name=value` or, as some of virsh's verbs print it, `name value`."""
    found = PAIR.fullmatch(line)
    return found.group(1) if found else line.rpartition(" ")[0]
