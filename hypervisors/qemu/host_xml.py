"""`<capabilities>`: the host, and the guests that its emulators run (libvirt's formatcaps.html)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...config.xml.node import XmlNode
from ...config.xml.writer import to_text
from .capabilities import EmulatorCapabilities, MachineType
from .capabilities_xml import element, guest_arch
from .cpu.choosing import contained
from .cpu.host import HostCpu
from .cpu.models import ProcessorTable
from .cpu.names import shown_all, vendor_shown
from .host.topology import HostCache, HostCell, HostTopology

X86 = ("x86_64", "i686")
NO_MACHINE = "none"
"""A machine type of QEMU that is for questions only."""
WORD_BITS = {"i686": 32, "arm": 32, "armv7l": 32, "ppc": 32, "riscv32": 32, "mips": 32, "mipsel": 32, "sparc": 32}
"""Architectures whose words have not 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the document says of the host."""

    uuid: str
    arch: str
    iommu: bool
    cpu: HostCpu
    topology: HostTopology
    owner: tuple[int, int] | None = None
    """User and group that emulators run as, where the node changes them."""
    live_migration: bool = False


def capabilities_xml(
    host: HostFacts, table: ProcessorTable | None, guests: Sequence[tuple[EmulatorCapabilities, bool]]
) -> str:
    """Return the document.

    Args:
        host: the host.
        table: the models of its own emulator; None where that does not tell them.
        guests: emulators, and whether KVM can be used with each.
    """
    return to_text(
        element(
            "capabilities",
            element("host", *_host(host, table)),
            *(_guest(emulator, kvm=kvm) for emulator, kvm in guests),
        )
    )


def _host(host: HostFacts, table: ProcessorTable | None) -> Iterator[XmlNode]:
    topology = host.topology
    if host.uuid:
        yield element("uuid", text=host.uuid)
    yield element("cpu", *_cpu(host, table))
    yield element("power_management", *(element(name) for name in topology.sleeps))
    yield element("iommu", support="yes" if host.iommu else "no")
    if host.live_migration:
        transports = element("uri_transports", element("uri_transport", text="tcp"))
        yield element("migration_features", element("live"), transports)
    cells = [_cell(cell) for cell in topology.cells]
    yield element("topology", element("cells", *cells, num=str(len(cells))))
    if topology.caches:
        yield element("cache", *(_cache(cache) for cache in topology.caches))
    yield element("secmodel", element("model", text="none"), element("doi", text="0"))
    if host.owner is not None:
        label = "+{}:+{}".format(*host.owner)
        yield element(
            "secmodel", element("model", text="dac"), element("doi", text="0"),
            *(element("baselabel", text=label, type=kind) for kind in ("kvm", "qemu")),
        )  # fmt: skip


def _cpu(host: HostFacts, table: ProcessorTable | None) -> Iterator[XmlNode]:
    cpu = host.cpu
    yield element("arch", text=host.arch)
    features: list[str] = []
    if table is not None and cpu.flags:
        choice = contained(cpu.processor(table.known), table)
        features = shown_all(choice.require)
        yield element("model", text=choice.model.name)
        if vendor_shown(cpu.vendor) != "unknown":
            yield element("vendor", text=vendor_shown(cpu.vendor))
    if cpu.microcode.isdigit() and int(cpu.microcode):
        yield element("microcode", version=cpu.microcode)
    if cpu.signature is not None and cpu.signature[0]:
        family, model, stepping = (str(number) for number in cpu.signature)
        yield element("signature", family=family, model=model, stepping=stepping)
    counts = {name: str(count) for name, count in host.topology.counts.items()}
    yield element("topology", **counts)
    if cpu.address_bits:
        yield element("maxphysaddr", mode="emulate", bits=str(cpu.address_bits))
    for name in features:
        yield element("feature", name=name)
    for size in host.topology.page_sizes_kib:
        yield element("pages", unit="KiB", size=str(size))


def _cell(cell: HostCell) -> XmlNode:
    parts = [element("memory", unit="KiB", text=str(cell.memory_kib))]
    parts += [element("pages", unit="KiB", size=str(size), text=str(count)) for size, count in cell.pages]
    if cell.distances:
        siblings = (element("sibling", id=str(number), value=str(value)) for number, value in cell.distances)
        parts.append(element("distances", *siblings))
    threads = [
        element(
            "cpu", id=str(item.id), socket_id=str(item.socket), die_id=str(item.die), core_id=str(item.core),
            siblings=item.siblings,
        )
        for item in cell.threads
    ]  # fmt: skip
    parts.append(element("cpus", *threads, num=str(len(threads))))
    return element("cell", *parts, id=str(cell.id))


def _cache(cache: HostCache) -> XmlNode:
    size, unit = (cache.size_kib // 1024, "MiB") if cache.size_kib % 1024 == 0 else (cache.size_kib, "KiB")
    return element(
        "bank", id=str(cache.id), level=str(cache.level), type=cache.type, size=str(size), unit=unit, cpus=cache.cpus
    )


def _guest(emulator: EmulatorCapabilities, *, kvm: bool) -> XmlNode:
    arch = guest_arch(emulator)
    machines = [
        _machine(item, name)
        for item in emulator.machines
        for name in (item.name, item.alias)
        if name and item.name != NO_MACHINE
    ]
    domains = [element("domain", type="qemu")] + ([element("domain", type="kvm")] if kvm else [])
    return element(
        "guest",
        element("os_type", text="hvm"),
        element(
            "arch", element("wordsize", text=str(WORD_BITS.get(arch, 64))), element("emulator", text=emulator.key.path),
            *machines, *domains, name=arch,
        ),
        element("features", *_features(arch)),
    )  # fmt: skip


def _machine(item: MachineType, name: str) -> XmlNode:
    node = XmlNode("machine", text=name)
    if name == item.alias:
        node.attrs["canonical"] = item.name
    node.attrs["maxCpus"] = str(item.max_cpus)
    if item.deprecated:
        node.attrs["deprecated"] = "yes"
    return node


def _features(arch: str) -> Iterator[XmlNode]:
    """Yield what may be switched, and how it is by itself."""
    if arch == "i686":
        yield element("pae")
        yield element("nonpae")
    if arch in (*X86, "aarch64"):
        yield element("acpi", default="on", toggle="yes")
    if arch in X86:
        yield element("apic", default="on", toggle="no")
    yield element("cpuselection")
    yield element("deviceboot")
    yield element("disksnapshot", default="on", toggle="no")
