"""What the node makes on the host for a guest: ports of displays, TPMs, firmware, shared folders, secrets."""

import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported, StartFailed
from mechane.hypervisors.contract import Target
from mechane.hypervisors.qemu.host.ports import Ports, is_free
from mechane.hypervisors.qemu.procfs import processes, read_cmdline, read_stat
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import Facts, Node, node, run, until
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
OTHER = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd02"
VNC = "<graphics type='vnc' port='-1' autoport='yes' passwd='sesame'/>"
SPICE = "<graphics type='spice' autoport='yes' listen='127.0.0.1' passwd='opensesame'/>"
TPM = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
LUKS_TRIES = 5
"""qemu-img times its few iterations, and now and then it cannot ("Unable to get accurate CPU usage")."""


def with_devices(devices: str, name: str = "guest") -> str:
    """Return an idle guest with more devices."""
    return idle_xml(name, uuid=UUID).replace("</devices>", f"{devices}</devices>")


def helpers(folder: Path, program: str) -> list[int]:
    """Return running helpers whose command line names a folder."""
    found = []
    for pid in processes():
        words = read_cmdline(pid)
        if words and Path(words[0]).name == program and any(str(folder) in word for word in words):
            found.append(pid)
    return found


def test_a_port_is_given_once_and_given_back() -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen(1)
        port = used.getsockname()[1]
        assert not is_free(port)
        ports = Ports(port, port)
        with pytest.raises(StartFailed, match="every port for displays"):
            ports.pick("a")
    assert ports.pick("a") == port
    with pytest.raises(StartFailed):
        ports.pick("b")
    ports.release("a")
    assert ports.pick("b") == port


def test_displays_get_ports_of_the_range_and_no_password_in_arguments(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)  # QEMU reads the password in a folder below
    low = next(port for port in range(6100, 6900) if all(map(is_free, range(port, port + 4))))
    settings = {"display_port_min": low, "display_port_max": low + 3}

    async def body() -> None:
        async with node(short_tmp, settings=settings) as n:
            first, started, facts = await n.start(with_devices(VNC + SPICE), uuid=UUID)
            live = started.live_xml or ""
            assert f"port='{low}'" in live and f"port='{low + 1}'" in live
            words = " ".join(read_cmdline(started.pid or 0))
            assert "sesame" not in words
            for port, greeting in ((low, b"RFB 003.008\n"), (low + 1, b"")):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                    assert client.recv(12) == greeting if greeting else client
            _, other, _ = await n.start(
                idle_xml("two").replace("</devices>", f"{VNC}</devices>"), name="two"
            )  # fmt: skip
            assert f"port='{low + 2}'" in (other.live_xml or "")
            await n.destroy(first, facts)
            _, again, _ = await n.start(with_devices(VNC), uuid=UUID)
            assert f"port='{low}'" in (again.live_xml or "")

    run(body())


async def tpm_guest(n: Node) -> tuple[Target, int, Facts]:
    """Start a guest with a TPM; return its target, its emulator and its facts."""
    target, _, facts = await n.start(with_devices(TPM), uuid=UUID)
    (pid,) = helpers(n.env.runtime_dir / UUID, "swtpm")
    return target, pid, facts


