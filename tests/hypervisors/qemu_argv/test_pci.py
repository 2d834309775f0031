"""PCI addresses: where libvirt puts them, and what is refused."""

import pytest

from mechane.config.domain.address import PciAddress
from mechane.config.domain.domain import Domain
from mechane.config.errors import ConfigUnsupported
from mechane.hypervisors.qemu.argv.plan.pci_buses import Buses, PlaceRefused, Plug, Slot
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.definitions import FakeEmulator, definition

DEVICE = Plug.PCI | Plug.AUTO
EXPRESS = Plug.PCIE | Plug.AUTO


def places(domain: Domain) -> dict[str, str]:
    """Return the PCI address of each named device."""
    found = {}
    for item in plan_devices(domain, FakeEmulator(), live=True).devices.every():
        if isinstance(item.address, PciAddress):
            address = item.address
            found[item.alias.name or ""] = f"{address.bus}:{address.slot:x}.{address.function}"
    return found


def models(domain: Domain) -> list[str | None]:
    """Return the models of the PCI controllers."""
    planned = plan_devices(domain, FakeEmulator())
    return [item.model for item in planned.devices.controllers if item.type == "pci"]


def test_slots_are_taken_once() -> None:
    buses = Buses(["pci-root"], growing=False)
    buses.take(Slot(0, 3), DEVICE)
    with pytest.raises(PlaceRefused, match="another device"):
        buses.take(Slot(0, 3), DEVICE)
    with pytest.raises(PlaceRefused, match="slots"):
        buses.take(Slot(0, 0), DEVICE)
    with pytest.raises(PlaceRefused, match="no PCI bus"):
        buses.take(Slot(7, 1), DEVICE)


def test_root_ports_share_a_slot() -> None:
    buses = Buses(["pcie-root"], growing=False)
    port = Plug.ROOT_PORT | Plug.SHARED
    assert [buses.take_next(port) for _ in range(9)][7:] == [Slot(0, 1, 7), Slot(0, 2, 0)]


def test_growing_adds_the_right_controller() -> None:
    buses = Buses(["pcie-root"], growing=True)
    assert buses.take_next(EXPRESS) == Slot(1, 0)
    assert buses.take_next(DEVICE) == Slot(3, 1)
    assert [bus.model for bus in buses.all] == ["pcie-root", "pcie-root-port", "pcie-root-port", "pcie-to-pci-bridge"]


def test_express_device_keeps_off_the_root() -> None:
    buses = Buses(["pcie-root"], growing=False)
    with pytest.raises(PlaceRefused):
        buses.take_next(EXPRESS)
    buses.take(Slot(0, 5), EXPRESS)  # asked for: allowed


def test_pc_order() -> None:
    """Video at slot 2, then cards, controllers, disks: the order of libvirt."""
    domain = definition(
        "<disk type='file'><source file='/d'/><target dev='vda'/></disk><interface type='user'/>"
        "<controller type='scsi' model='virtio-scsi'/><rng model='virtio'><backend model='random'/></rng>"
        "<graphics type='vnc'/>"
    )
    assert places(domain) == {
        "usb": "0:1.2", "video0": "0:2.0", "net0": "0:3.0", "scsi0": "0:4.0", "virtio-disk0": "0:5.0", "rng0": "0:6.0",
    }  # fmt: skip


def test_q35_gets_a_port_for_each_device_and_one_more() -> None:
    domain = definition(
        "<disk type='file'><source file='/d'/><target dev='vda'/></disk><interface type='user'><model type='virtio'/>"
        "</interface>",
        machine="q35",
    )
    assert models(domain) == ["pcie-root"] + ["pcie-root-port"] * 4
    assert places(domain)["virtio-disk0"] == "3:0.0"
    assert places(domain)["ide"] == "0:1f.2"


def test_conventional_card_on_q35_gets_a_bridge() -> None:
    domain = definition("<interface type='user'><model type='rtl8139'/></interface>", machine="q35")
    assert models(domain) == ["pcie-root", "pcie-root-port", "pcie-to-pci-bridge", "pcie-root-port", "pcie-root-port"]
    assert places(domain)["net0"] == "2:1.0"


def test_many_devices_on_pc_get_a_bridge() -> None:
    cards = "<interface type='user'/>" * 40
    assert models(definition(cards)) == ["pci-root", "pci-bridge"]


def test_thirty_express_devices() -> None:
    disks = "".join(
        f"<disk type='file'><source file='/{n}'/><target dev='vd{chr(97 + n)}'/></disk>" for n in range(16)
    )
    assert len(set(places(definition(disks, machine="q35")).values())) == 16 + 18 + 2


def test_usb2_companions_share_a_slot() -> None:
    controllers = "".join(
        f"<controller type='usb' index='0' model='ich9-{name}'>{master}</controller>"
        for name, master in (
            ("ehci1", ""), ("uhci1", "<master startport='0'/>"), ("uhci2", "<master startport='2'/>"),
            ("uhci3", "<master startport='4'/>"),
        )
    )  # fmt: skip
    planned = plan_devices(definition(controllers, machine="q35"), FakeEmulator())
    found = [c.address for c in planned.devices.controllers if c.type == "usb"]
    assert [(a.slot, a.function) for a in found if isinstance(a, PciAddress)] == [(29, 7), (29, 0), (29, 1), (29, 2)]


@pytest.mark.parametrize(
    ("devices", "path"),
    [
        ("<interface type='user'><address type='pci' bus='0' slot='9' function='0'/></interface>" * 2,
         "/domain/devices/interface[2]/address"),
        ("<interface type='user'><address type='pci' bus='5' slot='1' function='0'/></interface>", None),
        ("<interface type='user'><address type='pci' domain='1' bus='0' slot='9' function='0'/></interface>",
         "/domain/devices/interface/address/@domain"),
        ("<controller type='ide' index='0'><address type='pci' bus='0' slot='9' function='0'/></controller>",
         "/domain/devices/controller[1]/address"),
        ("<controller type='pci' index='0' model='pcie-root'/>", "/domain/devices/controller/@model"),
    ],
)  # fmt: skip
def test_wrong_addresses(devices: str, path: str | None) -> None:
    """Each is refused with its path; a bus that is not there is added where it can be."""
    if path is None:
        plan_devices(definition(devices), FakeEmulator())
        return
    with pytest.raises(ConfigUnsupported) as caught:
        plan_devices(definition(devices), FakeEmulator())
    assert caught.value.details["path"] == path
