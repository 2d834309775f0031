"""Devices of the host in the guest: PCI, USB, SCSI, mediated devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import DriveAddress, HostAddress, HostPciAddress
from ....config.domain.hostdev import Hostdev
from ....config.domain.storage import Host, Named, StorageSource
from ....config.domain.storage import Initiator as StorageInitiator
from .controllers import usb_place
from .options import on_off
from .plan.aliases import scsi_model
from .storage import SourceBuilder

if TYPE_CHECKING:
    from .context import Build


def host_place(address: HostAddress | HostPciAddress) -> str:
    """Return a PCI address of the host as the kernel writes it."""
    return f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0:x}"


def add_hostdevs(build: Build) -> None:
    """Add all devices of the host."""
    number = 1 + sum(1 for disk in build.domain.devices.disks if disk.type != "vhostuser")
    for item in build.domain.devices.hostdevs:
        if item.mode != "subsystem":
            raise build.refuse(item, "@mode", "only containers take devices of mode capabilities")
        if item.type == "pci":
            _add_pci(build, item)
        elif item.type == "usb":
            _add_usb(build, item)
        elif item.type == "scsi":
            _add_scsi(build, item, number)
            number += 1
        elif item.type == "scsi_host":
            _add_vhost_scsi(build, item)
        elif item.type == "mdev":
            _add_mdev(build, item)
        else:
            raise build.refuse(item, "@type", f"QEMU takes no host devices of type {item.type}")


def _rom(build: Build, item: Hostdev) -> dict[str, Any]:
    rom = item.rom
    if rom is None:
        return {}
    if rom.enabled is False:
        return {"romfile": ""}
    if rom.file:
        build.use_file(rom.file, read_only=True, kind="firmware")
    return {"rombar": None if rom.bar is None else int(rom.bar), "romfile": rom.file}


def _add_pci(build: Build, item: Hostdev) -> None:
    if item.driver is not None and item.driver.name not in (None, "vfio", "default"):
        raise build.refuse(item, "driver/@name", "only vfio hands PCI devices on")
    if item.source.address is None:
        raise build.refuse(item, "source/address", "the device's address is missing")
    if item.address is not None and item.address.type == "unassigned":
        return
    teaming = item.teaming
    build.device(item, {
        "driver": "vfio-pci", "host": host_place(item.source.address), "id": build.alias(item),
        "failover_pair_id": teaming.persistent if teaming is not None and teaming.type == "transient" else None,
        "bootindex": build.boot.index_of(item), **build.pci(item), **_rom(build, item),
    })  # fmt: skip


def _add_mdev(build: Build, item: Hostdev) -> None:
    if item.model != "vfio-pci":
        raise build.refuse(item, "@model", "x86 guests take mediated devices of model vfio-pci only")
    address = item.source.address
    if address is None or not address.uuid:
        raise build.refuse(item, "source/address/@uuid", "the device's UUID is missing")
    if item.display and not build.domain.devices.graphics:
        raise build.refuse(item, "@display", "the guest has no <graphics> that could show it")
    driver = "vfio-pci-nohotplug" if item.ramfb else "vfio-pci"
    build.device(item, {
        "driver": driver, "id": build.alias(item), "sysfsdev": f"/sys/bus/mdev/devices/{address.uuid}",
        "display": on_off(item.display), "ramfb": True if item.ramfb else None,
        "bootindex": build.boot.index_of(item), **build.pci(item),
    })  # fmt: skip


def _add_usb(build: Build, item: Hostdev) -> None:
    source = item.source
    properties: dict[str, Any] = {"driver": "usb-host"}
    fds = build.resources.usb_paths.get(build.alias(item))
    if fds:
        properties["hostdevice"] = fds
    elif source.address is not None and source.address.bus is not None and source.address.device is not None:
        path = f"/dev/bus/usb/{source.address.bus:03d}/{source.address.device:03d}"
        build.use_file(path, read_only=False, kind="device")
        properties["hostdevice"] = path
    elif source.vendor is not None and source.product is not None:
        properties |= {"vendorid": source.vendor.id, "productid": source.product.id}
    else:
        raise build.refuse(item, "source", "the device's address, or its vendor and product, is missing")
    properties["guest-reset"] = {"off": False, "on": True, "uninitialized": True}.get(source.guest_reset or "")
    properties["guest-resets-all"] = {"on": True, "uninitialized": False}.get(source.guest_reset or "")
    properties |= {"id": build.alias(item), "bootindex": build.boot.index_of(item), **usb_place(build, item)}
    build.device(item, properties)


def _add_scsi(build: Build, item: Hostdev, number: int) -> None:
    address = item.address
    if not isinstance(address, DriveAddress):
        raise build.refuse(item, "address", "a SCSI device needs a drive address")
    name = f"libvirt-{number}-backend"
    if item.source.protocol == "iscsi":
        node = _iscsi(build, item, name)
    else:
        path = build.resources.scsi_paths.get(build.alias(item))
        if path is None and build.resources.check_only:
            path = "/dev/null"
        if path is None:
            raise build.refuse(item, "source", "the host has no such SCSI device")
        build.use_file(path, read_only=item.readonly, kind="device")
        node = {"driver": "host_device", "filename": path}
    build.blockdev({**node, "node-name": name, "read-only": item.readonly})
    controller = address.controller or 0
    bus = f"{build.controller_alias(item, 'scsi', controller)}.0"
    properties: dict[str, Any] = {"driver": "scsi-generic", "drive": name, "id": build.alias(item), "bus": bus}
    if scsi_model(build.domain, controller) == "lsilogic":
        properties["scsi-id"] = address.unit or 0
    else:
        properties |= {"channel": address.bus or 0, "scsi-id": address.target or 0, "lun": address.unit or 0}
    properties["bootindex"] = build.boot.index_of(item)
    build.device(item, properties)


def _iscsi(build: Build, item: Hostdev, name: str) -> dict[str, Any]:
    given = item.source
    source = StorageSource(protocol="iscsi", name=given.name)
    source.hosts = [Host(name=h.name, port=h.port, transport=h.transport, socket=h.socket) for h in given.hosts]
    source.auth = given.auth
    if given.initiator is not None:
        source.initiator = StorageInitiator(iqn=Named(name=given.initiator.iqn.name))
    node = SourceBuilder(build, item, "network", source, name).node(read_only=False, device="lun", image_format="raw")
    assert node is not None
    return node


def _add_vhost_scsi(build: Build, item: Hostdev) -> None:
    if item.boot is not None:
        raise build.refuse(item, "boot", "the firmware cannot boot from vhost-scsi")
    fds = build.use_fds(f"{build.alias(item)}.vhost")
    if not fds:
        raise build.refuse(item, "source", "the node has no vhost-scsi device open", remedy="Load vhost_scsi")
    build.device(item, {
        "driver": build.virtio("vhost-scsi", item.model), "wwpn": item.source.wwpn, "vhostfd": str(fds[0]),
        "id": build.alias(item), **build.pci(item),
    })  # fmt: skip