def test_a_tpm_has_an_emulator_of_its_own_that_ends_with_the_guest(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, pid, facts = await tpm_guest(n)
            if os.geteuid() == 0:
                assert Path(f"/proc/{pid}").stat().st_uid == n.driver._shop.identity.uid != 0
            state = n.env.state_dir / "tpm" / UUID
            assert list(state.iterdir())
            (recorded,) = n.handles[UUID][-1]["host"]["helpers"]
            assert recorded[:2] == ["tpm0.swtpm", pid]
            await n.destroy(target, facts)
            assert read_stat(pid) is None
            assert state.exists()
            await n.driver.undefine(target)
            assert state.exists() and await n.driver.kept_state(target) == ["tpm"], "nobody said that it shall go"
            await n.driver.forget_state(target, ["tpm"])
            assert not state.exists()

    run(body())


def test_a_restarted_node_ends_the_tpm_with_its_guest(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            target, pid, _ = await tpm_guest(n)
            handle = n.handles[UUID][-1]
            await n.driver.close()
            async with node(short_tmp) as again:
                facts = Facts()
                assert await again.driver.reattach(target, handle, facts) is not None
                guest = again.driver._endings.guests[UUID]
                assert guest.host.helpers is not None
                assert [item.process.pid for item in guest.host.helpers.running] == [pid]
                os.kill(pid, signal.SIGSTOP)  # it cannot end by itself when QEMU is gone
                await again.destroy(target, facts)
                await until(lambda: (stat := read_stat(pid)) is None or stat.ended)

    run(body())


def test_a_stray_tpm_is_swept(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            folder = n.env.runtime_dir / UUID
            folder.mkdir()
            state = short_tmp / "tpm"
            state.mkdir()
            stray = await asyncio.create_subprocess_exec(
                "/usr/bin/swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
                "--ctrl", f"type=unixio,path={folder}/c.sock",
            )  # fmt: skip
            await until(lambda: (folder / "c.sock").exists())
            assert await n.driver.sweep({}) == [UUID]
            assert await asyncio.wait_for(stray.wait(), 5) == -9
            assert not folder.exists()

    run(body())


def test_a_guest_uses_its_tpm(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, machine="q35", devices=TPM)
            assert await guest.run("cat /sys/class/tpm/tpm0/tpm_version_major") == "2"
            assert len(await guest.run("cat /sys/class/tpm/tpm0/pcr-sha256/0")) == 64

    run(body())


def test_a_missing_secret_is_named(short_tmp: Path) -> None:
    disk = (
        f"<disk type='file'><driver name='qemu' type='raw'/><source file='{short_tmp}/d.img'>"
        "<encryption format='luks'><secret type='passphrase' usage='disk/one'/></encryption></source>"
        "<target dev='vda' bus='virtio'/></disk>"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(StartFailed, match="disk/one") as failed:
                await n.start(with_devices(disk), uuid=UUID)
            path = n.env.state_dir / "secrets" / "disk_one"
            assert str(path) in failed.value.remedy
            path.parent.mkdir()
            path.write_bytes(b"sesame")
            with pytest.raises(StartFailed, match="others may read"):
                await n.start(with_devices(disk), uuid=UUID)
            path.chmod(0o600)
            for tries_left in reversed(range(LUKS_TRIES)):
                made = await asyncio.create_subprocess_exec(
                    "qemu-img", "create", "-q", "-f", "luks", "--object", f"secret,id=s,file={path}",
                    "-o", "key-secret=s,iter-time=10", f"{short_tmp}/d.img", "1M",
                )  # fmt: skip
                if await asyncio.wait_for(made.wait(), 60) == 0:
                    break
                assert tries_left
            short_tmp.chmod(0o755)
            _, started, _ = await n.start(with_devices(disk), uuid=UUID)
            assert "sesame" not in " ".join(read_cmdline(started.pid or 0))

    run(body())


@pytest.mark.root
def test_a_guest_mounts_a_shared_folder(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    shared = short_tmp / "shared"
    shared.mkdir()
    (shared / "hello").write_text("from the host\n")
    devices = (
        f"<filesystem type='mount'><driver type='virtiofs'/><source dir='{shared}'/><target dir='tag'/></filesystem>"
    )
    memory = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"

    async def body() -> None:
        async with node(short_tmp) as n:
            guest = await Linux.boot(n, guest_image, machine="q35", devices=devices, edit=("<os>", f"{memory}<os>"))
            (_, pid, _), = n.handles[guest.target.uuid][-1]["host"]["helpers"]
            assert Path(f"/proc/{pid}/exe").readlink().name == "virtiofsd"
            assert await guest.run("mount -t virtiofs tag /tmp && cat /tmp/hello") == "from the host"
            await n.destroy(guest.target, guest.facts)
            await until(lambda: read_stat(pid) is None)

    run(body())


def test_another_program_is_not_run_as_virtiofsd(short_tmp: Path) -> None:
    devices = (
        "<filesystem type='mount'><driver type='virtiofs'/><binary path='/bin/sh'/><source dir='/tmp'/>"
        "<target dir='tag'/></filesystem>"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="/bin/sh"):
                await n.start(with_devices(devices), uuid=UUID)
            assert n.guest_folders() == []

    run(body())


def test_swtpm_is_there() -> None:
    assert shutil.which("swtpm"), "install the package swtpm"


def test_optional_media_may_be_missing(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)

    def disk(device: str, policy: str, target: str) -> str:
        return (
            f"<disk type='file' device='{device}'><driver name='qemu' type='raw'/>"
            f"<source file='{short_tmp}/none.img' startupPolicy='{policy}'/><target dev='{target}' bus='sata'/></disk>"
        )

    async def body() -> None:
        async with node(short_tmp) as n:
            machine = with_devices(disk("cdrom", "optional", "sda") + disk("disk", "optional", "sdb"))
            machine = machine.replace("machine='pc'", "machine='q35'").replace('machine="pc"', 'machine="q35"')
            _, started, _ = await n.start(machine, uuid=UUID)
            live = started.live_xml or ""
            assert "dev='sda'" in live and "dev='sdb'" not in live and "none.img" not in live
            for policy in ("mandatory", "requisite"):
                strict = machine.replace("optional", policy)
                with pytest.raises(StartFailed, match="No such file"):
                    await n.start(strict.replace(UUID, OTHER), uuid=OTHER)

    run(body())
