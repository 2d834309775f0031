"""What a domain consists of, on the command line: a real QEMU guest behind a real node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mechane.config.xml.reader import read
from mechane.protocol.cli import exits
from mechane.protocol.cli.parts import display_uri
from mechane.tests.guest.xml import idle_xml
from mechane.tests.protocol.cli.conftest import Cli
from mechane.tests.support.node import NodeProcess, running_node

MAC = "52:54:00:12:34:56"


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give a node with QEMU to all tests of the module."""
    with running_node(["qemu:///system"]) as node:
        node.folder.chmod(0o755)
        yield node


@pytest.fixture
def image(cli: Cli) -> Path:
    """Define a guest with a disk, an empty drive, an interface, a display and a console; give its image."""
    image = cli.node.folder / "parts.img"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    image.chmod(0o666)
    devices = f"""
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/>
        <target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
      <interface type='user'><mac address='{MAC}'/><model type='virtio'/></interface>
      <serial type='pty'/><graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>"""
    text = idle_xml("parts").replace("</devices>", devices + "</devices>").replace(
        "<vcpu>1</vcpu>", "<vcpu current='1'>2</vcpu>"
    )  # fmt: skip
    path = cli.folder / "parts.xml"
    path.write_text(text)
    cli.ok("define", str(path))
    return image


@pytest.mark.qemu
def test_disks_and_interfaces(cli: Cli, image: Path) -> None:
    assert [line.split() for line in cli.ok("domblklist", "parts").splitlines()[2:]] == [
        ["vda", str(image)], ["hda", "-"]
    ]  # fmt: skip
    assert cli.json("domblklist", "parts", "--details")[1] == {
        "type": "file", "device": "cdrom", "target": "hda", "source": None
    }  # fmt: skip
    assert cli.ok("domiflist", "parts").splitlines()[2].split() == ["-", "user", "-", "virtio", MAC]


@pytest.mark.qemu
def test_a_running_guest_has_displays_terminals_and_numbers(cli: Cli, image: Path) -> None:
    for verb in ("domdisplay", "vncdisplay", "ttyconsole"):
        assert cli.run(verb, "parts")[0] == exits.NOT_FOUND
    cli.ok("start", "parts")
    shown = cli.ok("vncdisplay", "parts").strip()
    assert cli.ok("domdisplay", "parts").strip() == f"vnc://127.0.0.1:{shown.rpartition(':')[2]}"
    assert cli.ok("ttyconsole", "parts").startswith("/dev/pts/")
    assert cli.json("vcpucount", "parts") == {
        "maximum": {"config": 2, "live": 2}, "current": {"config": 1, "live": 1}
    }  # fmt: skip
    assert "current 32768" in cli.ok("dommemstat", "parts")
    reads = cli.json("domblkstat", "parts", "vda")
    assert reads.keys() == {"vda"} and "rd.reqs" in reads["vda"]
    assert "vda rd.reqs" in cli.ok("domblkstat", "parts")
    code, _, error = cli.run("domblkstat", "parts", "vdz")
    assert code == exits.NOT_FOUND and "vda" in error
    assert cli.run("domifstat", "parts")[0] == 0


@pytest.mark.parametrize(
    ("xml", "uri"),
    [
        ("<graphics type='vnc' port='5901' listen='::1'/>", "vnc://[::1]:1"),
        ("<graphics type='vnc' port='5900'><listen type='address' address='192.0.2.7'/></graphics>",
         "vnc://192.0.2.7:0"),
        ("<graphics type='spice' port='5902' listen='2001:db8::1'/>", "spice://[2001:db8::1]:5902"),
        ("<graphics type='spice' port='-1' tlsPort='5903'/>", "spice://localhost?tls-port=5903"),
        ("<graphics type='vnc' socket='/run/x.sock'/>", "vnc+unix:///run/x.sock"),
        ("<graphics type='vnc' port='-1'/>", None),
    ],
)  # fmt: skip
def test_where_a_display_is_reached(xml: str, uri: str | None) -> None:
    assert display_uri(read(xml)) == uri
