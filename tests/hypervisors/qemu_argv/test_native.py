"""Domain XML to a command line for a shell: `mechane domxml-to-native qemu-argv FILE`."""

import json
import shlex
import subprocess

import pytest

from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.conversion import formats, to_native
from mechane.tests.guest.xml import idle_xml

DEVICES = (
    "<interface type='bridge'><source bridge='br0'/><model type='virtio'/><driver queues='2'/></interface>"
    "<interface type='user'/><graphics type='vnc' autoport='yes' passwd='sesame'/><vsock model='virtio'/>"
    "<disk type='file'><source file='/a b.img'/><target dev='vda' bus='virtio'/></disk>"
)


def words(devices: str = "", name: str = "guest") -> list[str]:
    """Return the words that a shell makes of it."""
    text = to_native("qemu-argv", idle_xml(name).replace("</devices>", f"{devices}</devices>"))
    return shlex.split(text.replace("\\\n", ""))


def test_the_format_is_offered_in_both_directions() -> None:
    assert "qemu-argv" in formats("to_native")
    assert "qemu-argv" in formats("from_native")


def test_what_the_node_would_open_is_named() -> None:
    found = words(DEVICES)
    taps = [json.loads(word) for word in found if word.startswith('{"type":"tap"')]
    scripts = {"script": "no", "downscript": "no"}
    assert taps == [{"type": "tap", "id": "hostnet0", "queues": 2, "ifname": "vnet0", **scripts}]
    assert not any("sesame" in word or '"fd"' in word or "vhostfd" in word for word in found)
    assert "-S" not in found
    assert any('"filename":"/a b.img"' in word for word in found)


def test_other_hypervisors_domains_are_refused() -> None:
    with pytest.raises(ConfigUnsupported, match="'xen'"):
        to_native("qemu-argv", idle_xml("x").replace("type='qemu'", "type='xen'"))


@pytest.mark.qemu
def test_qemu_takes_it() -> None:
    """Run as it is printed, stopped and quit over a monitor on standard input."""
    devices = "<interface type='user'/><rng model='virtio'><backend model='random'/></rng>"
    text = to_native("qemu-argv", idle_xml("one two").replace("</devices>", f"{devices}</devices>"))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{text.rstrip()} -S -monitor stdio"], input="quit\n", capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
