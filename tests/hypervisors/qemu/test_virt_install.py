"""Definitions that virt-install wrote, started as they are with a kernel put in; the guest is asked what it sees."""

import asyncio
import re
from pathlib import Path

import pytest

from mechane.tests.guest.image import PROMPT
from mechane.tests.hypervisors.qemu.env import Node, node, run
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(240)]
FOLDER = Path(__file__).parent / "virt_install"
DISK_BYTES = 8 * 1024 * 1024
BUSES = {
    "virtio": ("/block/vda",), "ata": ("/ata",), "scsi": ("/virtio", "/host"), "usb": ("/usb",), "nvme": ("/nvme",),
}  # fmt: skip
"""Parts of the path of a disk in sysfs, by its bus."""
BLOCKS = "for d in /sys/block/*; do readlink -f $d; done"
BOOT_S = 200.0
"""Seconds for Secure Boot under TCG: 47 s alone on the machine (measured)."""
SERIAL = "console=ttyS0 quiet"


async def boot(n: Node, name: str, image: tuple[Path, Path], disks: Path, *, more: str = "") -> Linux:
    """Start one of the definitions with the test's kernel and disks (and more devices), and wait for its prompt."""
    for letter in "abcde":
        path = disks / f"{letter}.img"
        path.write_bytes(bytes([ord(letter)]) * 16)
        with path.open("ab") as file:
            file.truncate(DISK_BYTES)
    text = (FOLDER / f"{name}.xml").read_text().replace("</devices>", f"{more}</devices>")
    text = text.replace("/mnt/disks", str(disks))
    kernel, initrd = image
    direct = f"<kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{SERIAL}</cmdline>"
    text = text.replace('<boot dev="hd"/>', direct)
    # With these a Linux under TCG reached no prompt in 200 s, without them it did in 56 s; which of them is to
    # blame was not looked into.
    text = re.sub(r"<hyperv>.*?</hyperv>", "", text, flags=re.DOTALL)
    text = text.replace('<timer name="hypervclock" present="yes"/>', "")
    uuid = text.split("<uuid>")[1].split("</uuid>")[0]
    target, started, facts = await n.start(text, name=name, uuid=uuid)
    linux = Linux(n, target, started.live_xml or "", facts)
    linux._fd = (await n.driver.open_console(target, None)).fd
    await linux._until(PROMPT, BOOT_S)
    return linux


FIVE_BUSES = "".join(
    f"""<disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="/mnt/disks/{letter}.img"/>
    <target dev="{dev}" bus="{bus}"/>{more}</disk>"""
    for letter, dev, bus, more in (("c", "sdb", "sata", ""), ("d", "sdc", "scsi", ""),
                                   ("e", "nvme0n1", "nvme", "<serial>fifth</serial>"))
) + """<controller type="scsi" index="0" model="virtio-scsi"/>"""
"""Disks on the buses that the definition of Fedora does not use."""
MORE_CARDS = """<rng model="virtio"><backend model="builtin"/></rng>""" * 8


async def first_bytes(linux: Linux, name: str) -> str:
    """Return the beginning of a disk, as the guest reads it."""
    return await linux.run(f"head -c 16 /dev/{name}")


def test_debian_on_five_buses(short_tmp: Path, full_guest_image: tuple[Path, Path]) -> None:
    """Virtio, SATA, SCSI, USB and NVMe disks, user network, and more than 16 PCIe devices."""
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            linux = await boot(n, "debian", full_guest_image, short_tmp)
            await linux.sees(BLOCKS, "/usb")
            places = (await linux.run(BLOCKS)).split()
            disks = {Path(place).name: place for place in places if "/virtual/" not in place}
            by_kind = {
                kind: next(name for name, place in disks.items() if all(part in place for part in wanted))
                for kind, wanted in BUSES.items()
            }
            assert len(set(by_kind.values())) == len(disks) == 5, disks
            contents = {kind: await first_bytes(linux, name) for kind, name in by_kind.items()}
            letters = dict(zip(("virtio", "ata", "scsi", "usb", "nvme"), "abcde", strict=True))
            assert contents == {kind: letter * 16 for kind, letter in letters.items()}
            assert await linux.run("cat /sys/class/net/eth0/address") == "52:54:00:8a:e4:20"
            assert int(await linux.run("ls /sys/bus/pci/devices | wc -l")) >= 16
            assert "tlsPort" not in linux.xml

    run(body())


@pytest.mark.slow
# the second disk of `windows` hangs on a SCSI controller that the test's guest has no driver for
@pytest.mark.parametrize(("name", "disks", "card"), [("windows", 1, "e1000e"), ("fedora", 2, "virtio_net")])
def test_uefi_with_a_tpm(
    short_tmp: Path, full_guest_image: tuple[Path, Path], name: str, disks: int, card: str
) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            linux = await boot(n, name, full_guest_image, short_tmp)
            assert await linux.run("test -d /sys/firmware/efi && echo efi") == "efi"
            assert await linux.run("cat /sys/class/tpm/tpm0/tpm_version_major") == "2"
            await linux.sees("ls /sys/block | grep -c '[sv]d[a-z]'", str(disks))
            assert card in await linux.run("readlink -f /sys/class/net/eth0/device/driver")

    asyncio.run(asyncio.wait_for(body(), BOOT_S + 30))


@pytest.mark.slow
def test_fedora_with_all_of_it(short_tmp: Path, full_guest_image: tuple[Path, Path]) -> None:
    """UEFI, TPM, disks on five buses, user network and more than 16 PCI Express devices behind root ports at once."""
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            linux = await boot(n, "fedora", full_guest_image, short_tmp, more=FIVE_BUSES + MORE_CARDS)
            assert await linux.run("test -d /sys/firmware/efi && echo efi") == "efi"
            assert await linux.run("cat /sys/class/tpm/tpm0/tpm_version_major") == "2"
            await linux.sees(BLOCKS, "/usb")
            places = [place for place in (await linux.run(BLOCKS)).split() if "/virtual/" not in place]
            contents = {}
            for kind, wanted in BUSES.items():
                name = next(Path(place).name for place in places if all(part in place for part in wanted))
                contents[kind] = await first_bytes(linux, name)
            letters = dict(zip(("virtio", "usb", "ata", "scsi", "nvme"), "abcde", strict=True))
            assert contents == {kind: letter * 16 for kind, letter in letters.items()}
            assert await linux.run("cat /sys/class/net/eth0/address") == "52:54:00:6c:29:f7"
            assert "10.0.2.15" in await linux.run(
                "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip -4 addr show dev eth0")
            assert await linux.run("ping -c 1 -W 5 10.0.2.2 > /dev/null && echo answered") == "answered"
            behind = "ls -d /sys/bus/pci/devices/*:00.* | wc -l"
            assert int(await linux.run(behind)) >= 16

    asyncio.run(asyncio.wait_for(body(), BOOT_S + 30))
