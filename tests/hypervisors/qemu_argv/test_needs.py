"""What a definition needs of the node before it can be built."""

import pytest

from mechane.hypervisors.qemu.argv.needs import Needs, Tap, needs
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.definitions import FakeEmulator, definition


def of(devices: str, above: str = "") -> Needs:
    """Return the needs of a planned definition."""
    return needs(plan_devices(definition(devices, above=above), FakeEmulator(), live=True))


def test_nothing() -> None:
    assert of("<interface type='user'/><graphics type='vnc' port='5901'/>") == Needs()


def test_taps() -> None:
    found = of("<interface type='bridge'><source bridge='br0'/><model type='virtio'/><driver queues='2'/></interface>")
    assert found.taps == (Tap(alias="net0", kind="bridge", source="br0", device=None, queues=2, vhost=True),)


@pytest.mark.parametrize(
    ("graphics", "ports"),
    [
        ("<graphics type='spice' autoport='yes'/>", ("graphics0.tcp",)),
        ("<graphics type='spice' port='5900'/>", ()),
        ("<graphics type='vnc' autoport='yes'/>", ("graphics0.tcp",)),
        ("<graphics type='vnc' port='-1'/>", ("graphics0.tcp",)),
        ("<graphics type='vnc' socket='/s'/>", ()),
        ("<graphics type='spice'><listen type='socket'/></graphics>", ()),
        ("<graphics type='spice' port='5900' tlsPort='-1'/>", ("graphics0.tls",)),
    ],
)
def test_ports(graphics: str, ports: tuple[str, ...]) -> None:
    assert of(graphics).ports == ports


def test_secrets_and_helpers() -> None:
    found = of(
        "<disk type='file'><source file='/d'><encryption format='luks'><secret type='passphrase' usage='u'/>"
        "</encryption></source><target dev='vda'/></disk><tpm model='tpm-tis'><backend type='emulator'/></tpm>"
        "<graphics type='vnc' passwd='x'/><vsock model='virtio'/>",
        above="<genid/>",
    )
    assert found.secrets == ("graphics0.password", "u")
    assert found.helpers == ("tpm0.swtpm",)
    assert found.vsock
