"""Standard streams that a caller closed (`<&-`, `>&-`): opened on /dev/null before anything else is.

Else the next socket or file gets their number, and what is printed goes into it; and Python has None for them.
"""

from __future__ import annotations

import os
import sys


def open_streams() -> None:
    """Open those of the standard streams that are closed. Main thread, first of all."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number, which is this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
