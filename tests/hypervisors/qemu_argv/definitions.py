"""Small definitions to build command lines from, and short ways to look at the result."""

import json
from typing import Any

from mechane.config.domain.document import parse
from mechane.config.domain.domain import Domain
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.argv.records import CommandLine, Resources

UUID = "1ccfd97d-5eb4-478a-bbe6-88d254c16db7"
KVM_TYPES = (
    "qemu-xhci", "nec-usb-xhci", "ich9-usb-ehci1", "ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3",
    "piix3-usb-uhci", "pcie-root-port", "pcie-pci-bridge", "pci-bridge", "virtio-blk-pci", "virtio-net-pci",
    "virtio-balloon-pci", "virtio-scsi-pci", "virtio-serial-pci", "virtio-rng-pci", "rng-random", "rtl8139", "e1000",
    "isa-serial", "usb-hub", "usb-tablet", "usb-mouse", "usb-kbd", "usb-storage", "cirrus-vga", "VGA", "qxl-vga",
    "virtio-vga", "ide-hd", "ide-cd", "scsi-hd", "scsi-cd", "scsi-block", "floppy", "isa-fdc", "lsi53c895a",
    "virtserialport", "virtconsole", "secret", "memory-backend-ram", "memory-backend-file", "memory-backend-memfd",
    "iothread", "i6300esb",
    "pvpanic", "qemu64-x86_64-cpu", "Haswell-x86_64-cpu", "chardev-spicevmc", "pc-dimm", "ich9-intel-hda",
    "intel-hda", "hda-duplex", "vhost-vsock-pci", "e1000e", "vmgenid", "tpm-tis", "intel-iommu", "virtio-9p-pci",
    "nvme", "ich9-ahci",
)  # fmt: skip


class FakeEmulator:
    """The part of a probed emulator that command lines are built from: QEMU 7.2 with a fixed set of types."""

    version = (7, 2, 0)

    def __init__(self, *, without: tuple[str, ...] = ()) -> None:
        self.types = set(KVM_TYPES) - set(without)

    def has_type(self, name: str) -> bool:
        """Tell whether the type is there."""
        return name in self.types

    def canonical_machine(self, name: str) -> str | None:
        """Resolve the two aliases; versioned names are their own."""
        table = {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
        return table.get(name, name if name in (*table.values(), "pc-i440fx-6.2") else None)

    def default_cpu(self, machine: str) -> str | None:
        """Return what both machines have."""
        return "qemu64"

    def max_cpus(self, machine: str) -> int | None:
        """Return what QEMU 7.2 says of both."""
        return 288 if "q35" in machine else 255


def definition(devices: str = "", *, machine: str = "pc", kind: str = "qemu", above: str = "") -> Domain:
    """Return a definition with these devices; the balloon is left out so that addresses are easy to count."""
    return parse(
        f"<domain type='{kind}'><name>t</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory>"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>{above}"
        f"<devices><memballoon model='none'/>{devices}</devices></domain>"
    )


def resources(**given: Any) -> Resources:
    """Return resources of a start: a folder, and what is given."""
    return Resources(guest_dir="/g", nvram_dir="/n", **given)


def command(domain: Domain, *, without: tuple[str, ...] = (), **given: Any) -> CommandLine:
    """Build a definition."""
    return build(domain, FakeEmulator(without=without), resources(**given))


def values(line: CommandLine, option: str) -> list[str]:
    """Return the values of all occurrences of an option."""
    return [line.argv[place + 1] for place, word in enumerate(line.argv) if word == option]


def maps(line: CommandLine, option: str) -> list[dict[str, Any]]:
    """Return the JSON values of all occurrences of an option."""
    return [json.loads(value) for value in values(line, option)]


def device(line: CommandLine, driver: str) -> dict[str, Any]:
    """Return the only device of a driver."""
    (found,) = [item for item in maps(line, "-device") if item["driver"] == driver]
    return found
