"""Disks, CD-ROM drives and floppy drives of a .vmx.

deviceType says what a device is: scsi-hardDisk, disk, ata-hardDisk; cdrom-image (an .iso), atapi-cdrom
(the host's drive), cdrom-raw and scsi-passthru (the host's drive, raw: libvirt's device `lun`). A missing
one is told from the file's name. `auto detect` is whichever drive the host has; `emptyBackingString` none.
"""

from __future__ import annotations

from ...config.domain.controller import Controller
from ...config.domain.disk import Disk, DiskDriver, DiskTarget
from ...config.domain.domain import Domain
from ...config.domain.storage import StorageSource, Transient
from ...config.errors import ConfigUnsupported
from .names import FileNames
from .places import (
    NUMBERED,
    NVME_CONTROLLERS,
    SATA_CONTROLLERS,
    SCSI_CONTROLLERS,
    Place,
    disk_name,
    place_of,
    places_of,
)
from .text import VmxText, refused

EMPTY = "emptyBackingString"
AUTO = "auto detect"
CDROM_DEVICES = "/vmfs/devices/cdrom/"
_HARD_DISKS = {"scsi": ("scsi-harddisk", "disk", "rawdisk"), "ide": ("ata-harddisk", "disk", "rawdisk")}
_RAW = ("cdrom-raw", "scsi-passthru")
_CDROMS = ("cdrom-image", "atapi-cdrom", *_RAW)
_MODELS = {"buslogic": "buslogic", "lsilogic": "lsilogic", "lsisas1068": "lsisas1068", "pvscsi": "vmpvscsi"}
"""virtualDev of a SCSI controller -> model in domain XML."""


def read_disks(vmx: VmxText, domain: Domain, names: FileNames) -> None:
    """Read all disks, then the controllers that they need."""
    scsi = [number for number in range(SCSI_CONTROLLERS) if vmx.flag(f"scsi{number}.present")]
    sata = [number for number in range(SATA_CONTROLLERS) if vmx.flag(f"sata{number}.present")]
    models = {number: _model(vmx, number) for number in scsi}
    wide = {number for number, model in models.items() if model == "vmpvscsi"}
    used: set[str] = set()
    highest: dict[str, int] = {}
    nvme = [number for number in range(NVME_CONTROLLERS) if vmx.flag(f"nvme{number}.present")]
    buses = (("scsi", scsi), ("sata", sata), ("nvme", nvme), ("ide", [0, 1]), ("fdc", [0]))
    for bus, controllers in buses:
        for place in places_of(bus, controllers, wide):
            disk = _read_floppy(vmx, place, names) if bus == "fdc" else _read_disk(vmx, place, names)
            if disk is not None:
                disk.target = DiskTarget(dev=_free_name(place, used), bus=bus)
                disk.address = place.address
                domain.devices.disks.append(disk)
                number = place.controller if bus in NUMBERED else 0
                highest[bus] = max(highest.get(bus, 0), number)
    for bus, last in highest.items():
        for index in range(last + 1):
            model = models.get(index) if bus == "scsi" else None
            domain.devices.controllers.append(Controller(type=bus, index=index, model=model))


def _free_name(place: Place, used: set[str]) -> str:
    """Return the name of a place; on wide buses another one than libvirt's rule gives, where that is taken."""
    name, number = place.target, 0
    while name in used:
        name, number = disk_name("sd", number), number + 1
    used.add(name)
    return name


def _model(vmx: VmxText, number: int) -> str | None:
    word = vmx.word(f"scsi{number}.virtualDev")
    if word and word not in _MODELS:
        raise refused(f"scsi{number}.virtualDev", word, tuple(_MODELS))
    return _MODELS.get(word)


