"""Devices, plans and views on the command line, with real QEMU guests behind a real node."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.protocol.cli import exits, sizes
from mechane.protocol.cli.main import main
from mechane.tests.guest.xml import idle_xml
from mechane.tests.protocol.cli.conftest import Cli
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.wait import wait_until

UUID = "0b5e5b6e-0c1d-4b1f-9d2e-0a3f6f6c1a11"
TABLET = "<input type='tablet' bus='usb'/>"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node with QEMU to all tests of the module."""
    with running_node(["qemu:///system"]) as node:
        node.folder.chmod(0o755)
        yield node


def disk(cli: Cli, name: str) -> Path:
    """Make a disk that QEMU's user may write."""
    path = cli.node.folder / name
    with path.open("wb") as file:
        file.truncate(MIB)
    path.chmod(0o666)
    return path


def written(cli: Cli, text: str, name: str = "x.xml") -> str:
    path = cli.folder / name
    path.write_text(text)
    return str(path)


def guest(*devices: str) -> str:
    extra = "<controller type='usb' model='qemu-xhci'/><controller type='scsi' model='virtio-scsi'/>"
    text = idle_xml("vm", uuid=UUID).replace("    <controller type='usb' index='0' model='none'/>\n", "")
    return text.replace("</devices>", extra + "".join(devices) + "</devices>")


@pytest.fixture
def vm(cli: Cli) -> Cli:
    """Give a running guest."""
    cli.ok("define", written(cli, guest()))
    cli.ok("start", "vm")
    return cli


@pytest.mark.qemu
def test_devices_from_files(vm: Cli) -> None:
    tablet = written(vm, TABLET)
    assert vm.ok("attach-device", "vm", tablet) == "Device attached successfully\n"
    assert TABLET[:28] in vm.ok("dumpxml", "vm")
    assert TABLET[:28] not in vm.ok("dumpxml", "vm", "--inactive")
    assert "type='usb' bus='0' port='1'" in vm.ok("dumpxml", "vm")
    vm.ok("detach-device", "vm", tablet, "--live")
    assert TABLET[:28] not in vm.ok("dumpxml", "vm")
    code, _, err = vm.run("detach-device", "vm", tablet)
    assert (code, "has no <input>" in err) == (exits.NOT_FOUND, True)
    vm.ok("attach-device", "vm", tablet, "--persistent")
    assert TABLET[:28] in vm.ok("dumpxml", "vm", "--inactive")
    alias = vm.ok("dumpxml", "vm").partition("input type='tablet'")[2].partition("alias name='")[2].partition("'")[0]
    assert "successfully" in vm.ok("detach-device-alias", "vm", alias)
    code, _, err = vm.run("attach-device", "vm", written(vm, "<tpm model='tpm-crb'><backend type='emulator'/></tpm>"))
    assert (code, "--config" in err) == (exits.FAILED, True)
    assert vm.run("attach-device", "vm", tablet, "--current", "--live")[0] == exits.FAILED


@pytest.mark.qemu
def test_disks_media_and_cables(vm: Cli) -> None:
    first, second = disk(vm, "a.img"), disk(vm, "b.img")
    vm.ok("attach-disk", "vm", str(first), "sdb", "--targetbus", "scsi", "--subdriver", "raw", "--persistent")
    assert vm.ok("dumpxml", "vm").count(str(first)) == vm.ok("dumpxml", "vm", "--inactive").count(str(first)) == 1
    assert "block.0.name" in vm.ok("domstats", "vm", "--block", "--raw")
    vm.ok("detach-disk", "vm", "sdb", "--persistent")
    assert str(first) not in vm.ok("dumpxml", "vm") + vm.ok("dumpxml", "vm", "--inactive")
    vm.ok("attach-disk", "vm", str(first), "sdc", "--targetbus", "scsi", "--type", "cdrom", "--mode", "readonly")
    assert "updated" in vm.ok("change-media", "vm", "sdc", str(second))
    assert str(second) in vm.ok("dumpxml", "vm")
    assert "ejected" in vm.ok("change-media", "vm", "sdc", "--eject")
    assert vm.run("change-media", "vm", "sdc", "--eject")[0] == exits.FAILED
    assert "inserted" in vm.ok("change-media", "vm", "sdc", str(first), "--insert")
    printed = vm.ok("attach-interface", "vm", "user", "--model", "virtio", "--mac", "52:54:00:00:00:07", "--print-xml")
    assert "<mac address='52:54:00:00:00:07'/>" in printed
    vm.ok("attach-interface", "vm", "user", "--model", "virtio", "--mac", "52:54:00:00:00:07", "--persistent")
    vm.ok("domif-setlink", "vm", "52:54:00:00:00:07", "down")
    assert "<link state='down'/>" in vm.ok("dumpxml", "vm")
    vm.ok("detach-interface", "vm", "user", "--config")
    assert "00:07" not in vm.ok("dumpxml", "vm", "--inactive")


