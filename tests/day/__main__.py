"""`make test-day`: the long day on this machine, and what came of it.

Prints a line for each step, then steps, equal, explained and wrong; ends with 1 when something is wrong or more is
explained than may be.
"""

from __future__ import annotations

import argparse
import sys

from mechane.tests.day import theatre
from mechane.tests.day.long import long_day
from mechane.tests.day.script import SHORT

ALONE = ("boots", "kinds", "mended", "tried")
"""Acts that begin without domains."""


def main() -> int:
    """Run the day."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true", help="only the part that `make test` runs")
    words.add_argument("--only", default="", help="only acts whose names contain this")
    given = words.parse_args()
    if why := theatre.missing():
        print(f"skipped: {why}")
        return 1
    with theatre.theatre() as day:
        if given.short:
            day.run(SHORT)
        else:
            for name, steps in long_day():
                if name == "first" or any(one in name for one in given.only.split(",")):
                    print(f"-- {name}", flush=True)
                    if name.startswith(ALONE):
                        day.clear()
                    day.run(steps)
        return theatre.summary(day)


if __name__ == "__main__":
    sys.exit(main())
