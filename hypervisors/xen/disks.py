"""Disks of xl.cfg and of domain XML: xl-disk-configuration(5) in both directions.

A disk string holds positional words (target, format, vdev, access) and `key=value`; `target=` takes all the
rest and so comes last.  Old prefixes of the target (phy:, file:, tap:aio:, qcow2:, …) are understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...config.domain.address import DriveAddress
from ...config.domain.disk import Disk, DiskDriver, DiskTarget
from ...config.domain.storage import BackendDomain, Host, StorageSource
from ...config.errors import ConfigUnsupported, InvalidArgument
from .options import word

FORMATS = {"raw": "raw", "qcow": "qcow", "qcow2": "qcow2", "vhd": "vpc", "qed": "qed"}
"""Format of xl -> format of domain XML."""
BACKENDS = {"phy": "phy", "tap": "tap", "qdisk": "qemu"}
"""backendtype of xl -> driver name of domain XML."""
_POSITIONS = ("target", "format", "vdev", "access")
_WRITABLE = {"rw": True, "w": True, "w!": True, "!": True, "ro": False, "r": False}
_FLAGS = ("cdrom", "discard", "no-discard", "direct-io-safe", "removable", "colo", "no-colo")
_KEYS = ("format", "vdev", "access", "devtype", "backend", "backendtype", "script", "colo-host", "colo-port",
         "colo-export", "active-disk", "hidden-disk", "specification", "transport")  # fmt: skip
_PREFIX = re.compile(r"(?:(phy|file|tap2?|aio|ioemu|raw|qcow2?|vhd|qed):)")
_KEY = re.compile(r"\s*([a-z-]+)\s*=")


@dataclass(slots=True, kw_only=True)
class DiskSpec:
    """What a disk string says."""

    target: str = ""
    format: str = ""
    vdev: str = ""
    access: str = ""
    devtype: str = ""
    backend: str = ""
    backendtype: str = ""
    discard: bool | None = None

    @property
    def is_cdrom(self) -> bool:
        """Tell whether it is a CD-ROM drive."""
        return self.devtype == "cdrom"


def parse_spec(text: str) -> DiskSpec:
    """Read a disk string.

    Raises: InvalidArgument for an unknown key, format or access.
    """
    spec = DiskSpec()
    prefixed, rest = _without_prefixes(text.strip(), spec)
    # A word without a name is the first of these that is not said yet; after an old prefix there is no format.
    open_places = [place for place in _POSITIONS if not (prefixed and place == "format")]
    while rest.strip():
        key = _KEY.match(rest)
        if key and key[1] == "target":
            spec.target = rest[key.end() :].strip()
            break
        part, _, rest = rest.partition(",")
        word = part.strip()
        if key and key[1] in _KEYS:
            name, _, value = word.partition("=")
            _set(spec, name.strip(), value.strip(), text)
            open_places = [place for place in open_places if place != name.strip()]
        elif word in _FLAGS:
            _flag(spec, word)
        elif open_places:
            place = open_places.pop(0)
            if word:
                _set(spec, place, word, text)
        elif word:
            raise InvalidArgument(f"disk {text!r}: {word!r} is no option", remedy="see xl-disk-configuration(5)")
    if not spec.vdev:
        raise InvalidArgument(f"disk {text!r} has no vdev", remedy="add vdev=xvda or the like", value=text)
    return spec


def _without_prefixes(text: str, spec: DiskSpec) -> tuple[bool, str]:
    """Take the deprecated prefixes of a target off: each says something of format or backend."""
    found = False
    while match := _PREFIX.match(text):
        word = match[1]
        if word == "phy":
            spec.backendtype, spec.format = "phy", "raw"
        elif word in FORMATS:
            spec.format = word
        elif word in ("file", "aio"):
            spec.format = spec.format or "raw"
        found, text = True, text[match.end() :]
    return found, text


def _set(spec: DiskSpec, name: str, value: str, text: str) -> None:
    if name == "vdev":
        spec.vdev, _, kind = value.partition(":")
        if kind:
            spec.devtype = kind
        return
    allowed = {"format": (*FORMATS, "empty"), "access": tuple(_WRITABLE), "backendtype": tuple(BACKENDS),
               "devtype": ("disk", "cdrom")}.get(name)  # fmt: skip
    if allowed and value not in allowed:
        raise InvalidArgument(f"disk {text!r}: {name} is {value!r}", remedy=f"one of {', '.join(allowed)}",
                              value=value, allowed=list(allowed))  # fmt: skip
    if hasattr(spec, name):
        setattr(spec, name, value)


def _flag(spec: DiskSpec, word: str) -> None:
    if word == "cdrom":
        spec.devtype = "cdrom"
    elif word in ("discard", "no-discard"):
        spec.discard = word == "discard"


def disk_of(text: str, *, hvm: bool) -> Disk:
    """Return the disk of domain XML that a disk string describes."""
    spec = parse_spec(text)
    disk = Disk(device="cdrom" if spec.is_cdrom else "disk")
    disk.driver = DiskDriver(name=BACKENDS.get(spec.backendtype, "qemu"))
    if spec.target.startswith("rbd:"):
        disk.type, disk.source = "network", _rbd_source(spec.target)
    else:
        disk.type = "block" if spec.backendtype == "phy" else "file"
        if spec.target:
            block = disk.type == "block"
            disk.source = StorageSource(dev=spec.target) if block else StorageSource(file=spec.target)
    if spec.format != "empty" and not (spec.is_cdrom and not spec.target):
        disk.driver.type = FORMATS[spec.format or "raw"]
    if spec.discard is not None:
        disk.driver.discard = "unmap" if spec.discard else "ignore"
    disk.target = DiskTarget(dev=spec.vdev, bus=bus_of(spec.vdev, hvm=hvm))
    if spec.is_cdrom or not _WRITABLE[spec.access or "rw"]:
        disk.readonly = True
    elif "!" in spec.access:
        disk.shareable = True
    if spec.backend:
        disk.backend_domain = BackendDomain(name=spec.backend)
    disk.address = _address_of(disk)
    return disk


def bus_of(vdev: str, *, hvm: bool) -> str:
    """Return the bus that a virtual device is on: what is not emulated is on xenbus."""
    if not hvm or vdev.startswith(("xvd", "d")):
        return "xen"
    return "scsi" if vdev.startswith("sd") else "ide"


def _address_of(disk: Disk) -> DriveAddress | None:
    """Return where libvirt places a disk by its name: 4 to an IDE controller, 7 to a SCSI one."""
    name = (disk.target.dev or "").rstrip("0123456789")
    index = 0
    for letter in name[2:]:
        if not "a" <= letter <= "z":
            return None
        index = index * 26 + ord(letter) - ord("a") + 1
    index -= 1
    if index < 0:
        return None
    if disk.target.bus == "ide":
        return DriveAddress(controller=index // 4, bus=index % 4 // 2, target=0, unit=index % 2)
    if disk.target.bus == "scsi":
        return DriveAddress(controller=index // 7, bus=0, target=0, unit=index % 7)
    return None


def _rbd_source(target: str) -> StorageSource:
    """Read `rbd:pool/image:mon_host=a\\:6789\\;b\\:6789:…`, as QEMU's rbd driver takes it."""
    name, *options = re.split(r"(?<!\\):", target[4:])
    source = StorageSource(protocol="rbd", name=name.replace("\\", ""))
    for option in options:
        key, _, value = option.partition("=")
        if key == "mon_host":
            source.hosts = [_host(one) for one in re.split(r"\\?;", value) if one]
        elif key == "conf":
            from ...config.domain.storage import ConfigFile

            source.config = ConfigFile(file=value.replace("\\", ""))
    image, at, snapshot = (source.name or "").partition("@")
    if at:
        from ...config.domain.storage import Named

        source.name, source.snapshot = image, Named(name=snapshot)
    return source