@pytest.mark.qemu
def test_plan_and_apply(vm: Cli) -> None:
    path = disk(vm, "c.img")
    data = f"<disk type='file'><source file='{path}'/><target dev='sdd' bus='scsi'/></disk>"
    new = written(vm, guest(TABLET, data).replace("<vcpu>1<", "<title>new</title><vcpu>2<"))
    shown = vm.ok("plan", new)
    assert "live       + devices/disk[sdd]" in shown
    assert "next boot  ~ vcpu: 1 -> 2" in shown
    assert [item["when"] for item in vm.json("plan", new)["changes"]].count("live") == 3
    assert "sdd" not in vm.ok("dumpxml", "vm")
    applied = vm.ok("apply", new)
    assert "3 changes made in the running guest" in applied
    assert "next boot: /domain/vcpu 1 -> 2" in applied
    assert "sdd" in vm.ok("dumpxml", "vm")
    assert "nothing changes" in vm.ok("plan", new)
    assert "nothing changes" in vm.ok("apply", new)
    before = vm.ok("dumpxml", "vm"), vm.ok("dumpxml", "vm", "--inactive")
    broken = f"<disk type='file'><source file='{path}.missing'/><target dev='sde' bus='scsi'/></disk>"
    code, _, err = vm.run("apply", written(vm, guest(broken, "<input type='mouse' bus='usb'/>")))
    assert (code, "nothing is changed" in err) == (exits.FAILED, True)
    assert vm.ok("dumpxml", "vm", "--inactive") == before[1]
    assert sorted(vm.ok("dumpxml", "vm").split()) == sorted(before[0].split())


@pytest.mark.qemu
def test_replacing_a_device(vm: Cli) -> None:
    first, second = disk(vm, "d.img"), disk(vm, "e.img")
    data = "<disk type='file'><source file='{}'/><target dev='sdd' bus='scsi'/></disk>"
    vm.ok("apply", written(vm, guest(data.format(first))))
    new = written(vm, guest(data.format(second)), "new.xml")
    assert "re-create" in vm.ok("plan", new)
    assert "0 changes made" in vm.ok("apply", new)
    assert str(first) in vm.ok("dumpxml", "vm")
    vm.ok("apply", written(vm, guest(data.format(first))))
    assert "1 changes made" in vm.ok("apply", new, "--replace")
    assert str(second) in vm.ok("dumpxml", "vm")


@pytest.mark.qemu
def test_views_are_taken_and_given(cli: Cli) -> None:
    cli.ok("define", written(cli, guest(RNG)))
    for form in ("yaml", "json"):
        text = cli.ok("dumpxml", "vm", "--format", form)
        cli.ok("undefine", "vm")
        cli.ok("define", written(cli, text, f"x.{form}"))
        assert cli.ok("dumpxml", "vm", "--format", form) == text
    plain = json.loads(text)
    plain["domain"]["devices"]["rngs"][0]["modell"] = "x"
    code, _, err = cli.run("define", written(cli, json.dumps(plain), "y.json"))
    assert (code, "Did you mean model?" in err) == (exits.FAILED, True)


def test_definitions_are_checked_without_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(guest(RNG))
    bad.write_text(guest(RNG).replace("'virtio'><backend", "'warp'><backend"))
    assert main(["domxml-normalize", str(good)]) == exits.OK
    filled = capsys.readouterr().out
    assert "<on_poweroff>destroy</on_poweroff>" in filled
    assert main(["domxml-normalize", str(bad)]) == exits.FAILED
    assert "/domain/devices/rng/@model" in capsys.readouterr().err
    assert main(["domxml-normalize", str(tmp_path / "none")]) == exits.FAILED


@pytest.mark.qemu
def test_states_are_kept_where_the_driver_can(vm: Cli) -> None:
    shown = vm.run("snapshot-list", "vm")
    assert shown[0] == exits.OK or "not supported" in shown[2]
    code, _, err = vm.run("restore", "vm", "/nowhere/x")
    assert code == exits.FAILED, err