def _read_disk(vmx: VmxText, place: Place, names: FileNames) -> Disk | None:
    """Return the disk at a place, or None: a drive that is filled by a remote console is nobody's here."""
    key = place.key
    if not vmx.flag(f"{key}.present") or vmx.flag(f"{key}.clientDevice"):
        return None
    kind = vmx.word(f"{key}.deviceType")
    name = vmx.string(f"{key}.fileName") or ""
    lower = name.lower()
    if lower.endswith(".vmdk"):
        return _hard_disk(vmx, place, kind, names)
    if kind == "scsi-passthru" and not name.startswith(CDROM_DEVICES):
        raise refused(f"{key}.fileName", name, f"a device below {CDROM_DEVICES}")
    if lower.endswith(".iso"):
        if kind and kind != "cdrom-image":
            raise refused(f"{key}.deviceType", kind, "cdrom-image, for an .iso")
        return _cdrom("file", StorageSource(file=names.to_path(name, may_be_missing=True)))
    if kind in ("atapi-cdrom", *_RAW):
        return _host_drive(kind, name)
    if kind in ("", "cdrom-image") and name in ("", EMPTY):
        return _cdrom("file", StorageSource())
    if kind == "cdrom-image":
        return _cdrom("file", StorageSource(file=names.to_path(name, may_be_missing=True)))
    raise refused(f"{key}.fileName", name, "a .vmdk for a hard disk, an .iso for a CD-ROM")


def _hard_disk(vmx: VmxText, place: Place, kind: str, names: FileNames) -> Disk:
    key = place.key
    allowed = _HARD_DISKS.get(place.bus, ())
    if kind and allowed and kind not in allowed:
        raise refused(f"{key}.deviceType", kind, allowed)
    path = names.to_path(vmx.string(f"{key}.fileName") or "")
    disk = Disk(type="file", device="disk", source=StorageSource(file=path))
    if vmx.flag(f"{key}.writeThrough"):
        disk.driver = DiskDriver(cache="writethrough")
    if vmx.word(f"{key}.mode") == "independent-nonpersistent":
        disk.transient = Transient()
    return disk


def _cdrom(type: str, source: StorageSource) -> Disk:
    return Disk(type=type, device="cdrom", source=source, readonly=True)


def _host_drive(kind: str, name: str) -> Disk:
    if name.lower() == AUTO:
        disk = _cdrom("block", StorageSource(startup_policy="optional"))
    else:
        disk = _cdrom("block", StorageSource(dev=name if name and name != EMPTY else None))
    disk.device = "lun" if kind in _RAW else "cdrom"
    return disk


def _read_floppy(vmx: VmxText, place: Place, names: FileNames) -> Disk | None:
    key = place.key
    if not vmx.flag(f"{key}.present") or vmx.flag(f"{key}.clientDevice"):
        return None
    kind, name = vmx.word(f"{key}.fileType") or "device", vmx.string(f"{key}.fileName") or ""
    if kind not in ("device", "file"):
        raise refused(f"{key}.fileType", kind, ("device", "file"))
    if kind == "device":
        source = StorageSource(dev=name) if name else StorageSource()
    else:
        source = StorageSource(file=names.to_path(name)) if name else StorageSource()
    return Disk(type="file" if kind == "file" else "block", device="floppy", source=source)


def write_disks(domain: Domain, vmx: VmxText, names: FileNames) -> bool:
    """Write controllers and disks; returns whether there is a SCSI controller."""
    disks = [(f"devices/disk[{n}]", disk) for n, disk in enumerate(domain.devices.disks, 1)]
    placed = [(path, disk, place_of(disk, path)) for path, disk in disks]
    scsi = {number: _named_model(domain, number) for number in range(SCSI_CONTROLLERS)}
    for path, disk, place in placed:
        if place.bus == "scsi":
            _agree(scsi, place.controller, disk.driver.name, path)
    given = {(each.type, each.index or 0) for each in domain.devices.controllers}
    present = {("scsi" if place.bus == "scsi" else place.bus, place.controller) for _, _, place in placed} | given
    for number, model in scsi.items():
        if ("scsi", number) in present:
            vmx.put(f"scsi{number}.present", True)
            if model:
                vmx.put(f"scsi{number}.virtualDev", model)
    for bus in ("sata", "nvme"):
        for number in range(SATA_CONTROLLERS):
            if (bus, number) in present:
                vmx.put(f"{bus}{number}.present", True)
    for path, disk, place in placed:
        if place.bus == "fdc":
            _write_floppy(disk, place, vmx, names)
        else:
            _write_disk(disk, place, path, vmx, names)
    for place in places_of("fdc", [], set()):
        if vmx.string(f"{place.key}.present") is None:
            vmx.put(f"{place.key}.present", False)
    return any(bus == "scsi" for bus, _ in present)


