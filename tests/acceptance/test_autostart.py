"""Domains that start with the node: once a boot of the host, side by side, by the daemon and its store."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mechane.actors.domain.boots import BOOT, StoredBoot
from mechane.actors.stores.interface import Put
from mechane.actors.stores.sqlite import SqliteStore
from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder
from mechane.tests.support.rpc import Rpc
from mechane.tests.support.wait import wait_until

NAMES = ("kept-off", "fresh", "runs", "plain")


def xml(name: str) -> str:
    return f"<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>"


@pytest.fixture
def node() -> Iterator[NodeProcess]:
    """Give a node whose in-memory guests outlive it, as real ones do."""
    with short_folder() as folder, NodeProcess(folder, [f"test:///default?state={folder / 'guests'}"]) as node:
        yield node.start()


def states(rpc: Rpc) -> Mapping[str, tuple[str, int]]:
    """Return state and number of starts of each domain."""
    return {each["name"]: (each["state"], each["incarnation"]) for each in rpc.call("domain.list")}


def define(rpc: Rpc) -> None:
    """Define domains: one was shut off, one never ran, one runs, one does not start with the node."""
    for name in NAMES:
        rpc.call("domain.define_xml", xml=xml(name))
        if name != "plain":
            rpc.call("domain.set_autostart", domain=name, autostart=True)
    for name in ("kept-off", "runs", "plain"):
        rpc.call("domain.start", domain=name)
    for name in ("kept-off", "plain"):
        rpc.call("domain.destroy", domain=name, grace_s=0)


AFTER = {"kept-off": ("shutoff", 1), "fresh": ("running", 1), "runs": ("running", 1), "plain": ("shutoff", 1)}


def settles(rpc: Rpc, wanted: Mapping[str, tuple[str, int]]) -> None:
    """Wait until the domains are what they are to be; the comparison says what differs."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: states(rpc) == wanted, 10)
    assert states(rpc) == wanted


def opens(rpc: Rpc) -> None:
    """Wait until the first connection is open."""
    wait_until(lambda: rpc.call("connection.list")[0]["state"] == "open", 20, "the connection")


def reboot(node: NodeProcess) -> None:
    """Let the marks be those of an earlier boot, as they are after a reboot of the host; the guests are gone then."""
    store = SqliteStore(node.folder / "s")
    store.open()
    marks = [Put(entry.key, StoredBoot(boot="an earlier boot").pack()) for entry in store.list(BOOT)]
    assert marks
    done = threading.Event()
    store.submit(marks, lambda _outcome: done.set())
    assert done.wait(10)
    store.close(10)


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_what_was_shut_off_stays_off_until_the_host_boots(node: NodeProcess, end: str) -> None:
    with node.connect() as rpc:
        define(rpc)
    for _ in range(2):
        node.kill() if end == "killed" else node.stop()
        node.start()
        with node.connect() as rpc:
            settles(rpc, AFTER)
            rpc.call("domain.get_xml", domain="fresh")  # behind its start: acknowledged, not only seen
    with node.connect() as rpc:
        rpc.call("domain.destroy", domain="runs", grace_s=0)
    node.stop()
    reboot(node)
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: states(rpc)["kept-off"] == ("running", 2), 10, "a start after the boot")
        wait_until(lambda: states(rpc)["runs"] == ("running", 2), 10, "a start after the boot")
        assert states(rpc)["plain"] == ("shutoff", 1)


def test_a_kill_in_the_middle_of_the_starts(node: NodeProcess) -> None:
    names = [f"d{number:02}" for number in range(24)]
    with node.connect() as rpc:
        for name in names:
            rpc.call("domain.define_xml", xml=xml(name))
            rpc.call("domain.set_autostart", domain=name, autostart=True)
    node.stop()
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: sum(state == "running" for state, _ in states(rpc).values()) > 4, 10, "some starts")
        first = next(name for name, (state, _) in states(rpc).items() if state == "running")
        rpc.call("domain.destroy", domain=first, grace_s=0)
    node.kill()
    node.start()
    with node.connect() as rpc:
        others = [name for name in names if name != first]
        wait_until(lambda: all(states(rpc)[name][0] == "running" for name in others), 20, "the rest")
        wait_until(lambda: states(rpc)[first] == ("shutoff", 1), 10, "that which was shut off")


