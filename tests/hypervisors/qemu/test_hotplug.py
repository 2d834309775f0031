"""Devices come to a booted Linux guest, which sees them, and leave it, which leaves nothing."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import (
    ConfigUnsupported,
    DeadlineExceeded,
    InvalidArgument,
    MonitorError,
    NoDevice,
    OperationInvalid,
    Unsupported,
)
from mechane.hypervisors.facts import GuestEvent
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import node, until
from mechane.tests.hypervisors.qemu.linux import Linux
from mechane.tests.hypervisors.qemu.pluggable import BASE, ROOM, Kind, disk_file, kinds

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
DISK = "<disk type='file'><source file='{}'/><target dev='{}' bus='virtio'/>{}</disk>"
NAMES = (
    "disk", "scsi disk", "usb disk", "interface", "e1000", "rng", "serial", "channel", "input", "usb input",
    "watchdog", "scsi controller", "usb controller", "crypto", "memory",
)  # fmt: skip
MANY_S = 1500.0


def go(work: Awaitable[None], limit_s: float = 170.0) -> None:
    """Run a test's coroutine."""

    async def main() -> None:
        await asyncio.wait_for(work, limit_s)

    asyncio.run(main())


async def in_and_out(guest: Linux, kind: Kind) -> None:
    """Plug a device until the guest sees it, unplug it until the guest does not."""
    before, xml = await guest.resources(), guest.xml
    await guest.attach(kind.xml)
    assert await guest.resources() != before
    if kind.command:
        await guest.sees(kind.command, kind.word)
    assert guest.xml != xml
    await guest.detach(kind.xml)
    if kind.command:
        await guest.sees(kind.command, kind.word, gone=True)
    assert await guest.resources() == before
    assert guest.xml == xml


@pytest.mark.timeout(180)
def test_every_kind_comes_and_goes(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, devices=BASE, edit=ROOM, memory_mib=256)
            found = kinds(short_tmp)
            assert tuple(found) == NAMES
            for name, kind in found.items():
                for _ in range(3 if name in ("disk", "interface", "rng") else 1):
                    await in_and_out(guest, kind)

    go(body())


@pytest.mark.timeout(180)
def test_q35_has_a_root_port_for_each(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, machine="q35")
            found = kinds(short_tmp)
            for name in ("disk", "interface", "rng"):
                for _ in range(3):
                    await in_and_out(guest, found[name])
            plugged = 0
            with pytest.raises(ConfigUnsupported, match="no PCI slot") as caught:
                for plugged in range(20):  # noqa: B007 - counted
                    await guest.attach(RNG)
            assert "pcie-root-port" in caught.value.remedy
            assert 3 <= plugged <= 8
            assert len(parse(guest.xml).devices.rngs) == plugged

    go(body())


@pytest.mark.timeout(180)
def test_cable_and_medium_change(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)
    first, second = (disk_file(short_tmp, name) for name in ("1.iso", "2.iso"))
    second.write_bytes(b"\0" * 4096)
    drive = "<disk type='file' device='cdrom'>{}<target dev='hdc' bus='ide'/></disk>"
    card = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/>{}</interface>"
    nodes = "libvirt-{}-format"

    async def body() -> None:
        async with node(short_tmp) as n:
            full = drive.format(f"<source file='{first}'/>")
            guest = await Linux.boot(n, guest_image, devices=full + card.format(""))
            name = (await guest.run("ls /sys/class/net | grep -v lo")).split()[0]
            await guest.run(f"ip link set {name} up")
            for state, shown in (("down", "0"), ("up", "1"), ("down", "0")):
                await guest.update(card.format(f"<link state='{state}'/>"))
                await guest.sees(f"cat /sys/class/net/{name}/carrier", shown)
                assert f"<link state='{state}'/>" in guest.xml
            for source in (f"<source file='{second}'/>", "", f"<source file='{first}'/>"):
                await guest.update(drive.format(source))
                drives = [drive for drive in await guest.ask("query-block") if drive["qdev"]]
                inserted = [drive.get("inserted", {}).get("file", "") for drive in drives]
                assert inserted == [str(second) if str(second) in source else str(first) if source else ""]
                assert len(await guest.ask("query-named-block-nodes")) == (2 if source else 0)
                assert (str(second) in guest.xml) == (str(second) in source)
            with pytest.raises(OperationInvalid, match="model/@type"):
                await guest.update(card.format("").replace("type='virtio'", "type='e1000'"))
            with pytest.raises(MonitorError):
                await guest.update(drive.format("<source file='/nowhere/x.iso'/>"))
            assert nodes.format(99) not in await guest.resources()

    go(body())


