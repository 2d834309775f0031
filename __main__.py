"""The two entry points: mechaned (the node) and mechane (the command line)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol.cli.context import Conversions


def mechaned(argv: Sequence[str] | None = None) -> int:
    """Run a node in the foreground until SIGTERM or SIGINT; returns its exit status."""
    from .actors.node.daemon import run
    from .config.streams import open_streams

    open_streams()
    return run(list(sys.argv[1:] if argv is None else argv))


def mechane(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    from .config.streams import open_streams
    from .protocol.cli.main import main
    from .protocol.cli.output import clean

    open_streams()
    sys.stdout, sys.stderr = clean(sys.stdout), clean(sys.stderr)  # to the end: the trace of a bug is text, too
    return main(list(sys.argv[1:] if argv is None else argv), _conversions)


def _conversions() -> Conversions:
    """Load the conversions of definitions: the command line itself knows no hypervisor."""
    from .hypervisors import conversion

    return conversion


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(mechaned(words[1:]) if words[:1] == ["node"] else mechane(words))