def _host(text: str) -> Host:
    plain = text.replace("\\", "")
    if match := re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?", plain):
        port = match[2] or match[4]
        return Host(name=match[1] or match[3], port=int(port) if port else None)
    return Host(name=plain)


_RBD = ":@\\"
"""What has a meaning in names of RBD (docs/system/qemu-block-drivers of QEMU)."""


def spec_of(disk: Disk) -> str:
    """Return the disk string of a disk of domain XML.

    Raises: ConfigUnsupported for a format, driver or source that xl does not have.
    """
    if disk.device not in ("disk", "cdrom"):
        raise _unsupported("@device", disk.device, ["disk", "cdrom"])
    back = {xml: xl for xl, xml in FORMATS.items()}
    kind = disk.driver.type or "raw"
    if kind not in back:
        raise _unsupported("driver/@type", kind, list(back))
    vdev = word(disk.target.dev or "", "a name of a disk")
    words = [f"format={back[kind]}", f"vdev={vdev}", f"access={_access(disk)}"]
    name = disk.driver.name
    if name is None:
        name = "phy" if disk.type == "block" else "qemu"
    backends = {**{xml: xl for xl, xml in BACKENDS.items()}, "file": "qdisk", "tap2": "tap"}
    if name not in backends:
        raise _unsupported("driver/@name", name, list(backends))
    words.append(f"backendtype={backends[name]}")
    if disk.driver.discard is not None:
        words.append("discard" if disk.driver.discard == "unmap" else "no-discard")
    if disk.device == "cdrom":
        words.append("devtype=cdrom")
    if disk.backend_domain is not None and disk.backend_domain.name:
        words.append(f"backend={word(disk.backend_domain.name, 'a domain')}")
    target = _target(disk)
    return ",".join(words) + (f",target={target}" if target else "")


def _access(disk: Disk) -> str:
    if disk.readonly or disk.device == "cdrom":
        return "ro"
    return "!" if disk.shareable else "rw"


def _target(disk: Disk) -> str:
    source = disk.source
    if disk.type in ("file", "block"):
        return source.file or source.dev or ""
    if disk.type != "network" or source.protocol != "rbd":
        raise _unsupported("@type", source.protocol or disk.type, ["file", "block", "network with rbd"])
    name = word(source.name or "", "an image", beside=_RBD)
    if source.snapshot is not None and source.snapshot.name:
        name += f"@{word(source.snapshot.name, 'a snapshot', beside=_RBD)}"
    target = f"rbd:{name}:auth_supported=none"
    if source.hosts:
        target += ":mon_host=" + "\\;".join(_monitor(host) for host in source.hosts)
    if source.config is not None and source.config.file:
        target += f":conf={word(source.config.file, 'a path', beside=_RBD)}"
    return target


def _monitor(host: Host) -> str:
    name = word(host.name or "", "a host", beside=";\\[]@=")
    if ":" in name and not re.fullmatch("[0-9A-Fa-f:.]+", name):
        raise _unsupported("source/host/@name", name, ["a name", "an address"])
    if ":" in name:
        name = "[" + name.replace(":", "\\:") + "]"
    return f"{name}\\:{host.port}" if host.port else name


def _unsupported(where: str, value: str, allowed: list[str]) -> ConfigUnsupported:
    return ConfigUnsupported(f"Xen has no disk with {where} {value!r}", remedy=f"use one of {', '.join(allowed)}",
                             path=f"/domain/devices/disk/{where}", value=value, allowed=allowed)  # fmt: skip
