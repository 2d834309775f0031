"""A node with eight connections at once, one of each kind: real ones where they are light, doubles else.

QEMU is the stub emulator, LXC runs real containers, Xen, bhyve, Virtuozzo, VirtualBox and VMware are doubles of their
tools (tests/doubles), and the eighth is the in-memory hypervisor.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.acceptance.fleet import MEMORY, QEMU, Fleet, every, uuid_of
from mechane.tests.hypervisors.bhyve import product as bhyve
from mechane.tests.hypervisors.lxc import boxes
from mechane.tests.hypervisors.vbox import product as vbox
from mechane.tests.hypervisors.vmware import products as vmware
from mechane.tests.hypervisors.vz import product as vz
from mechane.tests.hypervisors.xen import tools as xen
from mechane.tests.stubs.install import install_stub
from mechane.tests.support.doubles import Control
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.rpc import Rpc

AT_ONCE = 4
"""Starts in flight on one connection: a double is a Python process, and there may be two processors only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One connection: its URI, and a definition for it from UUID and name."""

    word: str
    uri: str
    xml: Callable[[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the tools of all kinds lie, which connections there are, and how two of them are spoilt."""

    folder: Path
    kinds: tuple[Kind, ...]
    env: dict[str, str]
    settings: str
    xen: Control
    broken: Path

    @property
    def uris(self) -> list[str]:
        """Return the connections, the first one the node's default."""
        return [kind.uri for kind in self.kinds]

    def hang_xen(self) -> None:
        """Let every tool of Xen hang."""
        self.xen.hang("*")

    def break_test(self) -> None:
        """Let the driver of test:///default crash on every call."""
        self.broken.touch()

    @contextmanager
    def node(self) -> Iterator[NodeProcess]:
        """Give a started node; containers end before it, for they outlive it and nothing names them afterwards."""
        with NodeProcess(self.folder, self.uris, self.settings, self.env) as node:
            try:
                yield node.start()
            finally:
                self.mend()
                boxes.end_all(self.folder)

    def mend(self) -> None:
        """Let both behave again."""
        self.xen.clear()
        self.broken.unlink(missing_ok=True)


@contextmanager
def place(*, player: bool = False) -> Iterator[Place]:
    """Give a folder with all tools in it; no guest of it outlives the block.

    Args:
        player: whether VMware Player is there too, as a ninth connection.
    """
    with boxes.playground() as folder:
        xl, freebsd = xen.installed(folder / "xen"), bhyve.installed(folder / "bhyve")
        bins = [xl.folder / "bin", freebsd.bin, vz.installed(folder / "vz").bin,
                vbox.installed(folder / "vbox").tool.parent,
                vmware.installed(folder / "ws", processes=False).vmrun.parent]  # fmt: skip
        path = ":".join([*map(str, bins), os.environ["PATH"]])
        broken = folder / "broken"
        kinds = [*_kinds(folder, broken), *([_player(folder)] if player else [])]
        found = Place(
            folder=folder, kinds=tuple(kinds), env={"PATH": path},
            settings=f'[bhyve]\nvmm_dir = "{freebsd.vmm}"\n', xen=xl.control, broken=broken,
        )  # fmt: skip
        try:
            yield found
        finally:
            found.mend()


def _kinds(folder: Path, broken: Path) -> Iterator[Kind]:
    (folder / "stub").mkdir(mode=0o755)
    stub = f"<emulator>{install_stub(folder / 'stub')}</emulator>"
    system = "system" if os.geteuid() == 0 else "session"
    yield Kind(
        word="qemu", uri=f"qemu:///{system}",
        xml=lambda uuid, name: QEMU.format(uuid=uuid, name=name, emulator=stub, memory_mib=32),
    )  # fmt: skip
    if not boxes.unusable():
        yield Kind(
            word="lxc", uri=f"lxc:///system?paths={folder / 'others'}",
            xml=lambda uuid, name: boxes.xml(uuid, name, folder / "root", init="/sbin/quick", memory_mib=16),
        )  # fmt: skip
    yield Kind(word="xen", uri="xen:///system", xml=lambda uuid, name: xen.XML.format(uuid=uuid, name=name, more=""))
    yield Kind(word="bhyve", uri="bhyve:///system", xml=bhyve.xml)
    yield Kind(word="vz", uri="vz:///system", xml=vz.xml)
    yield Kind(word="vbox", uri="vbox:///session", xml=vbox.xml)
    yield Kind(word="vmwarews", uri="vmwarews:///session", xml=vmware.xml)
    yield Kind(word="test", uri=f"test:///default?crash=1&while={broken}", xml=_memory)


def _player(folder: Path) -> Kind:
    tool = vmware.installed(folder / "player", "player", processes=False).vmrun
    return Kind(word="vmwareplayer", uri=f"vmwareplayer:///session?vmrun={tool}", xml=vmware.xml)


def _memory(uuid: str, name: str) -> str:
    return MEMORY.format(uuid=uuid, name=name)


class KindFleet(Fleet):
    """Guests of one connection."""

    def __init__(self, node: NodeProcess, count: int, kind: Kind, first: int) -> None:
        super().__init__(node, count)
        self.kind = kind
        self.names = [f"{kind.word}-{number}" for number in range(count)]
        self.uuids = [uuid_of(first + number) for number in range(count)]

    def xml(self, number: int) -> str:
        """Return a guest's definition."""
        return self.kind.xml(self.uuids[number], self.names[number])

    def bring_up(self, rpc: Rpc) -> None:
        """Define and start all of them on their connection."""
        numbers, uri = range(len(self.names)), self.kind.uri
        every(rpc, [("domain.define_xml", {"xml": self.xml(n), "connection": uri}) for n in numbers], AT_ONCE)
        every(rpc, [("domain.start", {"domain": self.uuids[n]}) for n in numbers], AT_ONCE)


def fleets(node: NodeProcess, place: Place, count: int) -> dict[str, KindFleet]:
    """Return `count` guests (not yet defined) for each connection, by the kind's word."""
    return {kind.word: KindFleet(node, count, kind, 1000 * (index + 1)) for index, kind in enumerate(place.kinds)}
