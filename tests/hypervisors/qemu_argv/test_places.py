"""Places that are no PCI addresses: drives, USB ports, virtio-serial ports, aliases."""

import pytest

from mechane.config.domain.address import DriveAddress, UsbAddress, VirtioSerialAddress
from mechane.config.domain.domain import Domain
from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.qemu.argv.plan.drives import name_index
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.definitions import FakeEmulator, definition


def planned(devices: str, machine: str = "pc") -> Domain:
    """Plan these devices, with aliases."""
    return plan_devices(definition(devices, machine=machine), FakeEmulator(), live=True)


def disk(dev: str, bus: str, kind: str = "disk", more: str = "") -> str:
    """Return a disk."""
    return f"<disk type='file' device='{kind}'><source file='/{dev}'/><target dev='{dev}' bus='{bus}'/>{more}</disk>"


@pytest.mark.parametrize(("name", "number"), [("vda", 0), ("sdz", 25), ("sdaa", 26), ("hdb1", 1), ("vd", None)])
def test_names(name: str, number: int | None) -> None:
    assert name_index(name) == number


@pytest.mark.parametrize(
    ("dev", "bus", "machine", "place"),
    [
        ("hdd", "ide", "pc", (0, 1, 0, 1)),
        ("sdg", "sata", "q35", (1, 0, 0, 0)),
        ("sdh", "scsi", "pc", (1, 0, 0, 0)),
        ("sdp", "scsi", "pc", (2, 0, 0, 1)),
    ],
)
def test_drive_addresses(dev: str, bus: str, machine: str, place: tuple[int, ...]) -> None:
    address = planned(disk(dev, bus), machine).devices.disks[0].address
    assert isinstance(address, DriveAddress)
    assert (address.controller, address.bus, address.target, address.unit) == place


def test_controllers_follow_the_disks() -> None:
    controllers = planned(disk("sdh", "scsi")).devices.controllers
    assert [(c.index, c.model) for c in controllers if c.type == "scsi"] == [(0, "lsilogic"), (1, "lsilogic")]


def test_disks_of_a_bus_are_sorted() -> None:
    disks = planned(disk("vdb", "virtio") + disk("hda", "ide") + disk("vda", "virtio")).devices.disks
    assert [item.target.dev for item in disks] == ["vda", "vdb", "hda"]


def test_aliases_of_disks() -> None:
    disks = planned(disk("vdc", "virtio") + disk("hdc", "ide") + disk("sda", "scsi") + disk("sdb", "usb")).devices.disks
    assert [item.alias.name for item in disks] == ["virtio-disk2", "ide0-1-0", "scsi0-0-0", "usb-disk1"]


def test_user_aliases_stay() -> None:
    domain = planned("<interface type='user'><alias name='ua-x'/></interface><interface type='user'/>")
    items = domain.devices.interfaces
    assert [item.alias.name for item in items] == ["ua-x", "net0"]


@pytest.mark.parametrize(
    ("devices", "path"),
    [
        (disk("hda", "ide") * 2, "/domain/devices/disk[2]/target/@dev"),
        (disk("hda", "ide") + disk("hdb", "ide", more="<address type='drive' controller='0' bus='0' unit='0'/>"),
         "/domain/devices/disk[1]/address"),
        (disk("vda1", "virtio"), "/domain/devices/disk/target/@dev"),
    ],
)  # fmt: skip
def test_clashing_disks(devices: str, path: str) -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        planned(devices)
    assert caught.value.details["path"] == path


def usb_ports(devices: str) -> list[tuple[int | None, str | None]]:
    """Return bus and port of each input device."""
    items = planned(devices).devices.inputs
    return [(item.address.bus, item.address.port) for item in items if isinstance(item.address, UsbAddress)]


def test_usb_ports() -> None:
    assert usb_ports("<input type='tablet' bus='usb'/>" * 2) == [(0, "1"), (0, "2")]


def test_usb_hub_is_added_when_ports_run_out() -> None:
    assert usb_ports("<input type='tablet' bus='usb'/>" * 4) == [(0, "2"), (0, "1.1"), (0, "1.2"), (0, "1.3")]


@pytest.mark.parametrize(
    "devices",
    [
        "<input type='tablet' bus='usb'><address type='usb' bus='0' port='9'/></input>",
        "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1.1'/></input>",
        "<input type='tablet' bus='usb'><address type='usb' bus='4' port='1'/></input>",
        "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>" * 2,
        "<controller type='usb' model='none'/><input type='tablet' bus='usb'/>",
    ],
)
def test_wrong_usb_places(devices: str) -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        planned(devices)
    assert caught.value.details["path"].startswith("/domain/devices/input")


def test_virtio_serial_ports() -> None:
    """Port 0 is a console's; channels begin at 1."""
    domain = planned(
        "<serial type='pty'/><console type='pty'><target type='serial'/></console>"
        "<console type='pty'><target type='virtio'/></console>"
        "<channel type='unix'><target type='virtio' name='a'/></channel>"
    )
    items = [domain.devices.consoles[1], domain.devices.channels[0]]
    assert [i.address.port for i in items if isinstance(i.address, VirtioSerialAddress)] == [0, 1]


def test_console_is_the_first_serial_port() -> None:
    domain = planned("<console type='pty'/>")
    assert [item.target.type for item in domain.devices.serials] == ["isa-serial"]
    assert domain.devices.consoles[0].alias.name == "serial0"