def idle(*devices: str) -> str:
    return idle_xml("guest", uuid=UUID).replace("</devices>", "".join(devices) + "</devices>")


def test_a_refused_step_leaves_nothing(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)
    good = disk_file(short_tmp, "a.img")
    never = (
        "<tpm model='tpm-tis'><backend type='passthrough'/></tpm>",
        "<input type='mouse' bus='ps2'/>",
        DISK.format(good, "hdb", "").replace("virtio", "ide"),
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(idle(), uuid=UUID)
            guest = Linux(n, target, started.live_xml or "", facts)
            before = await guest.resources()
            for device in (
                DISK.format("/nowhere/b.img", "vda", ""),
                DISK.format(good, "vdb", "<driver name='qemu' type='qcow2'/>"),
                DISK.format(good, "vdc", "<geometry cyls='99999999' heads='1' secs='1'/>"),
                "<interface type='user'><mac address='52:54:00:00:00:02'/><model type='virtio'/>"
                "<driver queues='1' rx_queue_size='64'/></interface>",
                "<rng model='virtio'><backend model='random'>/nowhere</backend></rng>",
            ):
                with pytest.raises(MonitorError):
                    await guest.attach(device)
                assert await guest.resources() == before
            for device in never:
                with pytest.raises((Unsupported, ConfigUnsupported, OperationInvalid)):
                    await guest.attach(device)
                assert await guest.resources() == before

    go(body())


def test_a_guest_that_does_not_let_go_is_pending(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(idle(RNG), uuid=UUID)
            guest = Linux(n, target, started.live_xml or "", facts)
            n.driver._hotplug.unplug_s = 0.2
            with pytest.raises(NoDevice):
                await guest.detach("<watchdog model='i6300esb'/>")
            for _ in range(2):
                with pytest.raises(DeadlineExceeded, match="pending") as caught:
                    await guest.detach(RNG)
                assert caught.value.details["device"] == "rng0"
            assert "rng0" in guest.xml
            before = await guest.resources()
            await guest.ask("system_reset")  # a machine that starts over lets go of all that was asked for
            await until(lambda: any(e.event == "removed" and e.detail == "rng0" for e in facts.of(GuestEvent)))
            await asyncio.wait_for(_cleared(guest, before), 20)

    go(body())


async def _cleared(guest: Linux, before: str) -> None:
    while "objrng0" in await guest.resources():
        await asyncio.sleep(0.01)
    assert "objrng0" in before


@pytest.mark.slow
@pytest.mark.timeout(MANY_S)
@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_times(short_tmp: Path, guest_image: tuple[Path, Path], name: str) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, devices=BASE, edit=ROOM, memory_mib=256)
            kind = kinds(short_tmp)[name]
            for _ in range(100):
                await in_and_out(guest, kind)

    go(body(), MANY_S)




@pytest.mark.timeout(180)
def test_processors_come(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, edit=("<vcpu>1<", "<vcpu current='1'>3<"), memory_mib=192)
            for count in (2, 3):
                guest.xml = await n.driver.set_vcpus(guest.target, guest.xml, count)
                # again and again: the kernel makes the file once it has found the processor
                online = "for c in /sys/devices/system/cpu/cpu[12]/online; do echo 1 >$c; done 2>/dev/null"
                await guest.sees(f"{online}; nproc; echo end", f"{count}\nend")
                assert parse(guest.xml).vcpu.current == (count if count != 3 else None)
            with pytest.raises(Unsupported, match="emulated"):
                await n.driver.set_vcpus(guest.target, guest.xml, 1)
            assert len(await guest.ask("query-cpus-fast")) == 3
            with pytest.raises(InvalidArgument):
                await n.driver.set_vcpus(guest.target, guest.xml, 4)
            with pytest.raises(InvalidArgument):
                await n.driver.set_vcpus(guest.target, guest.xml, 0)

    go(body())
