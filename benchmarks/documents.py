"""What a definition costs: reading, checking and building its command line, and defining it over the wire.

The documents that are timed without a daemon are libvirt's own samples (../shared/conformance), where they lie beside
the checkout; the one that both daemons define is virt-install's for Fedora.
"""

import statistics
from pathlib import Path

from mechane.benchmarks.figures import timed
from mechane.benchmarks.peer import Peer
from mechane.config.domain.completion import complete
from mechane.config.domain.document import parse
from mechane.config.domain.validation import validate
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.native import AnyEmulator
from mechane.tests.hypervisors.qemu_argv.conformance import SAMPLES, resources, samples

TYPICAL = Path(__file__).resolve().parent.parent / "tests/hypervisors/qemu/virt_install/fedora.xml"
TURNS = 5
DEFINED = 100


def typical_xml(name: str) -> str:
    """Return the document that virt-install printed, for a domain of this name without a UUID."""
    text = TYPICAL.read_text()
    head, _, rest = text.partition("<uuid>")
    return head.replace("<name>fedora</name>", f"<name>{name}</name>") + rest.partition("</uuid>\n")[2]


def command_line(xml: bytes) -> None:
    """Do with a document what define and start do: read, fill in, check, build the command line."""
    domain = complete(parse(xml), random=lambda count: bytes(range(1, count + 1)))
    validate(domain)
    build(domain, AnyEmulator(), resources("/run/mechane/bench"))


def reading() -> dict[str, float]:
    """Time `command_line` for each sample that can be built, the best of some turns; give the median and the worst.

    Raises: LookupError where the samples are not there.
    """
    best: list[float] = []
    for path, _ in samples(SAMPLES, []):
        xml = path.read_bytes()
        try:
            command_line(xml)
        except MechaneError:
            continue  # refused, as libvirt does or for another architecture: nothing to time
        best.append(min(timed(lambda xml=xml: command_line(xml)) for _ in range(TURNS)))  # type: ignore[misc]
    if not best:
        raise LookupError(f"no samples in {SAMPLES}")
    return {"reading": statistics.median(best), "reading_worst": max(best), "reading_samples": float(len(best))}


def defining(peer: Peer, names: list[str]) -> dict[str, float]:
    """Define and undefine domains of the typical document, one after the other."""
    figures = peer.measure("define", documents=[typical_xml(name) for name in names])
    peer.measure("undefine", names=names)
    return {"define": figures["p50_us"] / 1e6}
