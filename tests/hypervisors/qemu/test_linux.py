"""A real Linux guest: console, reboot and shutdown from inside."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from mechane.config.domain.document import parse
from mechane.hypervisors.abilities import ConsoleChannel
from mechane.hypervisors.facts import Exited, GuestEvent, StateChanged
from mechane.hypervisors.qemu.native import from_native
from mechane.tests.guest.xml import guest_xml
from mechane.tests.hypervisors.qemu.env import node, run, until
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
PROMPT = b"mechane-guest # "
BOOT_S = 40.0


async def hear(channel: ConsoleChannel, text: bytes) -> None:
    """Read from a console until it says `text`."""
    heard = b""

    def listen() -> bool:
        nonlocal heard
        try:
            heard += os.read(channel.fd, 65536)
        except BlockingIOError:
            return False
        return text in heard

    await until(listen, BOOT_S, f"{text!r} on the console")


def test_a_guest_boots_reboots_and_shuts_down(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    kernel, initrd = guest_image

    async def body() -> None:
        async with node(short_tmp) as n:
            xml = guest_xml("linux", kernel=kernel, initrd=initrd, uuid=UUID)
            target, _, facts = await n.start(xml, name="linux", uuid=UUID)
            channel = await n.driver.open_console(target, None)
            await hear(channel, PROMPT)
            os.write(channel.fd, b"echo $((6 * 7))-yes\r")
            await hear(channel, b"42-yes\r\n" + PROMPT)  # or the wait after the reboot finds this prompt
            await n.driver.reboot(target, None)
            await until(lambda: facts.of(GuestEvent), BOOT_S)
            await hear(channel, PROMPT)
            assert [event.kind for event in facts.of(GuestEvent)] == ["reboot"]
            assert not facts.of(Exited)
            changes = len(facts.of(StateChanged))
            await n.driver.shutdown(target, None)
            await until(lambda: facts.of(Exited), BOOT_S)
            (exited,) = facts.of(Exited)
            assert (exited.reason, exited.status) == ("shutdown", 0)
            assert not any(change.event for change in facts.of(StateChanged)[changes:])
            channel.close()
            await n.driver.finished(target)
            assert n.guest_folders() == []
            await asyncio.sleep(0)

    run(body())


def test_a_guest_sees_the_processor_of_its_host_model(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    kernel, initrd = guest_image

    async def body() -> None:
        async with node(short_tmp) as n:
            xml = guest_xml("linux", kernel=kernel, initrd=initrd, uuid=UUID).replace(
                "<devices>", "<cpu mode='host-model'><feature policy='disable' name='avx2'/></cpu><devices>"
            )
            target, started, facts = await n.start(xml, name="linux", uuid=UUID)
            assert "<feature policy='require' name='3dnow'/>" in (started.live_xml or "")
            channel = await n.driver.open_console(target, None)
            await hear(channel, PROMPT)
            os.write(channel.fd, b"cd /proc; grep -cw 3dnow cpuinfo; grep -cw avx2 cpuinfo; echo $?\r")
            await hear(channel, b"\r\n1\r\n0\r\n1\r\n")
            channel.close()
            await n.destroy(target, facts)

    run(body())


def test_a_guest_gives_memory_away_and_takes_it_back(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, memory_mib=192)
            before = parse(guest.xml).memory.kib or 0

            async def current_kib() -> int:
                return int((await guest.ask("query-balloon"))["actual"]) // 1024

            for kib in (before - 65536, before):
                guest.xml = await n.driver.set_memory(guest.target, guest.xml, kib)
                async with asyncio.timeout(BOOT_S):
                    while await current_kib() != kib:
                        await asyncio.sleep(0.05)

    run(body())


def test_a_command_line_that_somebody_had_boots(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    kernel, initrd = guest_image
    short_tmp.chmod(0o711)
    disk = short_tmp / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "8M"], check=True, timeout=30)
    text = (
        f"DIR={short_tmp}\nsudo qemu-system-x86_64 -m 128 -kernel {kernel} -initrd {initrd} \\\n"
        "  -append 'console=ttyS0 quiet' -nographic -drive file=$DIR/disk.qcow2,if=virtio "
        "-nic user,model=virtio-net-pci -no-reboot 2>/dev/null\n"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start(from_native(text), name="linux", uuid=UUID)
            channel = await n.driver.open_console(target, None)
            await hear(channel, PROMPT)
            os.write(channel.fd, b"cat /sys/block/vda/size; ls /sys/bus/pci/drivers/virtio-pci\r")
            await hear(channel, b"\r\n16384\r\n")
            channel.close()
            await n.destroy(target, facts)

    run(body())
