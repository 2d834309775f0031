"""Eight connections of one node: calls on six of them, before and while a seventh hangs and the eighth crashes.

Our side alone: there is no daemon of libvirt's that serves all these products here.  The connections are qemu, lxc,
xen, bhyve, vz, vbox, vmwarews and test; LXC runs real containers, QEMU is the stub emulator, the products of others
are doubles (tests/acceptance/crowd.py says which).
"""

from mechane.benchmarks import scenario
from mechane.benchmarks.node_peer import NodePeer
from mechane.benchmarks.peer import threads
from mechane.tests.acceptance.crowd import Kind, Place, place
from mechane.tests.acceptance.fleet import uuid_of
from mechane.tests.hypervisors.lxc import boxes

GUESTS = 20
"""On each connection: doubles are Python processes, and each start is one, so that it takes a while."""
CALLS = 600
SPOILT = ("xen", "test")


def measure() -> scenario.Run:
    """Measure both states of one node."""
    with place() as found:
        with NodePeer(found.folder, found.uris, found.env, found.settings) as node:
            done = scenario.Run(side=node.side)
            guests = {
                kind.word: [uuid_of(1000 * index + number) for number in range(GUESTS)]
                for index, kind in enumerate(found.kinds)
            }
            done.step(
                f"{len(found.kinds)} connections with {GUESTS} guests each", lambda: bring_up(node, found, guests)
            )
            if not done.failures:
                done.step("one hung, one crashing", lambda: spoil(node, found, guests))
            boxes.end_all(found.folder)  # containers outlive the node, and nothing names them afterwards
        return done


def bring_up(node: NodePeer, found: Place, guests: dict[str, list[str]]) -> scenario.Figures:
    """Define and start all."""
    for kind in found.kinds:
        node.measure("define_on", connection=kind.uri, documents=documents(kind, guests[kind.word]))
        node.measure("start", names=guests[kind.word])
    return {}


def documents(kind: Kind, uuids: list[str]) -> list[str]:
    """Return the definitions of a connection's guests."""
    return [kind.xml(uuid, f"{kind.word}-{number}") for number, uuid in enumerate(uuids)]


def spoil(node: NodePeer, found: Place, guests: dict[str, list[str]]) -> scenario.Figures:
    """Time calls on the six others, first with all well."""
    healthy = [uuid for word, uuids in guests.items() if word not in SPOILT for uuid in uuids]
    asked = [uuid for word in SPOILT for uuid in guests[word]]
    before = node.measure("side_by_side", healthy=healthy, asked=[], count=CALLS)
    found.hang_xen()
    found.break_test()
    during = node.measure("side_by_side", healthy=healthy, asked=asked, count=CALLS)
    figures = {"eight_threads": float(threads(node.daemon_pid()))}
    for call in ("high", "low"):
        for share in ("p50", "p99"):
            figures[f"eight_{call}_{share}_before"] = scenario.seconds(before[call], share)
            figures[f"eight_{call}_{share}"] = scenario.seconds(during[call], share)
    found.mend()
    return figures
