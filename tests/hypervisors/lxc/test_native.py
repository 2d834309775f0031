"""LXC configurations and domain XML: what stands for what, both ways."""

from pathlib import Path

import pytest

from mechane.config.domain import parse
from mechane.config.errors import ConfigUnsupported, MechaneError
from mechane.hypervisors.lxc.config import LxcConfig, size
from mechane.hypervisors.lxc.from_native import ranges
from mechane.hypervisors.lxc.native import from_native, to_native
from mechane.hypervisors.lxc.signals import halt_signal, init_of, signal_lines
from mechane.hypervisors.lxc.to_native import lost, shares_host_network
from mechane.tests.support.paths import ROOT

SAMPLES = ROOT.parent / "shared/conformance"
BASE = "lxc.uts.name = box\nlxc.rootfs.path = /srv/box\n"
XML = """<domain type='lxc'><name>box</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
<memory unit='MiB'>256</memory><os><type arch='x86_64'>exe</type><init>/sbin/init</init>{os}</os>{parts}
<devices><filesystem type='mount'><source dir='/srv/box'/><target dir='/'/></filesystem>{devices}</devices></domain>"""


def settings(*, os: str = "", parts: str = "", devices: str = "") -> LxcConfig:
    """Return what a definition becomes."""
    return LxcConfig.parse(to_native(XML.format(os=os, parts=parts, devices=devices)))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples at ../shared/conformance")
@pytest.mark.parametrize("folder", ["lxcxml2xmldata", "lxcconf2xmldata"])
def test_every_sample_comes_through_both_ways(folder: str) -> None:
    """What one conversion wrote, the other reads, and writes the same again."""
    for path in sorted((SAMPLES / folder).glob("*.xml")):
        once = from_native(to_native(path.read_text()))
        assert from_native(to_native(once)) == once, path.name
        given, made = parse(path.read_text()), parse(once)
        assert [nic.mac.address for nic in made.devices.interfaces] == [n.mac.address for n in given.devices.interfaces]
        assert [fs.target.dir for fs in made.devices.filesystems] == [fs.target.dir for fs in given.devices.filesystems]
        assert made.os.init == given.os.init
        assert made.idmap == given.idmap


def test_keys_of_lxc_2_and_of_today_say_the_same() -> None:
    old = ("lxc.utsname = box\nlxc.rootfs = /srv/box\nlxc.tty = 2\nlxc.id_map = u 0 1000 10\nlxc.network.type = veth\n"
           "lxc.network.link = br0\nlxc.network.ipv4 = 10.0.0.2/24\nlxc.network.ipv4.gateway = 10.0.0.1\n")  # fmt: skip
    new = ("lxc.uts.name = box\nlxc.rootfs.path = dir:/srv/box\nlxc.tty.max = 2\nlxc.idmap = u 0 1000 10\n"
           "lxc.net.3.type = veth\nlxc.net.3.link = br0\nlxc.net.3.ipv4.address = 10.0.0.2/24\n"
           "lxc.net.3.ipv4.gateway = 10.0.0.1\n")  # fmt: skip
    assert from_native(old) == from_native(new)


@pytest.mark.parametrize(
    ("network", "private"), [("", True), ("lxc.net.0.type = empty\n", True), ("lxc.net.0.type = none\n", False)]
)
def test_no_network_is_private_and_none_is_the_hosts(network: str, private: bool) -> None:
    model = parse(from_native(BASE + network))
    assert model.features.privnet is private
    assert shares_host_network(model) is not private
    again = LxcConfig.parse(to_native(model))
    assert [net.type for net in again.networks] == ["empty" if private else "none"]


def test_limits_are_written_for_both_versions_of_control_groups() -> None:
    config = settings(
        parts="<memtune><soft_limit unit='MiB'>128</soft_limit>"
        "<swap_hard_limit unit='MiB'>512</swap_hard_limit></memtune>"
        "<cputune><shares>2048</shares><period>50000</period><quota>25000</quota></cputune>"
        "<blkiotune><weight>200</weight><device><path>/dev/block/8:0</path><read_bytes_sec>1000</read_bytes_sec>"
        "</device></blkiotune>"
    )
    assert config.get("lxc.cgroup.memory.limit_in_bytes") == config.get("lxc.cgroup2.memory.max") == str(256 << 20)
    assert config.get("lxc.cgroup.memory.memsw.limit_in_bytes") == str(512 << 20)
    assert config.get("lxc.cgroup2.memory.swap.max") == str(256 << 20)  # without memory, unlike version 1
    assert config.get("lxc.cgroup.cpu.shares") == "2048"
    assert config.get("lxc.cgroup2.cpu.weight") == "200"
    assert config.get("lxc.cgroup2.cpu.max") == "25000 50000"
    assert config.get("lxc.cgroup.blkio.throttle.read_bps_device") == "8:0 1000"
    assert config.get("lxc.cgroup2.io.max") == "8:0 rbps=1000"


def test_limits_of_version_2_alone_are_read() -> None:
    limits = "lxc.cgroup2.memory.max = 1G\nlxc.cgroup2.memory.swap.max = 1G\n"
    processors = "lxc.cgroup2.cpu.max = 20000 100000\nlxc.cgroup2.cpuset.cpus = 0,1,4\n"
    model = parse(from_native(BASE + limits + processors))
    assert model.memory.kib == 1 << 20
    assert model.memtune is not None
    assert model.memtune.swap_hard_limit == 2 << 20
    assert model.cputune is not None
    assert (model.cputune.quota, model.cputune.period) == (20000, 100000)
    assert model.vcpu.cpuset == "0-1,4"


