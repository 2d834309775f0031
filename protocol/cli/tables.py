"""Tables that fit the terminal, also with wide characters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ...config.characters import in_one_line

GAP = "   "
NARROWEST = 6
"""Columns are not made narrower than this, were the terminal ever so small."""


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is; None when it is none."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def width_of(text: str) -> int:
    """Return how many columns a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def clip(text: str, width: int) -> str:
    """Return `text` in at most `width` columns, with … where something is left out."""
    if width_of(text) <= width:
        return text
    kept = ""
    for character in text:
        if width_of(kept + character) > width - 1:
            break
        kept += character
    return kept + "…"


def pad(text: str, width: int) -> str:
    """Return `text` filled with blanks to `width` columns."""
    return text + " " * (width - width_of(text))


def printable(value: Any) -> str:
    """Return a cell's text: - for nothing, yes and no; control characters are made visible."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = in_one_line(str(value))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def columns_of(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the columns' widths: the widest ones give way until a row fits into `width`."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    if width is None:
        return widths
    while sum(widths) + len(GAP) * (len(widths) - 1) + 1 > width:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return widths


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None) -> str:
    """Return a table with a line under its titles.

    Args:
        titles: one for each column.
        rows: cells; see `printable`.
        width: columns of the terminal; nothing is cut when left out.
    """
    cells = [list(titles), *([printable(cell) for cell in row] for row in rows)]
    widths = columns_of(cells, width)
    lines = []
    for row in cells:
        parts = [pad(clip(cell, size), size) for cell, size in zip(row, widths, strict=True)]
        lines.append(" " + GAP.join(parts).rstrip())
    lines.insert(1, "-" * (sum(widths) + len(GAP) * (len(widths) - 1) + 1))
    return "\n".join(lines if width is None else (clip(line, width) for line in lines))


def pairs(items: Iterable[tuple[str, Any]]) -> str:
    """Return names and values, one a line, values under each other."""
    shown = [(f"{name}:", printable(value)) for name, value in items]
    width = max((width_of(name) for name, _ in shown), default=0)
    return "\n".join(f"{pad(name, width)}  {value}".rstrip() for name, value in shown)