def test_a_domain_that_is_defined_anew_starts_again(node: NodeProcess) -> None:
    with node.connect() as rpc:
        made = rpc.call("domain.define_xml", xml=xml("web"))["uuid"]
        rpc.call("domain.start", domain="web")
        rpc.call("domain.destroy", domain="web", grace_s=0)
        rpc.call("domain.undefine", domain="web")
        again = xml("web").replace("<memory>", f"<uuid>{made}</uuid><memory>")
        rpc.call("domain.define_xml", xml=again)
        rpc.call("domain.set_autostart", domain="web", autostart=True)
    node.stop()
    node.start()
    with node.connect() as rpc:
        wait_until(lambda: states(rpc)["web"][0] == "running", 10, "its start with the node")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[socket.socket]:
    """Give a listening NBD server that never says a word."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as sock:
        folder.chmod(0o755)
        sock.bind(str(folder / "nbd"))
        (folder / "nbd").chmod(0o666)
        sock.listen(64)
        yield sock


GUEST = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices>{disk}</devices></domain>"""
DISK = """<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='x'>
<host transport='unix' socket='{path}'/></source><target dev='vda' bus='virtio'/></disk>"""


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
def test_hung_starts_delay_no_other(silent: socket.socket) -> None:
    """Six of QEMU wait for their storage when the others are long up."""
    hung, healthy = [f"a{number}" for number in range(6)], ["z1", "z2"]
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        node.start()
        with node.connect() as rpc:
            for name in (*hung, *healthy):
                disk = DISK.format(path=silent.getsockname()) if name in hung else ""
                rpc.call("domain.define_xml", xml=GUEST.format(name=name, disk=disk))
                rpc.call("domain.set_autostart", domain=name, autostart=True)
        node.stop()
        node.start()
        with node.connect() as rpc:
            wait_until(lambda: all(states(rpc)[name][0] == "running" for name in healthy), 30, "the healthy ones")
            assert not any(states(rpc)[name][0] == "running" for name in hung)
            for name in (*hung, *healthy):
                rpc.call("domain.destroy", domain=name, grace_s=0, deadline_s=30)


def test_first_comes_first() -> None:
    with short_folder() as folder:
        settings = '[node]\nautostart_first = ["dns", "db-*"]\n'
        with NodeProcess(folder, [f"test:///default?state={folder / 'guests'}"], settings) as node:
            node.start()
            with node.connect() as rpc:
                for name in ("app", "db-1", "zzz", "dns", "db-0"):
                    rpc.call("domain.define_xml", xml=xml(name))
                    rpc.call("domain.set_autostart", domain=name, autostart=True)
            node.stop()
            node.start()
            with node.connect() as rpc:
                wait_until(lambda: all(state == "running" for state, _ in states(rpc).values()), 10, "all starts")
                ids = {each["name"]: each["id"] for each in rpc.call("domain.list")}
            assert sorted(ids, key=lambda name: ids[name]) == ["dns", "db-0", "db-1", "app", "zzz"]


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_what_was_destroyed_just_before_is_never_shown_as_running(end: str) -> None:
    """Its record says `running` until it is cleaned up; its process says otherwise at once."""
    with short_folder() as folder, NodeProcess(folder, ["qemu:///system"]) as node:
        node.start()
        with node.connect() as rpc:
            rpc.call("domain.define_xml", xml=GUEST.format(name="web", disk=""))
            rpc.call("domain.set_autostart", domain="web", autostart=True)
        for _ in range(3):
            with node.connect() as rpc:
                rpc.call("domain.start", domain="web")
                rpc.call("domain.destroy", domain="web", grace_s=0)
            node.kill() if end == "killed" else node.stop()
            node.start()
            with node.connect() as rpc:
                seen = {states(rpc)["web"][0]}
                opens(rpc)
                seen.add(states(rpc)["web"][0])
            assert seen == {"shutoff"}