@pytest.mark.qemu
def test_what_was_plugged_outlives_the_node(vm: Cli) -> None:
    path = disk(vm, "f.img")
    owner = path.stat().st_uid
    vm.ok("attach-disk", "vm", str(path), "sdb", "--targetbus", "scsi")
    vm.node.kill()
    vm.node.start()
    assert str(path) in vm.ok("dumpxml", "vm")
    # a guest that is being taken up again has no values yet
    wait_until(lambda: str(path) in vm.ok("domstats", "vm", "--block", "--raw"), 20.0, "statistics of the disk")
    vm.ok("attach-device", "vm", written(vm, TABLET))
    vm.ok("detach-disk", "vm", "sdb")
    assert str(path) not in vm.ok("dumpxml", "vm")
    assert path.stat().st_uid == owner


@pytest.mark.qemu
def test_processors(cli: Cli) -> None:
    cli.ok("define", written(cli, guest().replace("<vcpu>1<", "<vcpu current='1'>3<")))
    cli.ok("start", "vm")
    assert cli.ok("setvcpus", "vm", "2") == "\n", "as quiet as virsh"
    assert cli.json("dominfo", "vm")["vcpus"] == 2
    assert "<vcpu placement='static' current='2'>3</vcpu>" in cli.ok("dumpxml", "vm")
    assert "current='1'" in cli.ok("dumpxml", "vm", "--inactive")
    cli.ok("setvcpus", "vm", "3", "--persistent")
    assert "<vcpu placement='static'>3</vcpu>" in cli.ok("dumpxml", "vm", "--inactive")
    for words in (("9",), ("0",), ("9", "--config"), ("4", "--maximum", "--live")):
        assert cli.run("setvcpus", "vm", *words)[0] == exits.FAILED
    cli.ok("setvcpus", "vm", "8", "--maximum", "--config")
    assert "<vcpu placement='static' current='3'>8</vcpu>" in cli.ok("dumpxml", "vm", "--inactive")
    cli.ok("destroy", "vm", "--grace", "0")
    cli.ok("setvcpus", "vm", "5")
    assert cli.json("dominfo", "vm")["vcpus"] == 5
    cli.node.kill()
    cli.node.start()
    assert cli.json("dominfo", "vm")["vcpus"] == 5


@pytest.mark.qemu
def test_memory(cli: Cli) -> None:
    cli.ok("define", written(cli, guest()))
    cli.ok("start", "vm")
    assert cli.ok("setmem", "vm", "24M") == "\n"
    assert cli.json("dominfo", "vm")["memory_kib"] == 24576
    assert "<currentMemory unit='KiB'>24576<" in cli.ok("dumpxml", "vm")
    assert "<currentMemory unit='KiB'>32768<" in cli.ok("dumpxml", "vm", "--inactive")
    for words in (("setmem", "vm", "1G"), ("setmem", "vm", "0"), ("setmaxmem", "vm", "64M", "--live")):
        assert cli.run(*words)[0] == exits.FAILED, words
    cli.ok("setmem", "vm", "20MiB", "--persistent")
    cli.ok("setmaxmem", "vm", "65536")
    stored = cli.ok("dumpxml", "vm", "--inactive")
    assert "<memory unit='KiB'>65536<" in stored and "<currentMemory unit='KiB'>20480<" in stored
    cli.ok("destroy", "vm", "--grace", "0")
    cli.ok("setmem", "vm", "40960")
    assert cli.json("dominfo", "vm")["memory_kib"] == 40960
    bare = guest().replace("<memballoon model='virtio'/>", "<memballoon model='none'/>")
    cli.ok("define", written(cli, bare))
    cli.ok("start", "vm")
    assert "no memory balloon" in cli.run("setmem", "vm", "16M")[2]


@pytest.mark.parametrize(("text", "kib"), [("1", 1), ("512M", 524288), ("2GiB", 2 << 20), ("1MB", 977), ("1b", 1)])
def test_sizes_are_read_as_virsh_reads_them(text: str, kib: int) -> None:
    assert sizes.kib(text) == kib


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "5 M", "1X", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        sizes.kib(text)


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_pending_removal_shows_until_it_happens(cli: Cli) -> None:
    cli.ok("define", written(cli, guest(RNG)))
    cli.ok("start", "vm")
    code, _, err = cli.run("detach-device", "vm", written(cli, RNG))
    assert (code, "pending" in err) == (exits.TOO_LATE, True)
    assert "<rng" in cli.ok("dumpxml", "vm")
    cli.ok("reset", "vm")
    wait_until(lambda: "<rng" not in cli.ok("dumpxml", "vm"), 20.0, "the device to be gone")
    assert "<rng" in cli.ok("dumpxml", "vm", "--inactive")
    cli.ok("attach-device", "vm", written(cli, RNG))
    assert "rng0" in cli.ok("dumpxml", "vm")
