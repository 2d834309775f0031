"""`<domainCapabilities>`, made from the same facts as the map beside it.

Format: libvirt's formatdomaincaps.html. Enumerations list what this driver builds and the emulator has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
GRAPHICS = (("vnc", ""), ("spice", "chardev-spicevmc"))
DISPLAYS = ("sdl", "egl-headless", "dbus")
"""Kinds of graphics that are displays on the host."""
MEMORY_SOURCES = (("file", "memory-backend-file"), ("anonymous", ""), ("memfd", "memory-backend-memfd"))
HOST_DEVICES = (("usb", "usb-host"), ("pci", "vfio-pci"), ("scsi", "scsi-generic"))
CHANNELS = (("pty", ""), ("unix", ""), ("spicevmc", "chardev-spicevmc"), ("qemu-vdagent", "chardev-qemu-vdagent"))
FEATURES = (("vmcoreinfo", "vmcoreinfo"), ("genid", "vmgenid"), ("backingStoreInput", ""))
HYPERV = ("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset", "vendor_id", "frequencies",
          "reenlightenment", "tlbflush", "ipi", "evmcs", "avic")  # fmt: skip
"""What Windows may be told with KVM (docs/system/i386/hyperv.rst of QEMU); without it, the two that change nothing."""
HYPERV_TCG = ("spinlocks", "vendor_id")
X86 = ("x86_64", "i386")
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
    emulator: EmulatorCapabilities, machine: MachineType, virttype: str, table: ProcessorTable | None,
    firmware: Mapping[str, Any], *, vfio: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return what a domain may ask for, as a map; the XML is made of the same.

    Args:
        emulator: the probed emulator.
        machine: the machine type.
        virttype: kvm or qemu.
        table: its processors; None where the emulator does not tell what its models are made of.
        firmware: what firmware_offering.py says.
        vfio: whether the host hands PCI devices on.
    """
    return {
        "emulator": emulator.key.path,
        "domain": virttype,
        "machine": machine.name,
        "arch": guest_arch(emulator),
        "vcpus": machine.max_cpus,
        "version": ".".join(str(number) for number in emulator.version),
        "iothreads": emulator.has_type("iothread"),
        "os": firmware,
        "cpu": cpu_facts(virttype, table),
        "memoryBacking": {"sourceType": having(emulator, MEMORY_SOURCES)},
        "devices": _device_facts(emulator, machine, vfio=vfio),
        "features": {name: bool(having(emulator, [(name, kind)])) for name, kind in FEATURES},
        "hyperv": [] if emulator.arch not in X86 else [*(HYPERV if virttype == "kvm" else HYPERV_TCG)],
    }


def _device_facts(emulator: EmulatorCapabilities, machine: MachineType, *, vfio: bool) -> dict[str, dict[str, Any]]:
    """Return the enumerations of devices, in the order of the schema."""
    no_ide = ("ide",) if "q35" in machine.name or emulator.arch not in X86 else ()
    tpms = having(emulator, TPM_BACKENDS)
    external = ["external"] if "emulator" in tpms else []
    return {
        "disk": {
            "diskDevice": ["disk", "cdrom", "floppy", "lun"],
            "bus": [bus for bus in having(emulator, DISK_BUSES) if bus not in no_ide],
            "model": having(emulator, DISK_MODELS),
        },
        "graphics": {
            "type": [*having(emulator, GRAPHICS), *(kind for kind in DISPLAYS if kind in emulator.displays)]
        },
        "video": {"modelType": [*having(emulator, VIDEO_MODELS), "none"]},
        "hostdev": {
            "mode": ["subsystem"],
            "startupPolicy": ["default", "mandatory", "requisite", "optional"],
            "subsysType": having(emulator, HOST_DEVICES),
            "capsType": [],
            "pciBackend": ["vfio"] if vfio else [],
        },
        "rng": {"model": having(emulator, RNG_MODELS), "backendModel": having(emulator, RNG_BACKENDS)},
        "filesystem": {"driverType": having(emulator, FILESYSTEMS)},
        "tpm": {
            "model": having(emulator, TPM_MODELS), "backendModel": [*tpms, *external],
            "backendVersion": ["1.2", "2.0"] if external else [],
        },
        "redirdev": {"bus": having(emulator, [("usb", "usb-redir")])},
        "channel": {"type": having(emulator, CHANNELS)},
    }  # fmt: skip


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
            element("iothreads", supported=_yes(facts["iothreads"])),
            _os(facts["os"]),
            cpu_element(facts["cpu"]),
            element(
                "memoryBacking", *(_enum(name, values) for name, values in facts["memoryBacking"].items()),
                supported="yes",
            ),
            element("devices", *devices),
            element("features", *_features(facts)),
        )
    )  # fmt: skip


def _os(facts: Mapping[str, Any]) -> XmlNode:
    loaders = (element("value", text=path) for path in facts["loaders"])
    enums = (_enum(name, facts[name]) for name in ("type", "readonly", "secure"))
    return element(
        "os", _enum("firmware", facts["firmware"]), element("loader", *loaders, *enums, supported="yes"),
        supported="yes",
    )  # fmt: skip


def _features(facts: Mapping[str, Any]) -> Iterator[XmlNode]:
    """Yield what is there; protected guests and backups are not built yet."""
    yield element("gic", supported="no")
    for name, there in facts["features"].items():
        yield element(name, supported=_yes(there))
    for name in ("backup", "sev", "sgx"):
        yield element(name, supported="no")
    if facts["hyperv"]:
        yield element("hyperv", _enum("features", facts["hyperv"]), supported="yes")


def _yes(there: bool) -> str:
    return "yes" if there else "no"


def _enum(name: str, values: Sequence[str]) -> XmlNode:
    return element("enum", *(element("value", text=value) for value in values), name=name)
