"""Compare our conversions of definitions with libvirt's recorded ones, in meaning, both ways.

    python -m mechane.tests.conformance.conversions [--samples DIR] [--format NAME]... [--details]

Prints a table (format, direction, samples, equal) and each miss by name. Exit status 1 where fewer than
WANTED of a direction are equal. A format may bring a comparison of its own: a module
tests/hypervisors/KIND/meaning.py with `differences(got, wanted)` for its native text.
"""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mechane.config.errors import MechaneError, NotFound
from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read
from mechane.hypervisors import conversion
from mechane.hypervisors.vmx.names import VOLUMES, Datastores
from mechane.hypervisors.vmx.native import from_native as from_vmx
from mechane.hypervisors.vmx.text import VmxText
from mechane.tests.conformance import native_text
from mechane.tests.support.paths import ROOT

SAMPLES = ROOT.parent / "shared" / "conformance"
WANTED = 0.95
Differences = Callable[[str, str], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """A folder of samples: inputs with one ending beside outputs with another."""

    format: str
    direction: str
    folder: str
    source: str
    result: str
    refusals: bool = True
    """Whether a sample without a result is one that libvirt refuses."""
    ignored: tuple[str, ...] = ()
    """Starts of lines that libvirt makes up where the definition does not say."""

    before: str = ""
    """Ending of a file whose text comes before the result: the loader's command line of bhyve."""

    def recorded(self, source: Path) -> Path:
        """Return the result of a sample; two spellings of one LXC configuration (-v3) share theirs."""
        same = source.with_suffix(self.result)
        return same if same.exists() else same.with_stem(same.stem.removesuffix("-v3"))


SETS = (
    Set(format="vmware-vmx", direction="from_native", folder="vmx2xmldata", source=".vmx", result=".xml"),
    Set(format="vmware-vmx", direction="to_native", folder="xml2vmxdata", source=".xml", result=".vmx"),
    Set(format="xen-xl", direction="from_native", folder="xlconfigdata", source=".cfg", result=".xml"),
    Set(format="xen-xl", direction="to_native", folder="xlconfigdata", source=".xml", result=".cfg"),
    Set(format="lxc-tools", direction="from_native", folder="lxcconf2xmldata", source=".config", result=".xml",
        refusals=False, ignored=("<uuid>",)),
    Set(format="bhyve-argv", direction="from_native", folder="bhyveargv2xmldata", source=".args", result=".xml",
        ignored=("<uuid>",)),
    Set(format="bhyve-argv", direction="to_native", folder="bhyvexml2argvdata", source=".xml", result=".args",
        before=".ldargs"),
)  # fmt: skip
KINDS = {"vmware-vmx": "vmx", "xen-xl": "xen", "lxc-tools": "lxc", "bhyve-argv": "bhyve"}


@dataclass(slots=True)
class Outcome:
    """What came of one folder: how many were tried and equal, and the rest by name with the differences."""

    set: Set
    tried: int = 0
    misses: dict[str, list[str]] = field(default_factory=dict)
    absent: str = ""

    @property
    def share(self) -> float:
        """Return which part is equal."""
        return 1 - len(self.misses) / self.tried if self.tried else 1.0


def run(chosen: Set, samples: Path) -> Outcome:
    """Convert all samples of a folder."""
    outcome = Outcome(chosen)
    folder = samples / chosen.folder
    if chosen.format not in conversion.formats(chosen.direction):
        outcome.absent = "no conversion yet"
    elif not folder.is_dir():
        outcome.absent = f"no samples at {folder}"
    else:
        for source in sorted(folder.glob(f"*{chosen.source}")):
            if not chosen.refusals and not chosen.recorded(source).exists():
                continue
            outcome.tried += 1
            differences = compare(chosen, source)
            if differences:
                outcome.misses[source.stem] = differences
    return outcome


def compare(chosen: Set, source: Path) -> list[str]:
    """Return how our conversion of one sample differs; without a recorded result it must be refused."""
    recorded = chosen.recorded(source)
    try:
        got = convert(chosen, source)
    except MechaneError as error:
        return [f"refused: {error}"] if recorded.exists() else []
    if not recorded.exists():
        return ["converted, though libvirt refuses it"]
    if chosen.direction == "from_native":
        return xml_differences(got, recorded.read_text(), chosen.ignored)
    first = source.with_suffix(chosen.before) if chosen.before else None
    wanted = (first.read_text() if first is not None and first.exists() else "") + recorded.read_text()
    return native_differences(chosen.format)(got, wanted)


class RecordedDatastores(Datastores):
    """The host on which libvirt's samples were recorded: whatever is called `missing` is not there."""

    __slots__ = ()

    def to_path(self, name: str, *, may_be_missing: bool = False) -> str | None:
        """Return the path of a file that is there."""
        datastore, _, file = name.removeprefix(VOLUMES).partition("/")
        if name.startswith(VOLUMES) and (datastore == "missing" or file.startswith("missing")):
            if may_be_missing:
                return None
            raise NotFound(f"{name} is not there", remedy="mount its datastore")
        return super().to_path(name)


def convert(chosen: Set, source: Path) -> str:
    """Convert one sample, on the host where libvirt recorded it."""
    if chosen.format == "vmware-vmx" and chosen.direction == "from_native":
        return from_vmx(source.read_bytes(), names=RecordedDatastores())
    if chosen.direction == "from_native":
        return conversion.from_native(chosen.format, source.read_bytes())
    options = {}
    recorded = source.with_suffix(chosen.result)
    if chosen.format == "vmware-vmx" and recorded.exists():
        # which product's files were to be written is libvirt's own argument, not in the definition
        options["hardware"] = str(VmxText.parse(recorded.read_text()).number("virtualHW.version", 4))
    return conversion.to_native(chosen.format, source.read_text(), options)


def native_differences(format: str) -> Differences:
    """Return the comparison of a format's own text."""
    name = f"mechane.tests.hypervisors.{KINDS[format]}.meaning"
    try:
        if importlib.util.find_spec(name) is not None:
            differences: Differences = importlib.import_module(name).differences
            return differences
    except ModuleNotFoundError:
        pass  # no tests of that kind yet
    return native_text.COMPARISONS[format]


def xml_differences(got: str, wanted: str, ignored: tuple[str, ...] = ()) -> list[str]:
    """Return what two documents differ in, whatever the order of elements and attributes."""
    ours, theirs = list(lines(read(got))), list(lines(read(wanted)))
    if ignored:
        ours, theirs = ([line for line in each if not line.startswith(ignored)] for each in (ours, theirs))
    return native_text.compared(ours, theirs)


def lines(node: XmlNode, path: str = "") -> Iterator[str]:
    """Yield each element as a line that holds all below it, so that devices are compared as wholes."""
    for child in node.children:
        if child.tag == "devices":
            yield from lines(child, f"{path}{child.tag}/")
        else:
            yield path + flat(child)


def flat(node: XmlNode) -> str:
    """Return an element with all below it in one line, sorted."""
    attrs = "".join(f" {name}={value}" for name, value in sorted(node.attrs.items()))
    below = "".join(sorted(flat(child) for child in node.children))
    return f"<{node.tag}{attrs}>{(node.text or '').strip()}{below}"


def report(outcomes: Sequence[Outcome], details: bool) -> str:
    """Return the table, and each miss by name."""
    rows = [f"{'format':<12}{'direction':<13}{'samples':>8}{'equal':>7}{'share':>8}"]
    for outcome in outcomes:
        head = f"{outcome.set.format:<12}{outcome.set.direction.replace('_', ' '):<13}"
        if outcome.absent:
            rows.append(f"{head}  {outcome.absent}")
            continue
        equal = outcome.tried - len(outcome.misses)
        rows.append(f"{head}{outcome.tried:>8}{equal:>7}{outcome.share:>8.1%}")
        for name, differences in outcome.misses.items():
            rows.append(f"    miss: {name}: {differences[0][:150]}")
            rows += [f"        {line[:300]}" for line in differences] if details else []
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen formats; 0 where all that there are hold what is wanted."""
    parser = argparse.ArgumentParser(description="Compare conversions of definitions with libvirt's.")
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--format", action="append", choices=sorted({each.format for each in SETS}))
    parser.add_argument("--details", action="store_true", help="all differences of each miss")
    options = parser.parse_args(argv)
    chosen = [each for each in SETS if not options.format or each.format in options.format]
    outcomes = [run(each, options.samples) for each in chosen]
    print(report(outcomes, options.details))
    return 0 if all(outcome.absent or outcome.share >= WANTED for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
