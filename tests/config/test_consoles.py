"""Consoles beside serial ports: as libvirt 9.0 writes the same definitions back."""

import pytest

from mechane.config.domain.completion import complete
from mechane.config.domain.document import format, parse
from mechane.config.domain.validation import validate
from mechane.hypervisors.conversion import fill_in

HEAD = (
    "<domain type='qemu'><name>u</name><uuid>11111111-1111-4111-8111-111111111111</uuid><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
)
SERIAL = "<serial type='pty'/>"
PCI = "<serial type='pty'><target type='pci-serial'/></serial>"
VIRTIO = "<console type='pty'><target type='virtio'/></console>"


def consoles(devices: str) -> list[tuple[str | None, int | None]]:
    domain = complete(parse(f"{HEAD}{devices}</devices></domain>"))
    validate(domain)
    return [(item.target.type, item.target.port) for item in domain.devices.consoles]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (SERIAL + VIRTIO, [("serial", 0), ("virtio", 0)]), (VIRTIO + SERIAL, [("serial", 0), ("virtio", 0)]),
        (SERIAL + VIRTIO + VIRTIO, [("serial", 0), ("virtio", 0), ("virtio", 1)]), (VIRTIO, [("virtio", 0)]),
        ("<console type='pty'/>" + VIRTIO, [("serial", 0), ("virtio", 1)]), (PCI + VIRTIO, [("virtio", 0)]),
        (PCI, []),
    ],
)  # fmt: skip
def test_the_serial_port_is_the_first_console(devices: str, expected: list[tuple[str, int]]) -> None:
    assert consoles(devices) == expected


def test_what_was_written_is_read_back_the_same() -> None:
    once = format(complete(parse(f"{HEAD}{SERIAL}{VIRTIO}</devices></domain>")))
    assert format(complete(parse(once))) == once


def test_a_console_that_repeats_the_place_of_a_pci_serial_port_is_taken() -> None:
    """libvirt's own dumpxml writes it so."""
    place = "<address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>"
    devices = (
        f"<serial type='pty'><target type='pci-serial' port='0'/>{place}</serial>"
        f"<console type='pty'><target type='serial' port='0'/>{place}</console>"
    )
    filled = parse(fill_in(f"{HEAD}{devices}</devices></domain>"))
    assert filled.devices.serials[0].address is not None
    assert all(item.address is None for item in filled.devices.consoles)
