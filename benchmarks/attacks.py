"""What others feel while somebody attacks: calls on a healthy guest, before and during each attack on one node.

Readers are ten clients of the read-only socket, which is open to everybody on the host; the guest that floods is a boot
sector of eight bytes.  Our side alone: libvirt's daemon has neither lanes nor budgets to compare with.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mechane.benchmarks import scenario
from mechane.benchmarks.node_peer import NodePeer
from mechane.benchmarks.peer import guest_pids
from mechane.benchmarks.table import ATTACKS
from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.paths import short_folder

READERS = 10
FLOOD = b"\xba\x05\x05\xb0\x02\xee\xeb\xfd"
"""mov dx,0x505; mov al,2; l: out dx,al; jmp l: GUEST_CRASHLOADED for each turn (docs/specs/pvpanic.txt of QEMU)."""
SECTOR = 512


@contextlib.contextmanager
def readers(node: NodePeer, attack: str) -> Iterator[None]:
    """Attack by the read-only socket while the block runs."""
    argv = [sys.executable, "-m", "mechane.benchmarks.attackers", str(node.socket.with_name("mechane-ro.sock"))]
    with subprocess.Popen([*argv, attack, str(READERS)], stdout=subprocess.PIPE) as attacker:
        try:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"ready\n", "the attackers did not connect"
            yield
        finally:
            attacker.kill()


@contextlib.contextmanager
def flooding(node: NodePeer, name: str) -> Iterator[None]:
    """Run a guest that makes events as fast as it can."""
    node.measure("start", names=[name])
    os.setpriority(os.PRIO_PROCESS, guest_pids()[name], 19)  # its events are measured, not its processor time
    try:
        yield
    finally:
        node.measure("destroy", names=[name], grace_s=0)


def noisy_xml(name: str, folder: Path) -> str:
    """Return the definition of the guest that floods."""
    image = folder / "flood.raw"
    image.write_bytes(FLOOD.ljust(SECTOR - 2, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    image.chmod(0o666)
    source = f"<driver name='qemu' type='raw'/><source file='{image}'/><target dev='hda' bus='ide'/>"
    disk = f"<disk type='file'>{source}</disk>"
    return idle_xml(name).replace("</devices>", f"{disk}<panic model='isa'/></devices>")


def felt(node: NodePeer, healthy: str, prefix: str, during: bool) -> scenario.Figures:
    """Time HIGH and LOW calls on a healthy guest."""
    found = node.measure("hung", hung=[], healthy=healthy, count=scenario.LOW_SAMPLES, limit_s=scenario.LOW_LIMIT_S)
    when = "" if during else "_before"
    return {
        f"{prefix}_high{when}": scenario.seconds(found["high"], "p99"),
        f"{prefix}_low{when}": scenario.seconds(found["low"]),
    }


def attacked(
    node: NodePeer, healthy: str, name: str, attack: Callable[[], contextlib.AbstractContextManager[None]]
) -> scenario.Figures:
    """Measure before and during an attack."""
    figures = felt(node, healthy, f"attack_{name}", during=False)
    with attack():
        figures |= felt(node, healthy, f"attack_{name}", during=True)
    return figures


def measure() -> scenario.Run:
    """Measure all attacks on one node."""
    with short_folder("mb") as folder, NodePeer(folder) as node:
        folder.chmod(0o755)
        done = scenario.Run(side=node.side)
        healthy, noisy = scenario.names("at", 2)

        def bring_up() -> scenario.Figures:
            node.measure("define", documents=[idle_xml(healthy), noisy_xml(noisy, folder)])
            node.measure("start", names=[healthy])
            return {}

        done.step("a healthy guest", bring_up)
        if done.failures:
            return done
        for name, text in ATTACKS.items():
            attack = partial(flooding, node, noisy) if name == "flood" else partial(readers, node, name)
            done.step(text, partial(attacked, node, healthy, name, attack))
        return done
