"""Disks, CD-ROM and floppy drives: their block nodes and the devices that the guest sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.address import DriveAddress
from ....config.domain.disk import Disk
from .controllers import usb_place
from .nodes import CACHES, Chain, cache_of
from .options import as_keys, on_off
from .plan.aliases import scsi_model
from .plan.machine import PC, Q35

if TYPE_CHECKING:
    from .context import Build

VIRTIO_ONLY = ("ioeventfd", "event_idx", "queues", "queue_size")
POLICIES = {"stop": "stop", "report": "report", "ignore": "ignore", "enospace": "enospc"}


class DiskBuilder:
    """Builds all drives of one guest."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.domain = build.domain

    def add(self) -> None:
        """Add nodes and devices, in the order of the definition."""
        disks = self.domain.devices.disks
        chains = [Chain(self.build, disk, 0) for disk in disks]
        number = 1 + sum(chain.length() for chain in chains)
        floppies = []
        for disk, chain in zip(disks, chains, strict=True):
            number -= chain.length()
            chain.number = number
            if disk.target.bus == "fdc":
                floppies.append((disk, chain))
            else:
                self.add_disk(disk, chain)
        self._add_floppies(floppies)

    def add_disk(self, disk: Disk, chain: Chain) -> None:
        """Add the nodes and the device of one disk (not of a floppy)."""
        self._check(disk)
        if disk.type == "vhostuser":
            self._add_vhost_user(disk)
            return
        node = chain.add()
        if node is None and disk.device in ("disk", "lun"):
            raise self.build.refuse(disk, "source", "a disk needs a source", remedy="Only drives can be empty")
        maker = {
            "virtio": self._virtio, "ide": self._ide, "sata": self._ide, "scsi": self._scsi, "usb": self._usb,
            "nvme": self._nvme,
        }.get(disk.target.bus or "")  # fmt: skip
        if maker is None:
            raise self.build.refuse(disk, "target/@bus", f"QEMU's x86 machines have no {disk.target.bus} bus for disks")
        properties = maker(disk)
        properties["drive"] = node
        properties |= {"id": self.build.alias(disk), **self._common(disk)}
        self.build.device(disk, properties, below="target/@bus")

    def _check(self, disk: Disk) -> None:
        build, bus = self.build, disk.target.bus
        if disk.mirror is not None:
            disk.mirror = None  # a job of an earlier run; it is no part of a new one
        if disk.driver.name not in (None, "qemu"):
            raise build.refuse(disk, "driver/@name", "QEMU's disks have driver qemu")
        if bus != "virtio":
            for name in VIRTIO_ONLY:
                if getattr(disk.driver, name) is not None and not (bus == "usb" and name == "queues"):
                    raise build.refuse(disk, f"driver/@{name}", "only virtio disks have this")
            if disk.driver.iothread is not None:
                raise build.refuse(disk, "driver/@iothread", "only virtio disks use I/O threads")
        if disk.device == "lun" and (bus not in ("scsi", "virtio") or disk.type not in ("block", "network", "volume")):
            raise build.refuse(disk, "@device", "device 'lun' needs bus scsi or virtio and a block device")
        if disk.device == "cdrom" and bus == "virtio":
            raise build.refuse(disk, "target/@bus", "QEMU has no CD-ROM drive on virtio", remedy="Use sata or scsi")
        if disk.shareable and disk.source.given("file") and disk.driver.type not in (None, "raw"):
            raise build.refuse(disk, "shareable", f"images of format {disk.driver.type} cannot be shared",
                               remedy="Only raw images can have several writers")
        if disk.readonly and disk.device == "disk" and bus in ("ide", "sata"):
            raise build.refuse(disk, "readonly", f"{bus} disks cannot be read-only", remedy="Use virtio or scsi")
        if disk.sgio is not None and disk.device != "lun":
            raise build.refuse(disk, "@sgio", "only device 'lun' has this")
        if (disk.vendor or disk.product) and bus != "scsi":
            raise build.refuse(disk, "vendor" if disk.vendor else "product", "only SCSI disks have this")
        if disk.wwn is not None and bus not in ("scsi", "ide", "sata"):
            raise build.refuse(disk, "wwn", "only IDE, SATA and SCSI disks have a world wide name")
        if disk.geometry is not None and bus not in ("ide", "virtio", "scsi", "sata"):
            raise build.refuse(disk, "geometry", "this kind of disk has no geometry")

    def _common(self, disk: Disk) -> dict[str, Any]:
        """Return what all kinds of drives have."""
        mode = CACHES.get(cache_of(disk))
        properties: dict[str, Any] = {"bootindex": self.build.boot.index_of(disk)}
        if disk.boot is not None and disk.boot.loadparm is not None:
            raise self.build.refuse(disk, "boot/@loadparm", "only s390 has this")
        if disk.blockio is not None:
            properties |= {
                "logical_block_size": disk.blockio.logical_block_size or None,
                "physical_block_size": disk.blockio.physical_block_size or None,
                "discard_granularity": disk.blockio.discard_granularity,
            }
        if disk.geometry is not None and disk.geometry.cyls:
            properties |= {"cyls": disk.geometry.cyls, "heads": disk.geometry.heads, "secs": disk.geometry.secs}
            if disk.target.bus in ("ide", "sata"):
                trans = disk.geometry.trans
                properties["bios-chs-trans"] = None if trans == "default" else trans
        if disk.wwn is not None:
            properties["wwn"] = int(disk.wwn, 16)
        if mode is not None:
            properties["write-cache"] = on_off(mode[0])
        if disk.device != "lun":
            properties["serial"] = disk.serial
        if disk.shareable:
            properties["share-rw"] = True
        return properties | self._policies(disk)

    @staticmethod
    def _policies(disk: Disk) -> dict[str, Any]:
        writing, reading = POLICIES.get(disk.driver.error_policy or ""), POLICIES.get(disk.driver.rerror_policy or "")
        if reading is None and writing is not None and writing != "enospc":
            reading = writing
        return {"werror": writing, "rerror": reading}

    def _virtio(self, disk: Disk) -> dict[str, Any]:
        driver = disk.driver
        if driver.iothread is not None:
            self.build.need_iothread(disk, driver.iothread, "driver/@iothread")
        if disk.device == "lun":
            raise self.build.refuse(disk, "@device", "QEMU's virtio disks no longer pass SCSI commands on",
                                    remedy="Use bus scsi with a virtio-scsi controller")
        return {
            "driver": self.build.virtio("virtio-blk", disk.model),
            "iothread": f"iothread{driver.iothread}" if driver.iothread is not None else None,
            "ioeventfd": driver.ioeventfd,
            "event_idx": driver.event_idx,
            "num-queues": driver.queues,
            "queue-size": driver.queue_size,
            **self.build.virtio_options(driver),
            **self.build.pci(disk),
        }

    def _nvme(self, disk: Disk) -> dict[str, Any]:
        """A drive is a controller of its own; QEMU wants a serial number for each."""
        if disk.device != "disk":
            raise self.build.refuse(disk, "@device", "only disks sit on bus nvme")
        if disk.serial is None:
            disk.serial = self.build.alias(disk)
        return {"driver": "nvme", **self.build.pci(disk)}

    def _drive_address(self, disk: Disk) -> DriveAddress:
        if not isinstance(disk.address, DriveAddress):
            raise self.build.refuse(disk, "address/@type", f"a disk on {disk.target.bus} needs a drive address")
        address = disk.address
        if disk.target.bus != "scsi":
            if address.target:
                raise self.build.refuse(disk, "address/@target", f"a disk on bus {disk.target.bus} has target 0")
            if address.bus and disk.target.bus == "fdc":
                raise self.build.refuse(disk, "address/@bus", "a floppy controller has bus 0 only")
        return address

    def _ide(self, disk: Disk) -> dict[str, Any]:
        build, address = self.build, self._drive_address(disk)
        bus, unit = address.bus or 0, address.unit or 0
        driver = "ide-cd" if disk.device == "cdrom" else "ide-hd"
        if disk.device == "floppy":
            raise build.refuse(disk, "target/@bus", "a floppy drive sits on bus fdc")
        rotation = disk.target.rotation_rate if driver == "ide-hd" else None
        properties: dict[str, Any] = {"driver": driver}
        if disk.target.bus == "ide":
            if build.chipset != PC or address.controller:
                raise build.refuse(disk, "target/@bus", "this machine has no such IDE controller", remedy="Use sata")
            if bus > 1 or unit > 1:
                raise build.refuse(disk, "address", "IDE has buses 0 and 1 with units 0 and 1")
            properties |= {"bus": f"ide.{bus}", "unit": unit}
        else:
            if unit > 5 or bus:
                raise build.refuse(disk, "address", "a SATA controller has bus 0 with units 0 to 5")
            name = build.controller_alias(disk, "sata", address.controller or 0)
            if build.chipset == Q35 and not address.controller:
                name = "ide"
            properties |= {"bus": f"{name}.{unit}"}
        return properties | {"rotation_rate": rotation}

    def _scsi(self, disk: Disk) -> dict[str, Any]:
        build, address = self.build, self._drive_address(disk)
        number = address.controller or 0
        name = build.controller_alias(disk, "scsi", number)
        driver = {"cdrom": "scsi-cd", "lun": "scsi-block"}.get(disk.device, "scsi-hd")
        properties: dict[str, Any] = {"driver": driver, "bus": f"{name}.0"}
        if scsi_model(self.domain, number) in ("lsilogic", "am53c974", "dc390"):
            if address.target or address.bus:
                raise build.refuse(disk, "address", "this controller has target 0 of bus 0 only")
            if (address.unit or 0) > 7:
                raise build.refuse(disk, "address/@unit", "this controller has units 0 to 7")
            properties["scsi-id"] = address.unit or 0
        else:
            if address.bus:
                raise build.refuse(disk, "address/@bus", "this controller has bus 0 only")
            properties |= {"channel": 0, "scsi-id": address.target or 0, "lun": address.unit or 0}
        if disk.device != "lun":
            properties["device_id"] = disk.serial if disk.serial else f"drive-{build.alias(disk)}"
            properties |= {"vendor": disk.vendor, "product": disk.product}
        properties["removable"] = disk.target.removable if driver == "scsi-hd" else None
        properties["rotation_rate"] = disk.target.rotation_rate if driver == "scsi-hd" else None
        return properties

    def _usb(self, disk: Disk) -> dict[str, Any]:
        removable = disk.target.removable if disk.device == "disk" else None
        properties: dict[str, Any] = {"driver": "usb-storage", **usb_place(self.build, disk)}
        if disk.device == "disk":
            properties["removable"] = bool(removable)
        return properties

    def _add_floppies(self, floppies: list[tuple[Disk, Chain]]) -> None:
        """Add the controller with the boot index of its drives (QEMU has it there), then the drives."""
        if not floppies:
            return
        build = self.build
        nodes = [(disk, chain.add()) for disk, chain in floppies]
        options: dict[str, Any] = {}
        for disk, _ in nodes:
            index = build.boot.index_of(disk)
            unit = self._drive_address(disk).unit or 0
            if index is not None:
                options["bootindexB" if unit else "bootindexA"] = index
        if build.chipset == Q35:
            build.device(floppies[0][0], {"driver": "isa-fdc", **options})
        else:
            for name, index in options.items():
                build.option("-global", as_keys("", {f"isa-fdc.{name}": index}))
        for disk, node in nodes:
            if disk.device != "floppy":
                raise build.refuse(disk, "target/@bus", "only a floppy drive sits on bus fdc")
            unit = self._drive_address(disk).unit or 0
            properties = {"driver": "floppy", "unit": unit, "drive": node, "id": build.alias(disk)}
            build.device(disk, properties | {**self._policies(disk)})

    def _add_vhost_user(self, disk: Disk) -> None:
        build, name = self.build, f"chr-vu-{self.build.alias(disk)}"
        if disk.target.bus != "virtio":
            raise build.refuse(disk, "target/@bus", "a vhost-user disk sits on bus virtio")
        reconnect = disk.source.reconnect
        build.chardev("socket", name, {
            "path": disk.source.path,
            "reconnect": reconnect.timeout if reconnect is not None and reconnect.enabled else None,
        })  # fmt: skip
        build.device(disk, {
            "driver": build.virtio("vhost-user-blk", disk.model), **build.virtio_options(disk.driver),
            "num-queues": disk.driver.queues, **build.pci(disk), "chardev": name, "id": build.alias(disk),
            "bootindex": build.boot.index_of(disk),
        })  # fmt: skip
