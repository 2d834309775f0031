"""Damaged messages and documents by the million: `make fuzz`, or `python -m mechane.tests.acceptance.fuzz`.

Messages come from a corpus of one real message for each call and go to a running gateway whose handler
checks their arguments; documents come from libvirt's samples, which lie beside the checkout.  The work is
cut into parts, each with a seed of its own, so that a run that was ended goes on behind its last part:

    FUZZ_FRAMES=9000000 FUZZ_DOCUMENTS=1000000 FUZZ_PROGRESS=/var/tmp/fuzz.json nice make fuzz

FUZZ_FRAMES, FUZZ_DOCUMENTS  how many of each; 250,000 unless given
FUZZ_SEED                    of the whole run; the same seed makes the same inputs
FUZZ_PART                    inputs of one part
FUZZ_PROGRESS                file of the parts that are done and their sums; a run of the same seed and part goes on

Coverage of the code under attack is measured over a part of its own, because measuring all would take ten
times as long: it is a lower bound.  An input that finds something stays in tests/corpus.
"""

import argparse
import contextlib
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEASURED = 20_000
"""Inputs of each kind under coverage."""
GROWTH_KIB = 48 * 1024
KINDS = ("frames", "documents")
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


def attack(kind: str, inputs: int, seed: int) -> Counter[str]:
    """Run one attack; the modules are imported here, under measurement where coverage is measured."""
    from mechane.tests.acceptance.attacks import attack_decoder, attack_documents

    return (attack_decoder if kind == "frames" else attack_documents)(inputs, seed)


class Progress:
    """Which parts are done, and their sums; a file, where one is named."""

    def __init__(self, path: Path | None, key: str) -> None:
        """Read what a run of the same key left behind."""
        self._path, self._key = path, key
        self.parts: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.inputs: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.sums: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.seconds = 0.0
        if path is not None and path.exists():
            told = json.loads(path.read_text())
            if told["key"] != key:
                raise SystemExit(f"{path} belongs to another run ({told['key']}, not {key}): name another file")
            self.parts, self.inputs, self.seconds = told["parts"], told["inputs"], told["seconds"]
            self.sums = {kind: Counter(told["sums"][kind]) for kind in KINDS}

    def done(self, kind: str, inputs: int, sums: Counter[str], seconds: float) -> None:
        """Note a part; the file is replaced whole, so that an end in between loses one part at most."""
        self.parts[kind] += 1
        self.inputs[kind] += inputs
        self.sums[kind].update(sums)
        self.seconds += seconds
        if self._path is not None:
            told = {
                "key": self._key, "parts": self.parts, "inputs": self.inputs, "seconds": self.seconds,
                "sums": {name: dict(found) for name, found in self.sums.items()},
            }  # fmt: skip
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(told))
            fresh.replace(self._path)


def measure(inputs: dict[str, int], seed: int) -> None:
    """Attack a little of each kind under coverage, and print it."""
    with covered(True) as measured:
        for kind in KINDS:
            few = min(MEASURED, inputs[kind])
            print(f"measured {few} {kind}: {told(attack(kind, few, seed))}", flush=True)
    print(f"coverage: {measured.report(file=sys.stdout, skip_covered=False):.1f} %", flush=True)


def run(inputs: dict[str, int], seed: int, part: int, progress: Progress) -> None:
    """Run the parts that are not done; memory may grow only little between the second part and the last."""
    settled = 0
    for kind in KINDS:
        parts = -(-inputs[kind] // part)
        while progress.parts[kind] < parts:
            number = progress.parts[kind]
            many, began = min(part, inputs[kind] - number * part), time.monotonic()
            sums = attack(kind, many, seed * 100_003 + number)
            progress.done(kind, many, sums, time.monotonic() - began)
            print(f"{kind} part {number + 1} of {parts}: {told(sums)}; so far {progress.inputs[kind]}: "
                  f"{told(progress.sums[kind])}", flush=True)  # fmt: skip
            gc.collect()
            if number < 2:
                settled = resident_kib()
            assert not settled or resident_kib() - settled < GROWTH_KIB, "memory grows"


def told(sums: Counter[str]) -> str:
    """Return sums as words."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(sums.items()))


def main() -> None:
    """Read the arguments and attack."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--frames", type=int, default=int(os.environ.get("FUZZ_FRAMES", "250000")))
    arguments.add_argument("--documents", type=int, default=int(os.environ.get("FUZZ_DOCUMENTS", "250000")))
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", "1")))
    arguments.add_argument("--part", type=int, default=int(os.environ.get("FUZZ_PART", "50000")))
    arguments.add_argument("--progress", type=Path, default=os.environ.get("FUZZ_PROGRESS") or None)
    arguments.add_argument("--no-coverage", action="store_true")
    words = arguments.parse_args()
    inputs = {"frames": words.frames, "documents": words.documents}
    progress = Progress(words.progress, f"seed {words.seed}, part {words.part}")
    if not words.no_coverage and not any(progress.parts.values()):
        measure(inputs, words.seed)
    run(inputs, words.seed, words.part, progress)
    for kind in KINDS:
        print(f"sum: {progress.inputs[kind]} {kind}: {told(progress.sums[kind])}")
    print(f"in {progress.seconds:.0f} s unmeasured, seed {words.seed}")


if __name__ == "__main__":
    main()
