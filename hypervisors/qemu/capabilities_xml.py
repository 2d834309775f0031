"""`<domainCapabilities>`, made from the same facts as the map beside it.

Format: libvirt's formatdomaincaps.html. Enumerations list what this driver builds and the emulator has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...config.xml.node import XmlNode
from ...config.xml.writer import to_text
from .capabilities import EmulatorCapabilities, MachineType
from .cpu.models import ProcessorTable
from .cpu.offering import cpu_element, cpu_facts

DISK_BUSES = (
    ("fdc", "floppy"), ("ide", "ide-hd"), ("scsi", "scsi-hd"), ("virtio", "virtio-blk-pci"), ("usb", "usb-storage"),
    ("sata", "ahci"),
)  # fmt: skip
DISK_MODELS = (
    ("virtio", "virtio-blk-pci"), ("virtio-transitional", "virtio-blk-pci-transitional"),
    ("virtio-non-transitional", "virtio-blk-pci-non-transitional"),
)  # fmt: skip
VIDEO_MODELS = (
    ("vga", "VGA"), ("cirrus", "cirrus-vga"), ("vmvga", "vmware-svga"), ("qxl", "qxl-vga"), ("virtio", "virtio-vga"),
    ("bochs", "bochs-display"), ("ramfb", "ramfb"),
)  # fmt: skip
RNG_MODELS = (
    ("virtio", "virtio-rng-pci"), ("virtio-transitional", "virtio-rng-pci-transitional"),
    ("virtio-non-transitional", "virtio-rng-pci-non-transitional"),
)  # fmt: skip
RNG_BACKENDS = (("random", "rng-random"), ("egd", "rng-egd"), ("builtin", "rng-builtin"))
TPM_MODELS = (("tpm-tis", "tpm-tis"), ("tpm-crb", "tpm-crb"), ("tpm-spapr", "tpm-spapr"))
TPM_BACKENDS = (("emulator", "tpm-emulator"), ("passthrough", "tpm-passthrough"))
GRAPHICS = (("sdl", "chardev-gtk"), ("vnc", ""), ("spice", "chardev-spicevmc"), ("egl-headless", "egl-headless"))
FILESYSTEMS = (("path", "virtio-9p-pci"), ("virtiofs", "vhost-user-fs-pci"))


def element(tag: str, *children: XmlNode, text: str = "", **attributes: str) -> XmlNode:
    """Return an element; trailing underscores of attribute names are dropped."""
    node = XmlNode(tag, {name.rstrip("_"): value for name, value in attributes.items()}, text)
    for child in children:
        node.append(child)
    return node


def guest_arch(emulator: EmulatorCapabilities) -> str:
    """Return libvirt's name of the emulator's architecture."""
    return {"i386": "i686"}.get(emulator.arch, emulator.arch)


def having(emulator: EmulatorCapabilities, table: Iterable[tuple[str, str]]) -> list[str]:
    """Return libvirt's words whose type the emulator has ('' is always there)."""
    return [word for word, kind in table if not kind or emulator.has_type(kind)]


def domain_facts(
    emulator: EmulatorCapabilities, machine: MachineType, virttype: str, table: ProcessorTable | None
) -> dict[str, Any]:
    """Return what a domain may ask for, as a map; the XML is made of the same.

    `table` is None where the emulator does not tell what its processor models are made of.
    """
    return {
        "emulator": emulator.key.path,
        "domain": virttype,
        "machine": machine.name,
        "arch": guest_arch(emulator),
        "vcpus": machine.max_cpus,
        "version": ".".join(str(number) for number in emulator.version),
        "devices": {
            "disk": {
                "diskDevice": ["disk", "cdrom", "floppy", "lun"],
                "bus": having(emulator, DISK_BUSES),
                "model": having(emulator, DISK_MODELS),
            },
            "graphics": {"type": having(emulator, GRAPHICS)},
            "video": {"modelType": [*having(emulator, VIDEO_MODELS), "none"]},
            "rng": {"model": having(emulator, RNG_MODELS), "backendModel": having(emulator, RNG_BACKENDS)},
            "filesystem": {"driverType": having(emulator, FILESYSTEMS)},
            "tpm": {"model": having(emulator, TPM_MODELS), "backendModel": having(emulator, TPM_BACKENDS)},
        },
        "cpu": cpu_facts(virttype, table),
    }


def domain_xml(facts: Mapping[str, Any]) -> str:
    """Return `<domainCapabilities>` of the facts."""
    devices = [
        element(kind, *(_enum(name, values) for name, values in enums.items()), supported="yes")
        for kind, enums in facts["devices"].items()
        if any(enums.values())
    ]
    return to_text(
        element(
            "domainCapabilities",
            element("path", text=facts["emulator"]),
            element("domain", text=facts["domain"]),
            element("machine", text=facts["machine"]),
            element("arch", text=facts["arch"]),
            element("vcpu", max=str(facts["vcpus"])),
            cpu_element(facts["cpu"]),
            element("devices", *devices),
        )
    )


def _enum(name: str, values: Sequence[str]) -> XmlNode:
    return element("enum", *(element("value", text=value) for value in values), name=name)
