"""Tap devices of interfaces, in a network namespace of the test's own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported, StartFailed
from mechane.hypervisors.contract import Target
from mechane.hypervisors.qemu.host import taps as made
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import Facts, Node, node, run
from mechane.tests.hypervisors.qemu.linux import Linux
from mechane.tests.hypervisors.qemu.namespace import inside_namespace

pytestmark = [pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120)]
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
MAC = "52:54:00:12:34:56"
NET = Path("/sys/class/net")


def nic(kind: str, source: str, more: str = "", model: str = "virtio") -> str:
    """Return an interface."""
    return (
        f"<interface type='{kind}'><mac address='{MAC}'/>{source}<model type='{model}'/>{more}</interface>"
    )


def guest(devices: str) -> str:
    """Return an idle guest with these devices."""
    return idle_xml("guest", uuid=UUID).replace("</devices>", f"{devices}</devices>")


def ip(*words: str) -> str:
    """Run ip(8); only in the test's namespace, where nothing of the host is."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10).stdout


def links() -> set[str]:
    """Return the namespace's links, apart from its own loopback."""
    return {path.name for path in NET.iterdir()} - {"lo", "bonding_masters"}


async def start(n: Node, devices: str) -> tuple[Target, str, Facts]:
    """Start a guest; return its target, live XML and facts."""
    target, started, facts = await n.start(guest(devices), uuid=UUID)
    return target, started.live_xml or "", facts


@inside_namespace
def test_a_bridge_has_a_tap_while_the_guest_runs(short_tmp: Path) -> None:
    assert not links()
    ip("link", "add", "br0", "mtu", "1400", "type", "bridge")

    async def body() -> None:
        async with node(short_tmp) as n:
            target, live, facts = await start(n, nic("bridge", "<source bridge='br0'/>"))
            (name,) = links() - {"br0"}
            assert name.startswith("vnet") and f"<target dev='{name}'/>" in live
            assert (NET / name / "brport/bridge").resolve().name == "br0"
            assert (NET / name / "address").read_text().strip() == "fe" + MAC[2:]
            assert (NET / name / "mtu").read_text().strip() == "1400"
            assert int((NET / name / "flags").read_text(), 16) & 1
            stats = await n.driver.stats(target, frozenset({"interface"}), deadline_s=5)
            assert stats["net.0.name"] == name and stats["net.0.rx.bytes"] >= 0
            await n.destroy(target, facts)
            assert links() == {"br0"}

    run(body())


@inside_namespace
def test_names_mtu_queues_and_cards_as_the_definition_says(short_tmp: Path) -> None:
    ip("link", "add", "br0", "type", "bridge")
    first = nic("bridge", "<source bridge='br0'/>", "<target dev='mine'/><mtu size='1300'/><driver queues='2'/>")
    second = nic("ethernet", "<target dev='vnet7'/>", "<link state='down'/>", "e1000").replace("56", "57")

    async def body() -> None:
        async with node(short_tmp) as n:
            target, live, facts = await start(n, first + second)
            assert links() >= {"br0", "mine"} and len(links()) == 3
            assert (NET / "mine/mtu").read_text().strip() == "1300"
            assert "<target dev='mine'/>" in live and "vnet0" in links()
            assert "multi_queue" in ip("-d", "link", "show", "mine")
            await n.destroy(target, facts)
            assert links() == {"br0"}

    run(body())


@inside_namespace
def test_direct_makes_a_macvtap_that_goes(short_tmp: Path) -> None:
    ip("link", "add", "low0", "type", "bridge")
    ip("link", "set", "low0", "up")

    async def body() -> None:
        async with node(short_tmp) as n:
            target, live, facts = await start(n, nic("direct", "<source dev='low0' mode='bridge'/>"))
            (name,) = links() - {"low0"}
            assert f"<target dev='{name}'/>" in live
            assert re.search(rf"{MAC} .*macvtap mode bridge", ip("-d", "link", "show", name), re.DOTALL)
            assert n.handles[UUID][-1]["host"]["links"] == [name]
            await n.destroy(target, facts)
            assert links() == {"low0"}
            _, _, facts = await start(n, nic("direct", "<source dev='low0' mode='bridge'/>"))
            facts.seen.clear()
            await n.driver.abandon(target, {})  # what a node does that died before it knew
            assert links() == {"low0"}

    run(body())


@inside_namespace
def test_a_failed_start_leaves_no_link(short_tmp: Path) -> None:
    ip("link", "add", "low0", "type", "bridge")

    async def body() -> None:
        async with node(short_tmp) as n:
            broken = nic("direct", "<source dev='low0'/>") + nic("bridge", "<source bridge='none0'/>")
            with pytest.raises(StartFailed, match="none0"):
                await start(n, broken)
            assert links() == {"low0"} and n.guest_folders() == []

    run(body())


@inside_namespace
def test_networks_are_refused_with_what_is_there(short_tmp: Path) -> None:
    ip("link", "add", "br0", "type", "bridge")

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="no networks yet") as refused:
                await start(n, nic("network", "<source network='default'/>"))
            assert "br0" in refused.value.remedy
            with pytest.raises(ConfigUnsupported, match="shaped"):
                await start(n, nic("bridge", "<source bridge='br0'/><bandwidth><inbound average='1000'/></bandwidth>"))
            target, _, facts = await start(n, nic("network", "<source network='default' bridge='br0'/>"))
            assert len(links()) == 2
            await n.destroy(target, facts)

    run(body())


@inside_namespace
def test_packets_go_through(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    ip("link", "add", "br0", "type", "bridge")
    ip("addr", "add", "192.0.2.1/24", "dev", "br0")
    ip("link", "set", "br0", "up")

    async def body() -> None:
        async with node(short_tmp) as n:
            linux = await Linux.boot(n, guest_image, devices=nic("bridge", "<source bridge='br0'/>"))
            await linux.run("ip link set eth0 up && ip addr add 192.0.2.2/24 dev eth0")
            await linux.sees("ping -c 1 -W 1 192.0.2.1", "1 packets received")
            stats = await n.driver.stats(linux.target, frozenset({"interface"}), deadline_s=5)
            assert stats["net.0.tx.bytes"] > 64 and stats["net.0.rx.bytes"] > 64

    run(body())


def test_who_is_not_root_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from mechane.config.domain.interface import Interface

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    item = Interface(type="bridge")
    error = made.explain(PermissionError(1, "Operation not permitted", made.TUN), item)
    assert "qemu:///system" in error.remedy
