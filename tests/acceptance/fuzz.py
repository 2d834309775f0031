"""Acceptance 5 by hand: `python -m mechane.tests.acceptance.fuzz --inputs 500000` (or `make fuzz`).

Half of the inputs are damaged messages, from a corpus of one real message for each call, sent to a
running gateway whose handler checks their arguments; half are damaged domain documents, from
libvirt's samples where they lie beside the checkout.  Prints how many were taken and refused, the
growth of memory, and the coverage of the code under attack.  Coverage is measured over the first
inputs of each kind, because measuring all would take an hour: it is a lower bound.
"""

import argparse
import contextlib
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEASURED = 20_000
"""Inputs of each kind under coverage."""
GROWTH_KIB = 48 * 1024
UNDER_ATTACK = (
    "actors/gateway/reader.py", "actors/gateway/session.py", "protocol/wire.py", "protocol/validation.py",
    "config/xml/*", "config/domain/*",
)  # fmt: skip


@contextlib.contextmanager
def covered(wanted: bool) -> Iterator[Any]:
    """Measure coverage of what is under attack, where `coverage` is installed."""
    if not wanted:
        yield None
        return
    from coverage import Coverage

    measured = Coverage(
        data_file=None,
        config_file=False,
        include=[f"*/{each}" for each in UNDER_ATTACK],
        concurrency=["thread"],
        branch=True,
    )
    measured.start()
    try:
        yield measured
    finally:
        measured.stop()


def resident_kib() -> int:
    """Return the resident memory of this process (proc(5), statm, pages of 4 KiB)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def attack(inputs: int, seed: int, *, coverage: bool) -> None:
    """Run both attacks: first measured, then at full speed, with memory compared after a tenth."""
    half = inputs // 2
    with covered(coverage) as measured:
        # imported under measurement, or definitions would count as never run
        from mechane.tests.acceptance.attacks import attack_decoder, attack_documents

        first = min(MEASURED, half) if coverage else 0
        print(f"measured messages:  {attack_decoder(first, seed)}", flush=True)
        print(f"measured documents: {attack_documents(first, seed)}", flush=True)
    if measured is not None:
        print(f"coverage: {measured.report(file=sys.stdout, skip_covered=False):.1f} %", flush=True)
    rest, began = half - first, time.monotonic()
    print(f"messages:  {attack_decoder(rest // 10, seed + 1)}", flush=True)
    print(f"documents: {attack_documents(rest // 10, seed + 1)}", flush=True)
    gc.collect()
    settled = resident_kib()
    print(f"messages:  {attack_decoder(rest - rest // 10, seed + 2)}", flush=True)
    print(f"documents: {attack_documents(rest - rest // 10, seed + 2)}", flush=True)
    gc.collect()
    growth = resident_kib() - settled
    print(f"{inputs} inputs, memory grew by {growth} KiB, {time.monotonic() - began:.0f} s unmeasured")
    assert growth < GROWTH_KIB, "memory grows"


def main() -> None:
    """Read the arguments and attack."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--inputs", type=int, default=500_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-coverage", action="store_true")
    words = arguments.parse_args()
    attack(words.inputs, words.seed, coverage=not words.no_coverage)


if __name__ == "__main__":
    main()