def _virtual_dev(model: str | None, path: str) -> str | None:
    if model is None or model == "auto":
        return "lsilogic" if model else None
    word = next((word for word, name in _MODELS.items() if model in (word, name)), None)
    if word is None:
        raise ConfigUnsupported(
            f"a VMware guest has no SCSI controller {model}", path=path, value=model, allowed=list(_MODELS.values()),
            remedy=f"use one of {', '.join(_MODELS.values())}",
        )  # fmt: skip
    return word


def _named_model(domain: Domain, number: int) -> str | None:
    found = [each for each in domain.devices.controllers if each.type == "scsi" and (each.index or 0) == number]
    return _virtual_dev(found[0].model, "devices/controller/@model") if found else None


def _agree(scsi: dict[int, str | None], number: int, driver: str | None, path: str) -> None:
    """Take the controller's model from a disk's driver, where old definitions keep it."""
    model = _virtual_dev(driver, f"{path}/driver/@name") if driver else None
    if model and scsi[number] not in (None, model):
        raise ConfigUnsupported(
            f"SCSI controller {number} would have to be {scsi[number]} and {model}", path=f"{path}/driver/@name",
            value=driver, remedy="give all disks of a controller the same driver",
        )  # fmt: skip
    scsi[number] = scsi[number] or model


def _write_disk(disk: Disk, place: Place, path: str, vmx: VmxText, names: FileNames) -> None:
    key, source = place.key, disk.source
    if disk.type not in ("file", "block"):
        raise ConfigUnsupported(
            f"a VMware guest has no disks of type {disk.type}", path=f"{path}/@type", value=disk.type,
            allowed=["file", "block"], remedy="use file or block",
        )  # fmt: skip
    vmx.put(f"{key}.present", True)
    vmx.put(f"{key}.deviceType", _device_type(disk, place))
    if disk.type == "block":
        optional = source.startup_policy == "optional"
        vmx.put(f"{key}.fileName", source.dev or (AUTO if optional else EMPTY))
    elif source.file:
        ending = ".vmdk" if disk.device == "disk" else ".iso"
        if not source.file.lower().endswith(ending):
            raise ConfigUnsupported(
                f"the image {source.file} of {disk.target.dev} must end in {ending}", path=f"{path}/source/@file",
                value=source.file, remedy=f"VMware takes only {ending} files here; convert the image",
            )  # fmt: skip
        vmx.put(f"{key}.fileName", names.to_name(source.file))
    elif disk.device == "cdrom":
        vmx.put(f"{key}.fileName", EMPTY)
    cache = disk.driver.cache
    if cache not in (None, "default", "writethrough"):
        raise ConfigUnsupported(
            f"a VMware guest has no cache mode {cache}", path=f"{path}/driver/@cache", value=cache,
            allowed=["default", "writethrough"], remedy="use writethrough, or leave it out",
        )  # fmt: skip
    if cache == "writethrough":
        vmx.put(f"{key}.writeThrough", True)
    if disk.transient is not None:
        vmx.put(f"{key}.mode", "independent-nonpersistent")


def _device_type(disk: Disk, place: Place) -> str:
    if disk.device == "disk":
        return "scsi-hardDisk" if place.bus == "scsi" else "ata-hardDisk"
    if disk.device == "lun":
        return "scsi-passthru" if (disk.source.dev or "").startswith(CDROM_DEVICES) else "cdrom-raw"
    return "cdrom-image" if disk.type == "file" else "atapi-cdrom"


def _write_floppy(disk: Disk, place: Place, vmx: VmxText, names: FileNames) -> None:
    key, source = place.key, disk.source
    vmx.put(f"{key}.present", True)
    vmx.put(f"{key}.fileType", "file" if disk.type == "file" else "device")
    vmx.put(f"{key}.fileName", names.to_name(source.file) if source.file else source.dev or "")
