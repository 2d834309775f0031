"""`make bench`: libvirt's own daemon and our node, one after the other on the same machine, and their ratio.

    python -m mechane.benchmarks [--only STEP,…] [--without libvirt] [--json FILE]

Everything is private and goes afterwards.  Where libvirt is missing our side is printed alone.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mechane.benchmarks import attacks, bare_qemu, connections, documents, sandbox, scenario, table
from mechane.benchmarks.libvirt_peer import LibvirtPeer
from mechane.benchmarks.node_peer import NodePeer
from mechane.tests.guest.xml import idle_xml
from mechane.tests.stubs.install import install_stub
from mechane.tests.support.paths import short_folder

STEPS = (
    "reading", "define", "lives", "at_once", "stopped", "calls", "hung", "restart", "many", "loaded", "stubs",
    "connections", "attacks",
)  # fmt: skip
STUBS = 310
STUBS_HUNG = 300


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", default=",".join(STEPS), help=f"steps, with commas between: {', '.join(STEPS)}")
    parser.add_argument("--without", choices=["libvirt"], help="leave the other side out")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def stubs(peer: NodePeer) -> scenario.Run:
    """Hang 300 of 310 stub emulators, which have a monitor and no guest."""
    done = scenario.Run(side=peer.side)
    folder = peer.folder / "stub"
    folder.mkdir(mode=0o755)
    stub = str(install_stub(folder))
    guests = scenario.names("st", STUBS)

    def start() -> dict[str, float]:
        peer.measure("define_many", documents=[idle_xml(name, emulator=stub) for name in guests])
        peer.measure("start_many", names=guests)
        return {}

    done.step(f"{STUBS} stubs", start)
    done.step(f"{STUBS_HUNG} of them hung", lambda: scenario.hung(peer, guests, STUBS_HUNG, "stubs"))
    return done


def run_all(wanted: Callable[[str], bool], without: str | None) -> tuple[dict[str, scenario.Figures], list[str]]:
    """Measure bare QEMU, libvirt and our node, in this order; give figures by side, and what went wrong."""
    sides: dict[str, scenario.Figures] = {"mechane": {}}
    failures: list[str] = []
    with short_folder("mb") as folder:
        bare = bare_qemu.measure(folder)
        sides["bare"] = {"start": bare.start_s, "quit": bare.quit_s, "terminate": bare.terminate_s}
    missing = "left out, as asked" if without == "libvirt" else sandbox.available()
    if missing:
        print(f"  libvirt: {missing}; our side alone", file=sys.stderr)
    else:
        with short_folder("mb") as folder, LibvirtPeer(folder) as peer:
            done = scenario.run(peer, wanted)
            sides["libvirt"] = done.figures
            failures += done.failures
    with short_folder("mb") as folder, NodePeer(folder) as node:
        done = scenario.run(node, wanted)
        sides["mechane"].update(done.figures)
        failures += done.failures
    if wanted("reading"):
        done = scenario.Run(side="mechane")
        done.step("documents to command lines", documents.reading)
        sides["mechane"].update(done.figures)
        failures += done.failures
    if wanted("stubs"):
        with short_folder("mb") as folder, NodePeer(folder) as node:
            folder.chmod(0o755)
            done = stubs(node)
            sides["mechane"].update(done.figures)
            failures += done.failures
    if wanted("attacks"):
        done = attacks.measure()
        sides["mechane"].update(done.figures)
        failures += done.failures
    if wanted("connections"):
        done = connections.measure()
        sides["mechane"].update(done.figures)
        failures += done.failures
    return sides, failures


def machine() -> str:
    """Describe where this was measured, in one line."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, timeout=20)
    qemu = version.stdout.split("\n")[0].removeprefix("QEMU emulator version ")
    return f"{os.cpu_count()} processors, Python {platform.python_version()}, QEMU {qemu}, guests of 32 MiB under TCG"


def main() -> int:
    """Measure, print the table; 0 also when a target is missed, 1 when something could not be measured."""
    words = parse()
    if not shutil.which("qemu-system-x86_64"):
        print("QEMU is missing. Type: sudo apt-get install -y qemu-system-x86", file=sys.stderr)
        return 1
    chosen = set(words.only.split(","))
    if chosen - set(STEPS):
        print(f"no such step: {', '.join(sorted(chosen - set(STEPS)))}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    print(machine())
    sides, failures = run_all(lambda step: step in chosen, words.without)
    filled = table.rows(sides)
    print(table.text(filled, "libvirt" if "libvirt" in sides else "(no libvirt)"))
    bare = {key: table.time_text(value) for key, value in sides["bare"].items()}
    print(f"bare QEMU: {bare['start']} to a ready monitor, {bare['terminate']} to its end on SIGTERM")
    for failure in failures:
        print(f"NOT MEASURED: {failure}")
    if words.json:
        content = {"machine": machine(), "figures": sides, "rows": [one.as_json() for one in filled]}
        words.json.write_text(json.dumps({**content, "failures": failures}, indent=2, ensure_ascii=False) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
