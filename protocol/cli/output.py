r"""The one place through which text reaches a terminal: standard output and standard error, cleaned.

What a guest, a file or another user wrote (names, titles, descriptions, QEMU's last words, events) may hold escape
sequences, C1 controls, marks of direction and what has no width.  Nothing of that passes a `Shown` stream: it is
written as \x1b or \u202e, newlines and tabs stay.  So it is whether or not the output is a terminal: `less -R` ends at
one, and so does a log that somebody looks at later.  What goes past it, on purpose:

- `own`: control sequences of this program (the table of `top`, the line of progress);
- the bytes of a console and of a command in a container (`buffer`, os.write);
- documents, in which the same character can be said otherwise (`document`): XML has &#x9b;, JSON \u009b.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from ...config.characters import JSON, XML, shown


class Shown:
    """A stream of text that cleans what is written to it; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write `text` with escapes in place of what cannot be shown."""
        self.stream.write(shown(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines likewise."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def cleaned() -> Iterator[None]:
    """Clean standard output and standard error while the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = clean(before[0]), clean(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def clean(stream: TextIO) -> TextIO:
    """Return a stream that cleans what is written to `stream`."""
    return stream if isinstance(stream, Shown) else cast("TextIO", Shown(stream))


def own(stream: TextIO, text: str) -> None:
    """Write control sequences of this program; whatever else is in `text` was cleaned before."""
    (stream.stream if isinstance(stream, Shown) else stream).write(text)


def document(text: str, format: str) -> str:
    """Return a document that means the same and can be shown; YAML and other formats are left as they are."""
    escape = {"xml": XML, "json": JSON}.get(format)
    return shown(text, escape) if escape is not None else text
