"""Memory that guests share, vsock, IOMMU, crypto devices and storage for last words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.shmem import Shmem
from .options import on_off
from .plan.machine import Q35

if TYPE_CHECKING:
    from .context import Build

DEFAULT_SHMEM = 4 * 1024 * 1024
"""Bytes of a piece of shared memory without a size (formatdomain, "Shared memory device")."""


SMALLEST_PSTORE_KIB = 8
"""Two records of ACPI ERST, the smallest store that QEMU's acpi-erst takes (docs/specs/acpi_erst.rst)."""


def add_shmems(build: Build) -> None:
    """Add all pieces of shared memory."""
    for item in build.domain.devices.shmems:
        model = item.model.type if item.model is not None else "ivshmem"
        if model == "ivshmem-plain":
            _add_plain(build, item)
        elif model == "ivshmem-doorbell":
            _add_doorbell(build, item)
        else:
            raise build.refuse(item, "model/@type", "QEMU has no device ivshmem any more",
                               remedy="Use ivshmem-plain or ivshmem-doorbell")


def _master(item: Shmem) -> str | None:
    return {"master": "on", "peer": "off"}.get(item.role or "")


def _add_plain(build: Build, item: Shmem) -> None:
    alias = build.alias(item)
    memory = build.object(
        "memory-backend-file", f"shmmem-{alias}", item,
        **{"mem-path": f"/dev/shm/{item.name}", "size": item.size or DEFAULT_SHMEM, "share": True},
    )
    build.device(item, {
        "driver": "ivshmem-plain", "id": alias, "memdev": memory, "master": _master(item), **build.pci(item),
    })  # fmt: skip


def _add_doorbell(build: Build, item: Shmem) -> None:
    alias = build.alias(item)
    path = item.server.path if item.server is not None else None
    build.chardev("socket", f"char{alias}", {"path": path or f"/var/lib/libvirt/shmem-{item.name}-sock"})
    properties: dict[str, Any] = {"driver": "ivshmem-doorbell", "id": alias, "chardev": f"char{alias}"}
    if item.msi is not None:
        properties |= {"vectors": item.msi.vectors, "ioeventfd": on_off(item.msi.ioeventfd)}
    build.device(item, {**properties, "master": _master(item), **build.pci(item)})


def add_vsock(build: Build) -> None:
    """Add the socket between host and guest."""
    item = build.domain.devices.vsock
    if item is None:
        return
    cid = item.cid.address or build.resources.vsock_cid or (3 if build.resources.check_only else None)
    if cid is None:
        raise build.refuse(item, "cid/@address", "the node gave the guest no address")
    if cid < 3:
        raise build.refuse(item, "cid/@address", "addresses begin with 3")
    fds = build.use_fds("vsock0.vhost")
    if not fds:
        raise build.refuse(item, "", "the node has no /dev/vhost-vsock open", remedy="Load vhost_vsock")
    build.device(item, {
        "driver": build.virtio("vhost-vsock", item.model), **build.virtio_options(item.driver),
        "id": build.alias(item), "guest-cid": cid, "vhostfd": str(fds[0]), **build.pci(item),
    })  # fmt: skip


def add_iommu(build: Build) -> None:
    """Add the guest's IOMMU, before everything that is behind it."""
    item = build.domain.devices.iommu
    if item is None:
        return
    driver = item.driver
    if item.model == "intel":
        if build.chipset != Q35:
            raise build.refuse(item, "@model", "an Intel IOMMU needs machine type q35")
        if driver.eim and not driver.intremap:
            raise build.refuse(item, "driver/@eim", "needs intremap='on'")
        build.device(item, {
            "driver": "intel-iommu", "id": build.alias(item), "intremap": on_off(driver.intremap),
            "caching-mode": driver.caching_mode, "eim": on_off(driver.eim), "device-iotlb": driver.iotlb,
            "aw-bits": driver.aw_bits,
        })  # fmt: skip
    elif item.model == "virtio":
        if build.chipset != Q35 or not build.domain.features.acpi:
            raise build.refuse(item, "@model", "a virtio IOMMU needs machine type q35 and ACPI")
        build.device(item, {"driver": "virtio-iommu-pci", "id": build.alias(item), **build.pci(item)})
    else:
        raise build.refuse(item, "@model", f"x86 machines have no IOMMU of model {item.model}")


def add_cryptos(build: Build) -> None:
    """Add all crypto devices."""
    for item in build.domain.devices.cryptos:
        alias = build.alias(item)
        kind = {"builtin": "cryptodev-backend-builtin", "lkcf": "cryptodev-backend-lkcf"}.get(
            item.backend.model or "builtin", "cryptodev-backend-builtin"
        )
        build.object(kind, f"obj{alias}", item, queues=item.backend.queues)
        build.device(item, {
            "driver": build.virtio("virtio-crypto", item.model), **build.virtio_options(item.driver),
            "cryptodev": f"obj{alias}", "id": alias, **build.pci(item),
        })  # fmt: skip


def add_pstore(build: Build) -> None:
    """Add storage for a crashed guest's last words."""
    item = build.domain.devices.pstore
    if item is not None:
        alias = build.alias(item)
        if not item.path or not item.size:
            raise build.refuse(item, "path" if not item.path else "size", "is missing")
        if item.size & (item.size - 1) or item.size < SMALLEST_PSTORE_KIB:
            raise build.refuse(item, "size", f"must be a power of two, {SMALLEST_PSTORE_KIB} KiB at least")
        memory = build.object(
            "memory-backend-file", f"mem{alias}", item,
            **{"mem-path": item.path, "size": item.size * 1024, "share": True},
        )
        build.use_file(item.path, read_only=False, kind="nvram")
        build.device(item, {"driver": "acpi-erst", "id": alias, "memdev": memory, **build.pci(item)})
    if build.domain.devices.nvram is not None:
        raise build.refuse(build.domain.devices.nvram, "", "x86 machines have no NVRAM device")
