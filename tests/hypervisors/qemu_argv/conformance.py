"""Compare our command lines with libvirt's recorded ones, by starting QEMU with both.

    python -m mechane.tests.hypervisors.qemu_argv.conformance [--samples DIR] [--only NAME]... [--no-start]

For each x86 sample: is it built or refused, does QEMU take libvirt's own command line and ours, and has
it the same devices on the same buses. Prints the table and every miss by name; exit status 1 below the
wanted share.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechane.config.domain.document import parse
from mechane.config.domain.domain import Domain
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.argv.records import Emulator, Resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.launcher import Machine, start
from mechane.tests.hypervisors.qemu_argv.standins import StandIns, recorded_argv
from mechane.tests.support.paths import short_folder

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "conformance" / "qemuxml2argvdata"
WANTED = 0.95
X86 = ("x86_64", "i686")


FIRMWARE = [
    {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/usr/share/OVMF/OVMF_CODE.secboot.fd"},
            "nvram-template": {"filename": "/usr/share/OVMF/OVMF_VARS.secboot.fd"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["acpi-s3", "requires-smm", "secure-boot", "enrolled-keys"],
    },
    {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/usr/share/OVMF/OVMF_CODE.fd"},
            "nvram-template": {"filename": "/usr/share/OVMF/OVMF_VARS.fd"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": ["acpi-s3"],
    },
]
"""Descriptors such as distributions install, for firmware that lies nowhere."""


class Given(defaultdict[str, Any]):
    """A table of resources that has an answer for every key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the stand-in of `key`; sockets are given by path, but for what the node itself serves."""
        if self.default_factory is None:
            served = key.startswith("video") or not key.endswith((".socket", ".file", ".log"))
            return (9,) if served else default
        return self[key]


def resources(folder: str) -> Resources:
    """Return stand-ins for all that the node would open."""

    def of(value: Any) -> Given:
        return Given(lambda: value)

    return Resources(
        guest_dir=folder, fds=Given(), firmware=FIRMWARE, secrets=of(f"{folder}/secret"),
        sockets=of(f"{folder}/helper"), tls_dirs=dict.fromkeys(("nbd", "chardev", "spice"), "/etc/pki"),
        huge_page_dirs=dict.fromkeys((4, 2048, 4096, 16384, 1048576), f"{folder}/huge"),
        nvram_dir=f"{folder}", vsock_cid=42,
        generation="00000000-0000-0000-0000-000000000000", scsi_paths=of("/dev/sg0"), usb_paths={},
        ports={"graphics0.tcp": 5903, "graphics0.tls": 5904},
    )  # fmt: skip


@dataclass
class Outcome:
    """What became of one sample."""

    name: str
    refused: str = ""
    theirs: Machine | None = None
    ours: Machine | None = None

    @property
    def verdict(self) -> str:
        """Return one word for the table."""
        if self.refused:
            return "refused"
        if self.ours is None:
            return "built"
        if not self.ours.accepted:
            return "rejected"
        if self.theirs is not None and self.theirs.accepted:
            return "same" if self.ours.devices == self.theirs.devices else "differs"
        return "accepted"


def samples(folder: Path, only: list[str]) -> Iterator[tuple[Path, Path]]:
    """Yield each x86 definition with the newest command line that libvirt recorded for it."""
    for xml in sorted(folder.glob("*.xml")):
        if only and xml.stem not in only:
            continue
        for args in (folder / f"{xml.stem}.x86_64-latest.args", folder / f"{xml.stem}.args"):
            if args.exists():
                yield xml, args
                break


def judge(xml: Path, args: Path, emulator: Emulator, folder: Path, *, starts: bool) -> Outcome | None:
    """Return what became of a sample; None for one of another architecture."""
    recorded = recorded_argv(args)
    if recorded is None:
        return None
    outcome = Outcome(xml.stem)
    argv: list[str] = []
    try:
        domain: Domain = parse(xml.read_bytes().replace(b"type='hvf'", b"type='qemu'"))
        argv = build(domain, emulator, resources(str(folder))).argv
    except MechaneError as error:
        outcome.refused = str(error)
    if starts:
        if not outcome.refused:
            outcome.ours = _start(argv, folder / "ours")
        outcome.theirs = _start(recorded, folder / "theirs")
    return outcome


def _start(argv: list[str], folder: Path) -> Machine:
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return start(EMULATOR, StandIns(folder).rewrite(argv), folder)


def report(outcomes: list[Outcome], *, starts: bool, verbose: bool) -> float:
    """Print the table and the misses; return the share of the yardstick that is accepted."""
    for item in outcomes:
        if item.refused:
            _print(f"refused   {item.name}: {item.refused}", item)
        elif item.verdict == "rejected" and item.ours is not None:
            _print(f"rejected  {item.name}: {item.ours.error}", item)
        elif item.verdict == "differs" and item.ours is not None and item.theirs is not None:
            _print(f"differs   {item.name}", item)
            if verbose:
                for line in sorted(set(item.theirs.devices) - set(item.ours.devices)):
                    print(f"    only libvirt's: {line}")
                for line in sorted(set(item.ours.devices) - set(item.theirs.devices)):
                    print(f"    only ours:      {line}")
    counts: dict[str, int] = {}
    for item in outcomes:
        counts[item.verdict] = counts.get(item.verdict, 0) + 1
    print(f"{len(outcomes)} samples: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    if not starts:
        return 1.0
    yard = [item for item in outcomes if item.theirs is not None and item.theirs.accepted]
    taken = [item for item in yard if item.ours is not None and item.ours.accepted]
    same = [item for item in yard if item.verdict == "same"]
    share = len(taken) / len(yard) if yard else 1.0
    print(f"QEMU takes libvirt's own in {len(yard)}; of these ours in {len(taken)} ({share:.1%}), "
          f"with the same devices in {len(same)}")  # fmt: skip
    return share


def _print(text: str, item: Outcome) -> None:
    note = ""
    if item.theirs is not None and not item.theirs.accepted:
        note = f"   [libvirt's own is not taken either: {item.theirs.error[:100]}]"
    print(text + note)


def main(words: list[str]) -> int:
    """Run the comparison; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--no-start", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(words)
    if not options.samples.is_dir():
        print(f"no samples in {options.samples}: nothing compared")
        return 0
    emulator = probed()
    outcomes = []
    begun = time.monotonic()
    for xml, args in samples(options.samples, options.only):
        with short_folder() as folder:
            outcome = judge(xml, args, emulator, folder, starts=not options.no_start)
        if outcome is not None:
            outcomes.append(outcome)
    share = report(outcomes, starts=not options.no_start, verbose=options.verbose)
    print(f"{time.monotonic() - begun:.0f} s")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
