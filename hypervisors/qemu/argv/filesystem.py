"""Folders of the host that the guest mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.filesystem import Filesystem
from .options import as_keys

if TYPE_CHECKING:
    from .context import Build

SECURITY = {"passthrough": "passthrough", "mapped": "mapped", "squash": "none"}


def add_filesystems(build: Build) -> None:
    """Add all shared folders."""
    for item in build.domain.devices.filesystems:
        if item.driver.type == "virtiofs":
            _add_virtiofs(build, item)
        elif item.type == "mount" and item.driver.type in (None, "default", "path"):
            _add_9p(build, item)
        else:
            raise build.refuse(item, "@type", f"QEMU shares no filesystems of type {item.type}",
                               remedy="Use type='mount'")


def _add_9p(build: Build, item: Filesystem) -> None:
    alias = build.alias(item)
    if not item.source.dir or not item.target.dir:
        raise build.refuse(item, "source/@dir" if not item.source.dir else "target/@dir", "is missing")
    if (item.fmode or item.dmode) and item.accessmode != "mapped":
        raise build.refuse(item, "@fmode" if item.fmode else "@dmode", "needs accessmode='mapped'")
    multi = item.multidevs if item.multidevs != "default" else None
    build.use_file(item.source.dir, read_only=item.readonly, kind="folder")
    build.option("-fsdev", as_keys("local", {
        "security_model": SECURITY[item.accessmode or "passthrough"],
        "multidevs": multi,
        "fmode": f"0{item.fmode.lstrip('0')}" if item.fmode else None,
        "dmode": f"0{item.dmode.lstrip('0')}" if item.dmode else None,
        "id": f"fsdev-{alias}",
        "path": item.source.dir,
        "writeout": "immediate" if item.driver.wrpolicy == "immediate" else None,
        "readonly": True if item.readonly else None,
    }))  # fmt: skip
    properties: dict[str, Any] = {"driver": build.virtio("virtio-9p", item.model)}
    properties |= build.virtio_options(item.driver)
    properties |= {"id": alias, "fsdev": f"fsdev-{alias}", "mount_tag": item.target.dir}
    build.device(item, properties | build.pci(item), below="@model")


def _add_virtiofs(build: Build, item: Filesystem) -> None:
    alias = build.alias(item)
    place = {"path": item.source.socket} if item.source.socket else build.helper(f"{alias}.virtiofsd")
    if place is None:
        raise build.refuse(item, "driver/@type", "the node started no virtiofsd",
                           remedy="Use a 9p folder (driver type='path'), or <source socket=…> of one that runs")
    backing = build.domain.memory_backing
    shared = backing is not None and (backing.access.mode == "shared" or backing.source.type == "memfd")
    cpu = build.domain.cpu
    cells = cpu.numa.cells if cpu is not None and cpu.numa is not None else []
    if not shared and not (cells and all(cell.mem_access == "shared" for cell in cells)):
        raise build.refuse(item, "driver/@type", "virtiofs needs shared memory",
                           remedy="Add <memoryBacking><access mode='shared'/></memoryBacking> with a memfd source")
    build.chardev("socket", f"chr-vu-{alias}", place)
    build.device(item, {
        "driver": "vhost-user-fs-pci", "id": alias, "chardev": f"chr-vu-{alias}",
        "queue-size": item.driver.queue, "tag": item.target.dir,
        "bootindex": build.boot.index_of(item), **build.pci(item),
    })  # fmt: skip