def test_capabilities_are_dropped_or_kept() -> None:
    drop = settings(parts="<features><capabilities policy='allow'><mknod state='off'/></capabilities></features>")
    assert drop.get("lxc.cap.drop") == "mknod"
    keep = settings(parts="<features><capabilities policy='deny'><chown state='on'/></capabilities></features>")
    assert keep.get("lxc.cap.keep") == "chown"
    assert settings(parts="<features><capabilities policy='deny'/></features>").get("lxc.cap.keep") == "none"


def test_words_with_blanks_survive() -> None:
    config = settings(
        os="<initarg>two words</initarg><initenv name='A'>b c</initenv>",
        devices="<filesystem type='mount'><source dir='/a b'/><target dir='/c d'/></filesystem>",
    )
    assert config.get("lxc.init.cmd") == "/sbin/init 'two words'"
    assert config.get("lxc.environment") == "A=b c"
    assert config.get("lxc.mount.entry").startswith("/a\\040b c\\040d none ")
    text = to_native(XML.format(os="<initarg>two words</initarg>", parts="", devices=""))
    assert parse(from_native(text)).os.initargs == ["two words"]


def test_an_empty_value_clears_what_was_said_before() -> None:
    model = parse(from_native(BASE + "lxc.cap.drop = mknod\nlxc.cap.drop =\nlxc.cap.drop = chown\n"))
    assert model.features.capabilities is not None
    assert model.features.capabilities.mknod is None
    assert model.features.capabilities.chown is not None


def test_included_files_are_read_where_they_can_be() -> None:
    files = {"/a": "lxc.include = /b\n", "/b": "lxc.tty.max = 3\n"}
    assert len(parse(from_native(BASE + "lxc.include = /a\n", load=files.__getitem__)).devices.consoles) == 3
    assert not parse(from_native(BASE + "lxc.include = /a\n")).devices.consoles
    with pytest.raises(ConfigUnsupported, match="without end"):
        from_native(BASE + "lxc.include = /a\n", load=lambda _: "lxc.include = /a\n")


@pytest.mark.parametrize(
    "text",
    [
        "lxc.uts.name = box\n",
        "lxc.rootfs.path = /srv/box\n",
        BASE + "lxc.mount = /etc/fstab.box\n",
        BASE + "nonsense\n",
        BASE + "lxc.idmap = u 0\n",
        BASE + "lxc.cgroup.memory.limit_in_bytes = lots\n",
        BASE + "lxc.net.0.type = phys\n",
        BASE + "lxc.net.0.type = warp\n",
        BASE + "lxc.mount.entry = /a\n",
        BASE + "lxc.cgroup.cpuset.cpus = 0-99999999999\n",
        BASE + "lxc.cgroup.cpuset.cpus = 5-1\n",
        BASE + "lxc.init.cmd = 'unbalanced\n",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(MechaneError):
        from_native(text)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("64", 64), ("512M", 512 << 20), ("1g", 1 << 30), ("2K", 2048), ("3 MB", 3 << 20)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert size(text, "x") == bytes_


@pytest.mark.parametrize(("text", "shown"), [("1,2,5-7", "1-2,5-7"), ("0", "0"), ("3,1,2", "1-3"), ("", "")])
def test_lists_of_processors_are_written_as_ranges(text: str, shown: str) -> None:
    assert ranges(text) == shown


def test_what_lxc_cannot_express_is_named() -> None:
    devices = (
        "<interface type='network'><source network='default'/></interface>"
        "<filesystem type='file'><source file='/x.img'/><target dir='/mnt'/></filesystem>"
        "<hostdev mode='capabilities' type='misc'><source><char>/dev/tty0</char></source></hostdev>"
    )
    found = list(lost(parse(XML.format(os="<inituser>alice</inituser>", parts="", devices=devices))))
    assert [line.partition(":")[0] for line in found] == [
        "/domain/devices/filesystem[2]", "/domain/devices/interface[1]", "/domain/devices/hostdev[1]",
        "/domain/os/inituser",
    ]  # fmt: skip


def test_signals_follow_the_init(tmp_path: Path) -> None:
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/init").symlink_to("../bin/busybox")
    assert init_of(tmp_path, "/sbin/init") == "busybox"
    lines = signal_lines(str(tmp_path), "/sbin/init")
    assert lines[0] == "lxc.signal.halt = SIGUSR2\n"
    assert halt_signal(LxcConfig.parse(lines[0])) == 12
    (tmp_path / "sbin/init").unlink()
    (tmp_path / "sbin/init").symlink_to("/lib/systemd/systemd")
    assert "lxc.signal.halt = SIGRTMIN+3\n" in signal_lines(str(tmp_path), "/sbin/init")
    assert halt_signal(LxcConfig.parse("lxc.signal.halt = SIGRTMIN+3")) == 37
    assert signal_lines(str(tmp_path), "/bin/other") == []
    (tmp_path / "loop").symlink_to("loop")
    assert init_of(tmp_path, "/loop") == "loop"
