"""Statistics, consoles, live XML and monitor commands of real guests."""

import os
import socket
from pathlib import Path

import pytest

from mechane.config.errors import InvalidArgument, MonitorError, OperationInvalid, StartFailed
from mechane.config.xml.reader import read
from mechane.hypervisors.facts import Exited, GuestEvent
from mechane.hypervisors.qemu.folder import OWN
from mechane.hypervisors.qemu.power import parse_command
from mechane.hypervisors.qemu.profile import ConsoleDevice, NetDevice, Profile
from mechane.hypervisors.qemu.stats import block_group
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import node, run, until

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
ALL = frozenset({"cpu", "balloon", "vcpu", "block", "interface"})
MIB = 1024 * 1024


def xml_with(devices: str) -> str:
    return idle_xml("guest", uuid=UUID).replace("</devices>", devices + "</devices>")


def disk_file(folder: Path) -> Path:
    """Make a disk that QEMU's user can reach."""
    folder.chmod(0o755)
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(MIB)
    return disk


def test_all_groups_in_libvirts_words(short_tmp: Path) -> None:
    disk = disk_file(short_tmp)
    xml = xml_with(
        f"<disk type='file'><driver name='qemu' type='raw'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
        "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, _ = await n.start(xml, uuid=UUID)
            stats = await n.driver.stats(target, ALL, deadline_s=5)
            assert stats["cpu.time"] == stats["cpu.user"] + stats["cpu.system"] > 0
            assert stats["balloon.current"] == stats["balloon.maximum"] == 32 * 1024
            assert stats["balloon.rss"] > 0
            assert (stats["vcpu.current"], stats["vcpu.maximum"], stats["vcpu.0.state"]) == (1, 1, 1)
            assert stats["block.count"] == 1
            assert (stats["block.0.name"], stats["block.0.path"]) == ("vda", str(disk))
            assert stats["block.0.capacity"] == stats["block.0.physical"] == MIB
            assert {f"block.0.{name}" for name in ("rd.reqs", "rd.bytes", "wr.bytes", "fl.times")} <= stats.keys()
            assert stats["net.count"] == 1
            assert "net.0.rx.bytes" not in stats  # user networking counts nothing: no invented zeros
            only = await n.driver.stats(target, frozenset({"cpu"}), deadline_s=5)
            assert set(only) == {"cpu.time", "cpu.user", "cpu.system"}

    run(body())


@pytest.mark.root
def test_a_disk_changes_hands_and_comes_back(short_tmp: Path) -> None:
    disk = disk_file(short_tmp)
    xml = xml_with(
        f"<disk type='file'><driver name='qemu' type='raw'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
    )
    os.chown(disk, 12345, 12345)
    disk.chmod(0o600)

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(xml, uuid=UUID)
            assert disk.stat().st_uid == n.driver._shop.identity.uid
            assert started.handle["owners"] == [[str(disk), 12345, 12345]]
            await n.destroy(target, facts)
            assert disk.stat().st_uid == 12345

    run(body())


def test_a_pty_console_is_found_and_opened(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, _ = await n.start(xml_with("<serial type='pty'/>"), uuid=UUID)
            serial = next(node for node in read(started.live_xml or "").iter() if node.tag == "serial")
            path = next(node for node in serial.children if node.tag == "source").attrs["path"]
            assert path.startswith("/dev/pts/")
            channel = await n.driver.open_console(target, None)
            assert channel.device == "serial0"
            assert os.get_blocking(channel.fd) is False
            assert os.ttyname(channel.fd) == path
            assert os.write(channel.fd, b"x") == 1
            channel.close()
            for name in ("serial0", "console0"):
                (await n.driver.open_console(target, name)).close()
            with pytest.raises(InvalidArgument) as none:
                await n.driver.open_console(target, "serial9")
            assert none.value.details["allowed"] == ["serial0"]

    run(body())


def test_a_socket_console_is_connected(short_tmp: Path) -> None:
    short_tmp.chmod(0o777)
    path = short_tmp / ("d" * 60) / ("e" * 60)
    path.mkdir(parents=True)
    path.parent.chmod(0o777)
    path.chmod(0o777)
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(path, os.O_PATH)
    listener.bind(f"/proc/self/fd/{here}/port")
    os.close(here)
    listener.listen(1)

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, _ = await n.start()
            guest = n.driver._endings.guests[target.uuid]
            link = path / "link"
            link.symlink_to(path / "port")
            guest.profile = Profile(
                consoles=(
                    ConsoleDevice(alias="serial0", kind="unix", path=str(path / "port"), role="serial"),
                    ConsoleDevice(alias="serial1", kind="unix", path=str(link), role="serial"),
                )
            )
            channel = await n.driver.open_console(target, None)
            accepted, _ = listener.accept()
            accepted.send(b"login:")
            assert os.read(channel.fd, 100) == b"login:"
            accepted.close()
            channel.close()
            with pytest.raises(Exception, match="no socket"):
                await n.driver.open_console(target, "serial1")

    run(body())
    listener.close()


def test_the_node_opens_sockets_and_files_of_character_devices(short_tmp: Path) -> None:
    """They work in folders that QEMU's user could not enter, and sockets go with the guest."""
    closed = short_tmp / "closed"
    closed.mkdir(mode=0o700)
    port, output, log = closed / "port", closed / "output", closed / "log"
    output.write_text("old")
    log.write_text("old ")
    xml = xml_with(
        f"<serial type='unix'><source mode='bind' path='{port}'/><log file='{log}' append='on'/></serial>"
        f"<serial type='file'><source path='{output}'/></serial>"
        "<serial type='unix'/>"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start(xml, uuid=UUID)
            for name in ("serial0", "serial2"):
                channel = await n.driver.open_console(target, name)
                assert os.write(channel.fd, b"x") == 1
                channel.close()
            assert (output.read_text(), log.read_text()) == ("", "old ")
            assert (n.env.runtime_dir / UUID / OWN / "serial2.sock").is_socket()
            await n.destroy(target, facts)
            assert not port.exists()

    run(body())


def test_a_socket_that_cannot_be_made_is_named(short_tmp: Path) -> None:
    xml = xml_with("<serial type='unix'><source mode='bind' path='/no/such/folder/port'/></serial>")

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(StartFailed, match="/no/such/folder"):
                await n.start(xml, uuid=UUID)
            assert n.guest_folders() == []

    run(body())


def test_a_guest_without_console_says_so(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, _ = await n.start()
            with pytest.raises(OperationInvalid, match="no console"):
                await n.driver.open_console(target, None)

    run(body())


def test_the_live_xml_knows_the_ports_of_displays(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            xml = xml_with("<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>")
            _, started, _ = await n.start(xml, uuid=UUID)
            graphics = next(node for node in read(started.live_xml or "").iter() if node.tag == "graphics")
            assert int(graphics.attrs["port"]) >= 5900

    run(body())


def test_monitor_commands_of_both_kinds(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, _ = await n.start()
            drive = n.driver.monitor_command
            assert (await drive(target, '{"execute":"query-name"}', hmp=False, deadline_s=5))["name"] == "guest"
            assert "running" in await drive(target, "info status", hmp=True, deadline_s=5)
            with pytest.raises(MonitorError, match="CommandNotFound|has not been found"):
                await drive(target, '{"execute":"nope"}', hmp=False, deadline_s=5)
            with pytest.raises(MonitorError, match="unknown command"):
                await drive(target, "nope", hmp=True, deadline_s=5)
            with pytest.raises(MonitorError):
                await drive(target, "device_del nobody", hmp=True, deadline_s=5)

    run(body())


@pytest.mark.parametrize(
    "text", ["", "[]", '"query-status"', "{}", '{"execute": 1}', '{"execute": "a", "arguments": []}',
             '{"execute": "a", "control": {}}', "{" * 50],
)  # fmt: skip
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_command(text)


@pytest.mark.parametrize(
    "text",
    ("[" * 100_000, '{"execute": "stop", "arguments": {"a": ' + "[" * 2000 + "]" * 2000 + "}}",
     '{"execute": "stop", "arguments": {"a": NaN}}', '{"execute": "stop", "arguments": {"a": -Infinity}}',
     '{"execute": "stop", "arguments": {"a": 1e999}}', '{"execute": "stop", "arguments": {"\\ud800": 1}}',
     '{"execute": "\\udfff"}'),
)  # fmt: skip
def test_what_qemus_reader_stumbles_over_is_never_sent(text: str) -> None:
    """QEMU answers such a line with several errors and no id: the commands after it would get those."""
    with pytest.raises(InvalidArgument) as refused:
        parse_command(text)
    assert refused.value.details["path"] == "params.command"


def test_text_beyond_the_basic_plane_is_taken() -> None:
    assert parse_command('{"execute": "x", "arguments": {"a": "\\ud83d\\ude00"}}') == ("x", {"a": "\U0001f600"})


def test_a_guest_resets_and_says_reboot(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start()
            await n.driver.reset(target)
            (event,) = await until(lambda: facts.of(GuestEvent))
            assert (event.kind, event.event) == ("reboot", "reboot")

    run(body())


def test_a_guest_that_shall_not_reboot_ends_instead(short_tmp: Path) -> None:
    xml = idle_xml("guest", uuid=UUID).replace("<on_reboot>restart<", "<on_reboot>destroy<")

    async def body() -> None:
        async with node(short_tmp) as n:
            target, _, facts = await n.start(xml, uuid=UUID)
            await n.driver.reset(target)
            (exited,) = await until(lambda: facts.of(Exited))
            assert exited.reason == "shutdown"
            await n.driver.finished(target)

    run(body())


def test_a_profile_survives_its_handle() -> None:
    profile = Profile(balloon="balloon0", nics=(NetDevice(alias="net0", name="tap0"),))
    assert Profile.from_map(profile.to_map()) == profile
    assert block_group((), {}) == {"block.count": 0}
