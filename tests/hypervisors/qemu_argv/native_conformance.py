"""Read command lines of QEMU back into definitions: ours, and those that libvirt recorded.

    python -m mechane.tests.hypervisors.qemu_argv.native_conformance [--samples DIR] [--only NAME]... [--no-start]

First measure: each sample of libvirt's whose command line we can print is printed, read, and printed again; both
must be the same text. Second: libvirt's own recorded command lines are read and built again, and QEMU is started
with the result. Prints the shares and every miss by name; exit status 1 below the wanted shares.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mechane.config.domain.document import parse
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.argv.records import Emulator
from mechane.hypervisors.qemu.native import from_native, to_native
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES, resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.launcher import Machine, start
from mechane.tests.hypervisors.qemu_argv.standins import StandIns, recorded_argv
from mechane.tests.support.paths import short_folder

WANTED_BACK = 0.9
WANTED_READ = 1.0
WANTED_TAKEN = 0.9
WANTED_SAME = 0.9
REFUSED = ("-incoming",)
"""Options of recorded command lines that are no part of a definition, and refused as such."""


@dataclass
class Measure:
    """What was tried, and the misses by name."""

    title: str
    tried: int = 0
    misses: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Return which part succeeded."""
        return 1 - len(self.misses) / self.tried if self.tried else 1.0

    def report(self) -> None:
        """Print it."""
        for name, why in self.misses.items():
            print(f"  {name}: {why}")
        print(f"{self.title}: {self.tried - len(self.misses)} of {self.tried} ({self.share:.1%})")


def _chosen(folder: Path, pattern: str, only: list[str]) -> Iterator[Path]:
    return (path for path in sorted(folder.glob(pattern)) if not only or path.stem in only)


def there_and_back(folder: Path, only: list[str]) -> Measure:
    """Print, read and print again."""
    measure = Measure("printed, read and printed again the same")
    for path in _chosen(folder, "*.xml", only):
        try:
            first = to_native(path.read_text())
        except MechaneError:
            continue  # it is not printed to begin with: conformance.py says which
        measure.tried += 1
        try:
            second = to_native(from_native(first))
        except MechaneError as error:
            measure.misses[path.stem] = str(error)
            continue
        if first != second:
            lines = difflib.unified_diff(first.splitlines(), second.splitlines(), n=0, lineterm="")
            measure.misses[path.stem] = " ".join(line for line in lines if line[:2] in ("--", "+-"))[:300]
    return measure


def read_recorded(folder: Path, only: list[str]) -> Measure:
    """Read all that libvirt recorded."""
    measure = Measure("libvirt's own are read")
    for path in _chosen(folder, "*.args", only):
        text = path.read_text()
        if any(word in text for word in REFUSED):
            continue
        measure.tried += 1
        try:
            from_native(text)
        except MechaneError as error:
            measure.misses[path.stem] = str(error)
    return measure


def start_recorded(folder: Path, only: list[str], emulator: Emulator) -> tuple[Measure, Measure]:
    """Start what we build of libvirt's own, where QEMU takes that itself, and compare the devices."""
    measure = Measure("of libvirt's own that QEMU takes, it takes ours after reading them")
    same = Measure("with the same devices on the same buses")
    for path in _chosen(folder, "*.args", only):
        recorded = recorded_argv(path)
        text = path.read_text()
        if recorded is None or any(word in text for word in REFUSED):
            continue
        with short_folder() as place:
            theirs = _start(recorded, place / "theirs")
            if not theirs.accepted:
                continue
            measure.tried += 1
            try:
                domain = parse(from_native(text))
                argv = build(domain, emulator, resources(str(place))).argv
            except MechaneError as error:
                measure.misses[path.stem] = str(error)
                continue
            ours = _start(argv, place / "ours")
        if not ours.accepted:
            measure.misses[path.stem] = ours.error
            continue
        same.tried += 1
        if ours.devices != theirs.devices:
            one, other = set(theirs.devices) - set(ours.devices), set(ours.devices) - set(theirs.devices)
            same.misses[path.stem] = f"only libvirt's: {sorted(one)}; only ours: {sorted(other)}"[:400]
    return measure, same


def _start(argv: list[str], folder: Path) -> Machine:
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return start(EMULATOR, StandIns(folder).rewrite(argv), folder)


def main(words: list[str]) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--no-start", action="store_true")
    options = parser.parse_args(words)
    if not options.samples.is_dir():
        print(f"no samples in {options.samples}: nothing compared")
        return 0
    measures = [
        (there_and_back(options.samples, options.only), WANTED_BACK),
        (read_recorded(options.samples, options.only), WANTED_READ),
    ]
    if not options.no_start:
        taken, same = start_recorded(options.samples, options.only, probed())
        measures += [(taken, WANTED_TAKEN), (same, WANTED_SAME)]
    for measure, _ in measures:
        measure.report()
    return 0 if all(measure.share >= wanted for measure, wanted in measures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
