"""What libvirt refuses of a QEMU guest's machine: processors, memory, threads, actions, firmware.

Source of the rules: what libvirt 9.0 answers to such definitions (observed).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ....config.domain.domain import Domain
from ....config.xml.convert import bitmap_to_set
from .records import Emulator
from .refusal import refuse

APIC_IDS = 255
"""Processors that interrupts reach without an IOMMU's extended mode (xAPIC has 8 bits)."""
DIRTY_RING = (1024, 65536)
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DATE = re.compile(r"(0[1-9]|1[0-2])/(0[1-9]|[12][0-9]|3[01])/[0-9]{2}([0-9]{2})?")


def check_machine_rules(domain: Domain, emulator: Emulator) -> None:
    """Look through a planned definition.

    Raises:
        ConfigUnsupported: the path names what breaks which rule.
    """
    _check_processors(domain, emulator)
    for check in _CHECKS:
        check(domain)


def _check_processors(domain: Domain, emulator: Emulator) -> None:
    count = domain.vcpu.maximum or 1
    most = emulator.max_cpus(domain.os.type.machine or "")
    if most is not None and count > most:
        raise refuse(domain, domain, "vcpu", f"{count} processors, and the machine type has {most} at most")
    iommu = domain.devices.iommu
    if count > APIC_IDS and (iommu is None or not iommu.driver.eim):
        raise refuse(domain, domain, "vcpu", f"more than {APIC_IDS} processors need an IOMMU with eim='on'")
    if iommu is not None and iommu.driver.intremap:
        ioapic = domain.features.ioapic
        if ioapic is None or ioapic.driver != "qemu":
            raise refuse(domain, iommu, "driver/@intremap", "needs <ioapic driver='qemu'/> in <features>")


def _check_memory(domain: Domain) -> None:
    limit = domain.max_memory
    if limit is not None and not (limit.slots and limit.kib):
        raise refuse(domain, limit, "@slots", "the most memory, and the number of slots, must both be given")
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = len(numa.cells) if numa is not None else 0
    for item in domain.devices.memories:
        node = item.target.node
        if item.model not in ("dimm", "nvdimm", "virtio-mem"):
            continue
        if node is None and cells:
            raise refuse(domain, item, "target/node", "the NUMA cell that gets the module must be named")
        if node is not None and node >= max(cells, 1):
            raise refuse(domain, item, "target/node", f"the guest has {cells} NUMA cells, and none {node}")
        if item.model == "virtio-mem" and not item.target.block:
            raise refuse(domain, item, "target/block", "the size of a block is missing")
    if domain.memtune is not None and domain.memtune.min_guarantee:
        raise refuse(domain, domain.memtune, "min_guarantee", "QEMU guarantees no memory")
    _check_pages(domain, cells)


def _check_pages(domain: Domain, cells: int) -> None:
    backing = domain.memory_backing
    if backing is None or backing.hugepages is None:
        return
    if backing.source.type == "anonymous":
        raise refuse(domain, backing, "source/@type", "anonymous memory has no huge pages")
    taken: set[int] = set()
    for page in backing.hugepages.pages:
        nodes = bitmap_to_set(page.nodeset) if page.nodeset is not None else frozenset()
        if nodes & taken:
            raise refuse(domain, page, "@nodeset", "a NUMA cell has pages of two sizes")
        taken |= nodes
        beyond = [n for n in bitmap_to_set(page.nodeset or "0") if n >= max(cells, 1)]
        if beyond:
            raise refuse(domain, page, "@nodeset", f"the guest has no NUMA cell {min(beyond)}")


def _check_numa(domain: Domain) -> None:
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = len(numa.cells) if numa is not None else 0
    for cell in numa.cells if numa is not None else ():
        for sibling in cell.distances.siblings if cell.distances is not None else ():
            if sibling.id is None or sibling.id >= cells:
                raise refuse(domain, sibling, "@id", f"there is no NUMA cell {sibling.id}")
    seen: set[int | None] = set()
    for item in domain.numatune.memnodes if domain.numatune is not None else ():
        if item.cellid is None or item.cellid >= cells:
            raise refuse(domain, item, "@cellid", f"the guest has no NUMA cell {item.cellid}")
        if item.cellid in seen:
            raise refuse(domain, item, "@cellid", f"cell {item.cellid} is there twice")
        seen.add(item.cellid)


def _check_actions(domain: Domain) -> None:
    for name in ("on_poweroff", "on_reboot", "on_crash"):
        if getattr(domain, name) == "rename-restart":
            raise refuse(domain, domain, name, "guests of QEMU are not renamed", remedy="Use restart")
    for name in ("on_poweroff", "on_reboot"):
        if getattr(domain, name) == "preserve":
            raise refuse(domain, domain, name, "QEMU preserves a guest only after a crash", remedy="Use destroy")
    if domain.on_poweroff == "restart" and domain.on_reboot == "destroy":
        raise refuse(domain, domain, "on_poweroff", "cannot be restart while on_reboot is destroy")


def _check_features(domain: Domain) -> None:
    features = domain.features
    ring = features.kvm.dirty_ring if features.kvm is not None else None
    if ring is not None and ring.enabled:
        size = ring.size or 0
        if size & (size - 1) or not DIRTY_RING[0] <= size <= DIRTY_RING[1]:
            raise refuse(domain, ring, "@size", f"must be a power of two from {DIRTY_RING[0]} to {DIRTY_RING[1]}")
    hyperv = features.hyperv
    for field in type(hyperv).FIELDS if hyperv is not None else ():
        feature = hyperv.__dict__.get(field.name)
        if field.is_child and feature is not None and feature.state is None:
            raise refuse(domain, feature, "@state", "is missing")
    vendor = hyperv.vendor_id if hyperv is not None else None
    if vendor is not None and vendor.enabled and not vendor.value:
        raise refuse(domain, vendor, "@value", "is missing")


def _check_firmware(domain: Domain) -> None:
    os = domain.os
    loader = os.loader
    if os.nvram is not None and loader is None and os.firmware is None:
        raise refuse(domain, os.nvram, "", "variables without a loader", remedy="Add <loader>, or firmware='efi'")
    if (os.firmware == "efi" or (loader is not None and loader.type == "pflash")) and not domain.features.acpi:
        raise refuse(domain, os, "@firmware" if os.firmware else "loader", "UEFI needs <acpi/> in <features>")
    for table in domain.sysinfos:
        for entry in table.bios.entries if table.bios is not None else ():
            if entry.name == "date" and not _DATE.fullmatch(entry.value or ""):
                raise refuse(domain, entry, "", f"{entry.value!r} is no date such as 01/31/2020")


def _check_environment(domain: Domain) -> None:
    given = domain.qemu_commandline
    for variable in given.envs if given is not None else ():
        if not _ENV.fullmatch(variable.name):
            raise refuse(domain, variable, "@name", "names are letters, digits and underscores")


_CHECKS: tuple[Callable[[Domain], None], ...] = (
    _check_memory, _check_numa, _check_actions, _check_features, _check_firmware, _check_environment,
)  # fmt: skip
