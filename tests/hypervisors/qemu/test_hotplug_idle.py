"""What needs no guest's help: USB and virtio-serial devices with backends of every type, and live fields."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from mechane.config.domain.document import parse
from mechane.config.errors import InvalidArgument, MonitorError, OperationInvalid
from mechane.hypervisors.qemu.qmp import CommandKind
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import node
from mechane.tests.hypervisors.qemu.linux import Linux
from mechane.tests.hypervisors.qemu.pluggable import disk_file

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd02"
BUSES = (
    "<controller type='usb' model='qemu-xhci' ports='15'/><controller type='virtio-serial' index='0'/>"
    "<controller type='scsi' model='virtio-scsi'/>"
)


def idle(*devices: str, memory: str = "") -> str:
    text = idle_xml("guest", uuid=UUID).replace("    <controller type='usb' index='0' model='none'/>\n", "")
    text = text.replace("<vcpu>", memory + "<vcpu>") if memory else text
    return text.replace("</devices>", BUSES + "".join(devices) + "</devices>")


def run(folder: Path, xml: str, body) -> None:  # type: ignore[no-untyped-def]  # a coroutine of the guest
    folder.chmod(0o755)

    async def main() -> None:
        async with node(folder) as n:
            target, started, facts = await n.start(xml, uuid=UUID)
            await body(Linux(n, target, started.live_xml or "", facts))

    asyncio.run(asyncio.wait_for(main(), 50))


def channel(kind: str, source: str = "") -> str:
    return f"<channel type='{kind}'>{source}<target type='virtio' name='org.mechane.{kind}'/></channel>"


def every_backend(folder: Path) -> list[str]:
    """Return devices with a backend of each type."""
    return [
        channel("pty"),
        channel("null"),
        channel("unix"),
        channel("unix", f"<source mode='connect' path='{folder}/peer'/>"),
        channel("tcp", "<source mode='bind' host='127.0.0.1' service='0'/>"),
        channel("tcp", "<source mode='bind' host='127.0.0.1' service='0'/><protocol type='telnet'/>"),
        channel("udp", "<source mode='connect' host='127.0.0.1' service='9'/>"),
        channel("file", f"<source path='{folder}/out.log'/>"),
        "<redirdev bus='usb' type='tcp'><source mode='bind' host='127.0.0.1' service='0'/></redirdev>",
        "<serial type='pty'><target type='usb-serial' port='3'/></serial>",
        "<console type='pty'><target type='virtio' port='3'/></console>",
        "<input type='mouse' bus='usb'/>",
        "<hub type='usb'/>",
        "<controller type='ccid' index='0'/>",
        "<rng model='virtio'><backend model='builtin'/></rng>",
    ]


def test_backends_of_every_type(short_tmp: Path) -> None:
    log = short_tmp / "out.log"
    log.touch()
    log.chmod(0o666)
    peer = socket.socket(socket.AF_UNIX)
    peer.bind(str(short_tmp / "peer"))
    peer.listen()
    (short_tmp / "peer").chmod(0o777)
    devices = every_backend(short_tmp)

    async def body(guest: Linux) -> None:
        before, xml = await guest.resources(), guest.xml
        for device in devices[:-1]:
            await guest.attach(device)
            assert await guest.resources() != before, device
            await guest.detach(device)
            assert await guest.resources() == before, device
            assert guest.xml == xml, device
        for device in devices:
            if not device.startswith("<channel") or "pty" in device:
                await guest.attach(device)
        assert "/dev/pts/" in guest.xml.partition("org.mechane.pty")[0].rpartition("<channel")[2]

    try:
        run(short_tmp, idle(), body)
    finally:
        peer.close()


def test_live_fields(short_tmp: Path) -> None:
    path = disk_file(short_tmp, "a.img")
    disk = f"<disk type='file'><source file='{path}'/><target dev='sda' bus='scsi'/>{{}}</disk>"
    vnc = "<graphics type='vnc' passwd='{}' {}><listen type='address' address='127.0.0.1'/></graphics>"
    module = (
        "<memory model='virtio-mem'><target><size unit='MiB'>256</size><node>0</node><block unit='MiB'>2</block>"
        "<requested unit='MiB'>{}</requested></target></memory>"
    )
    room = (
        "<maxMemory slots='2' unit='GiB'>2</maxMemory>"
        "<cpu><numa><cell id='0' cpus='0' memory='32' unit='MiB'/></numa></cpu>"
    )

    async def body(guest: Linux) -> None:
        limits = "<iotune><total_bytes_sec>1048576</total_bytes_sec><read_iops_sec>100</read_iops_sec></iotune>"
        await guest.update(disk.format(limits))
        block = next(b for b in await guest.ask("query-block") if b["qdev"].endswith(("scsi0-0-0-0", "scsi0-0-0-0/")))
        assert (block["inserted"]["bps"], block["inserted"]["iops_rd"]) == (1048576, 100)
        await guest.update(disk.format(""))
        block = next(b for b in await guest.ask("query-block") if "scsi0-0-0-0" in b["qdev"])
        assert (block["inserted"]["bps"], block["inserted"]["iops_rd"]) == (0, 0)
        await guest.update(vnc.format("other", "passwdValidTo='2030-01-01T00:00:00'"))
        assert parse(guest.xml).devices.graphics[0].passwd == "other"
        with pytest.raises(OperationInvalid, match="@keymap"):
            await guest.update(vnc.format("other", "keymap='de'"))
        await guest.update(module.format(64))
        found = await guest.ask("qom-get", path="/machine/peripheral/virtiomem0", property="requested-size")
        assert found == 64 * 1024 * 1024
        with pytest.raises(OperationInvalid, match="serial"):
            await guest.update(disk.format("<serial>x</serial>"))
        with pytest.raises(InvalidArgument, match="iothread"):
            driver = "<driver name='qemu' iothread='7'/>"
            await guest.attach(disk.format(driver).replace("sda' bus='scsi", "vdb' bus='virtio"))

    run(short_tmp, idle(disk.format(""), vnc.format("secret", ""), module.format(0), memory=room), body)


def test_controllers_follow_and_stay(short_tmp: Path) -> None:
    path = disk_file(short_tmp, "a.img")
    disk_file(short_tmp, "b.img")
    disk = f"<disk type='file'><source file='{path}'/><target dev='sda' bus='scsi'/>{{}}</disk>"

    async def body(guest: Linux) -> None:
        await guest.attach(disk.format(""))
        with pytest.raises(OperationInvalid, match="scsi0-0-0-0 sits on"):
            await guest.detach("<controller type='scsi' index='0'/>")
        with pytest.raises(OperationInvalid, match="sits on"):
            await guest.attach("<input type='tablet' bus='usb'/>")
            await guest.detach("<controller type='usb' index='0'/>")
        other = disk.format("<address type='drive' controller='1' unit='3'/>").replace("sda", "sdb")
        await guest.attach(other.replace("a.img", "b.img"))
        assert len([c for c in parse(guest.xml).devices.controllers if c.type == "scsi"]) == 2

    run(short_tmp, idle(), body)


def test_a_medium_goes_in_also_when_the_guest_closes_the_tray_meanwhile(short_tmp: Path) -> None:
    first, second = disk_file(short_tmp, "a.img"), disk_file(short_tmp, "b.img")
    drive = (
        "<disk type='file' device='cdrom'><source file='{}'/><target dev='sdc' bus='scsi'/><readonly/></disk>"
    )

    async def body(guest: Linux) -> None:
        runner = guest.node.driver._hotplug._runner
        really, closes = runner.run, [1, 1]

        async def run_late(at: Any, monitor: Any, steps: Any) -> None:
            if closes and closes.pop():
                alias = parse(guest.xml).devices.disks[0].alias.name
                await monitor.execute("blockdev-close-tray", {"id": alias}, kind=CommandKind.CHANGE, deadline_s=5)
            await really(at, monitor, steps)

        runner.run = run_late  # type: ignore[assignment]  # the guest's part: its firmware looks for a disc
        await guest.update(drive.format(second))
        assert not closes and str(second) in guest.xml
        closes[:] = [1, 1, 1]
        with pytest.raises(MonitorError, match="not open"):
            await guest.update(drive.format(first))
        assert str(second) in guest.xml and not closes

    run(short_tmp, idle(drive.format(first)), body)
