"""Cards with tap devices come and go, in a network namespace of the test's own."""

from pathlib import Path

import pytest

from mechane.config.errors import MonitorError, StartFailed
from mechane.tests.hypervisors.qemu.env import Facts, Node, node, run
from mechane.tests.hypervisors.qemu.linux import Linux
from mechane.tests.hypervisors.qemu.namespace import inside_namespace
from mechane.tests.hypervisors.qemu.test_taps import NET, ip, links, nic, start

pytestmark = [pytest.mark.qemu, pytest.mark.root, pytest.mark.timeout(120)]


async def linux(n: Node) -> tuple[Linux, Facts]:
    """Start an idle guest."""
    target, live, facts = await start(n, "")
    return Linux(n, target, live, facts), facts


@inside_namespace
def test_a_bridged_card_is_plugged(short_tmp: Path) -> None:
    ip("link", "add", "br0", "type", "bridge")

    async def body() -> None:
        async with node(short_tmp) as n:
            running, facts = await linux(n)
            await running.attach(nic("bridge", "<source bridge='br0'/>"))
            (name,) = links() - {"br0"}
            assert f"<target dev='{name}'/>" in running.xml
            assert (NET / name / "brport/bridge").resolve().name == "br0"
            await running.update(nic("bridge", "<source bridge='br0'/>", "<link state='down'/>"))
            with pytest.raises(StartFailed):
                await running.attach(nic("bridge", "<source bridge='nowhere'/>").replace("56'", "57'"))
            with pytest.raises(MonitorError):
                bad = "<driver queues='1' rx_queue_size='64'/>"
                await running.attach(nic("bridge", "<source bridge='br0'/>", bad).replace("56'", "58'"))
            assert links() == {"br0", name}
            stats = await n.driver.stats(running.target, frozenset({"interface"}), deadline_s=5)
            assert stats["net.0.name"] == name
            await n.destroy(running.target, facts)
            assert links() == {"br0"}

    run(body())


@inside_namespace
def test_links_go_with_their_cards(short_tmp: Path) -> None:
    ip("link", "add", "low0", "type", "bridge")
    ip("link", "set", "low0", "up")
    card = nic("direct", "<source dev='low0' mode='bridge'/>")

    async def body() -> None:
        async with node(short_tmp) as n:
            running, facts = await linux(n)
            await running.attach(card)
            await running.attach(card.replace("56'", "57'"))
            assert len(links()) == 3
            handle = n.driver.changed_handle(running.target, n.handles[running.target.uuid][-1])
            assert sorted(handle["host"]["links"]) == sorted(links() - {"low0"})
            await n.destroy(running.target, facts)
            assert links() == {"low0"}

    run(body())


@inside_namespace
def test_a_booted_guest_lets_go_of_its_card(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    ip("link", "add", "br0", "type", "bridge")
    ip("link", "set", "br0", "up")
    card = nic("direct", "<source dev='br0' mode='bridge'/>")

    async def body() -> None:
        async with node(short_tmp) as n:
            running = await Linux.boot(n, guest_image)
            before = await running.resources()
            for one in (card, nic("bridge", "<source bridge='br0'/>", "<driver queues='2'/>")):
                await running.attach(one)
                await running.sees("cat /sys/class/net/*/address", "52:54:00:12:34:56")
                assert len(links()) == 2
                await running.detach(one)
                assert links() == {"br0"}
                assert await running.resources() == before

    run(body())
