"""What each element of a definition names on the host: one maker of claims for each class of the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .chardev import Chardev, ChardevSource, Redirdev, Smartcard
from .claim import (
    BIND,
    BRIDGE,
    CONNECT,
    DEVICE,
    EMULATOR,
    FILE,
    FOLDER,
    FORMATS,
    HOST,
    NEW,
    PASSTHROUGH,
    SECRET,
    SHARE,
    Claim,
)
from .devices import Devices
from .disk import Disk
from .filesystem import Filesystem
from .graphics import Graphics
from .hostdev import Hostdev, Rom
from .input import Input
from .interface import Backend, Interface
from .memory_device import MemoryDevice
from .os import AcpiTable, Loader, NvramFile, Os
from .rng import RngBackend
from .shmem import Lease, Shmem
from .sound import Audio
from .storage import BackingStore, Encryption, Mirror, StorageSource
from .sysinfo import Sysinfo
from .tpm import TpmBackend
from .tune import Scheduler

if TYPE_CHECKING:
    from ..xml.binding import Element

GENERATED = ("vnet", "macvtap", "macvlan", "tap%d")


def _field(
    kind: str, element: Element, field: str, path: str, *, write: bool = False, detail: str = ""
) -> Iterator[Claim]:
    """Yield the claim of one field that holds a name, if it does."""
    name = getattr(element, field)
    if name:
        declared = element._named[field]
        below = f"/@{declared.xml}" if declared.is_attr else f"/{declared.xml}" if declared.is_child else ""
        yield Claim(kind=kind, name=name, write=write, detail=detail, path=path + below, place=(element, field))


def _beyond(path: str, what: str) -> Claim:
    return Claim(kind=PASSTHROUGH, name=what, path=path)


# ---- disks


def _disk(path: str, item: Disk) -> Iterator[Claim]:
    write = not (item.readonly or item.device == "cdrom" or item.transient is not None)
    if item.rawio or item.sgio == "unfiltered":
        yield _beyond(f"{path}/@rawio", "any command of SCSI")
    if item.auth is not None:
        yield from _secret(f"{path}/auth/secret", item.auth.secret)
    if item.backend_domain is not None:
        yield _beyond(f"{path}/backenddomain", "another domain of Xen")
    yield from _source(f"{path}/source", item.type, item.source, write=write, image=item.driver.type)


def _backing(path: str, item: BackingStore) -> Iterator[Claim]:
    if item.source is not None:
        image = item.format.type if item.format is not None else None
        yield from _source(f"{path}/source", item.type or "file", item.source, write=False, image=image)


def _mirror(path: str, item: Mirror) -> Iterator[Claim]:
    yield _beyond(path, "the other end of a copy")


def _source(path: str, kind: str, source: StorageSource, *, write: bool, image: str | None) -> Iterator[Claim]:
    if image not in FORMATS:
        yield _beyond(path, f"an image of the format {image}")
    if image == "qcow2" and (kind == "network" or source.hosts or source.slices is not None):
        yield _beyond(path, "an image whose header lies where nobody looks before QEMU does")
    detail = image or "raw"
    yield from _field(FILE, source, "file", path, write=write, detail=detail)
    yield from _field(DEVICE, source, "dev", path, write=write, detail=detail)
    yield from _field(PASSTHROUGH, source, "dir", path)  # QEMU's vvfat follows the links in it
    yield from _field(CONNECT, source, "path", path)
    for part in ("reservations", "identity", "known_hosts", "config", "fdgroup"):
        if source.given(part):
            yield _beyond(f"{path}/{part}", f"a source with {part}")
    if kind in ("nvme", "volume", "vhostuser"):
        yield _beyond(path, f"a disk of type {kind}")
    if kind == "network" or source.hosts:
        yield from _servers(path, source)
    if source.auth is not None:
        yield from _secret(f"{path}/auth/secret", source.auth.secret)


def _servers(path: str, source: StorageSource) -> Iterator[Claim]:
    if not source.hosts:
        yield _beyond(path, f"the {source.protocol} servers of the host's own settings")
    for host in source.hosts:
        yield from _field(HOST, host, "name", f"{path}/host")
        yield from _field(CONNECT, host, "socket", f"{path}/host")
        if not host.name and not host.socket:
            yield Claim(kind=HOST, name="localhost", path=f"{path}/host")


def _encryption(path: str, item: Encryption) -> Iterator[Claim]:
    for secret in item.secrets:
        yield from _secret(f"{path}/secret", secret)


def _secret(path: str, secret: Any) -> Iterator[Claim]:
    name = secret.uuid or secret.usage
    if name:
        yield Claim(kind=SECRET, name=name, path=path)


# ---- character devices


def _chardev(path: str, item: Chardev) -> Iterator[Claim]:
    yield from _backend(path, item.type, item.sources)
    if item.log is not None:
        yield from _field(FILE, item.log, "file", f"{path}/log", write=True, detail=NEW)
    if isinstance(item, Smartcard) and item.mode != "passthrough":
        yield _beyond(path, "the host's own smart cards")


def _rng(path: str, item: RngBackend) -> Iterator[Claim]:
    yield from _backend(path, item.type, item.sources)
    yield from _field(DEVICE, item, "path", path)
    if item.log is not None:
        yield from _field(FILE, item.log, "file", f"{path}/log", write=True, detail=NEW)


def _backend(path: str, kind: str | None, sources: list[ChardevSource]) -> Iterator[Claim]:
    for source in sources:
        where = f"{path}/source"
        if kind == "file":
            yield from _field(FILE, source, "path", where, write=True, detail=NEW)
        elif kind == "dev":
            yield from _field(DEVICE, source, "path", where, write=True)
        elif kind == "unix":
            yield from _field(CONNECT if source.mode == "connect" else BIND, source, "path", where)
        elif kind in ("tcp", "udp"):
            yield Claim(kind=HOST, name=source.host or "localhost", path=f"{where}/@host")
        elif kind == "pty":
            yield from ()  # the node chooses it
        elif kind in ("pipe", "nmdm"):
            yield _beyond(where, f"a character device of type {kind}")
        if source.path and kind == "pty" and not source.path.startswith("/dev/pts/"):
            yield _beyond(where, source.path)


# ---- the network


def _interface(path: str, item: Interface) -> Iterator[Claim]:
    source = item.source
    kind = item.type
    where = f"{path}/source"
    yield from _field(BRIDGE, source, "bridge", where)
    if kind == "vdpa":
        yield from _field(DEVICE, source, "dev", where, write=True)
    else:
        yield from _field(BRIDGE, source, "dev", where)
    if kind == "network":
        yield from _field(BRIDGE, source, "network", where)
    elif kind in ("mcast", "server", "client", "udp"):
        yield Claim(kind=HOST, name=source.address or "localhost", path=f"{where}/@address")
        if source.local is not None:
            yield Claim(kind=HOST, name=source.local.address or "localhost", path=f"{where}/local")
    elif kind == "hostdev":
        yield _beyond(path, "a device of the host")
    elif kind == "vhostuser":
        yield from _field(BIND if source.mode == "server" else CONNECT, source, "path", where)
    for part in ("script", "downscript", "backend_domain"):
        if item.given(part):
            yield _beyond(f"{path}/{part}", f"an interface with {part}")
    if item.target.dev and not item.target.dev.startswith(GENERATED):
        yield from _field(BRIDGE, item.target, "dev", f"{path}/target")
    elif kind == "ethernet" and item.managed is False:
        yield _beyond(path, "a tap device that others made")


def _net_backend(path: str, item: Backend) -> Iterator[Claim]:
    for field, usual in (("tap", "/dev/net/tun"), ("vhost", "/dev/vhost-net")):
        if getattr(item, field) not in (None, usual):
            yield from _field(PASSTHROUGH, item, field, path)
        elif getattr(item, field):
            yield Claim(kind=DEVICE, name="/dev/null", path=path, place=(item, field))
    if item.log_file:
        yield from _field(PASSTHROUGH, item, "log_file", path)


# ---- other devices


def _devices(path: str, item: Devices) -> Iterator[Claim]:
    yield from _field(EMULATOR, item, "emulator", path)


def _filesystem(path: str, item: Filesystem) -> Iterator[Claim]:
    write, where = not item.readonly, f"{path}/source"
    yield from _field(SHARE, item.source, "dir", where, write=write, detail=item.driver.type or "")
    yield from _field(FILE, item.source, "file", where, write=write, detail=item.driver.format or "raw")
    yield from _field(DEVICE, item.source, "dev", where, write=write)
    yield from _field(CONNECT, item.source, "socket", where)
    if item.type in ("volume", "template"):
        yield _beyond(path, f"a filesystem of type {item.type}")
    if item.binary is not None and item.binary.path:
        yield from _field(EMULATOR, item.binary, "path", f"{path}/binary", detail="virtiofsd")


def _hostdev(path: str, item: Hostdev) -> Iterator[Claim]:
    yield _beyond(path, "a device of the host")


def _rom(path: str, item: Rom) -> Iterator[Claim]:
    yield from _field(FILE, item, "file", path)


def _shmem(path: str, item: Shmem) -> Iterator[Claim]:
    yield _beyond(path, "memory that guests share")


def _lease(path: str, item: Lease) -> Iterator[Claim]:
    yield _beyond(path, "a lease")


def _graphics(path: str, item: Graphics) -> Iterator[Claim]:
    yield from _field(PASSTHROUGH, item, "socket", path)
    yield from _field(PASSTHROUGH, item, "address", path)
    for listen in item.listens:
        yield from _field(PASSTHROUGH, listen, "socket", f"{path}/listen")
    if item.gl is not None:
        yield from _field(DEVICE, item.gl, "rendernode", f"{path}/gl", write=True)
        if item.gl.enable and not item.gl.rendernode:
            yield Claim(kind=DEVICE, name="/dev/dri/renderD128", write=True, path=f"{path}/gl")
    elif item.type == "egl-headless":
        yield Claim(kind=DEVICE, name="/dev/dri/renderD128", write=True, path=path)
    if item.type in ("sdl", "desktop", "rdp"):
        yield _beyond(path, f"a display of type {item.type}")


def _audio(path: str, item: Audio) -> Iterator[Claim]:
    if item.type not in ("none", "spice", "dbus", ""):
        yield _beyond(path, f"the host's sound by {item.type}")


def _input(path: str, item: Input) -> Iterator[Claim]:
    if item.source is not None:
        yield from _field(DEVICE, item.source, "evdev", f"{path}/source", write=True)
        yield from _field(DEVICE, item.source, "dev", f"{path}/source", write=True)


def _tpm(path: str, item: TpmBackend) -> Iterator[Claim]:
    if item.device is not None:
        yield from _field(DEVICE, item.device, "path", f"{path}/device", write=True)
    if item.source is not None:
        kind = FOLDER if item.type == "emulator" else CONNECT
        yield from _field(kind, item.source, "path", f"{path}/source", write=kind == FOLDER)
    if item.encryption is not None:
        yield from _field(SECRET, item.encryption, "secret", f"{path}/encryption")


def _memory(path: str, item: MemoryDevice) -> Iterator[Claim]:
    yield from _field(FILE, item.source, "path", f"{path}/source", write=True)


def _scheduler(path: str, item: Scheduler) -> Iterator[Claim]:
    if item.scheduler in ("fifo", "rr"):
        yield _beyond(path, f"the scheduler {item.scheduler}, before all other processes of the host")


# ---- the boot


def _os(path: str, item: Os) -> Iterator[Claim]:
    for field in ("kernel", "initrd", "dtb", "shim"):
        yield from _field(FILE, item, field, path)


def _loader(path: str, item: Loader) -> Iterator[Claim]:
    write = item.type == "pflash" and item.readonly is False
    yield from _field(FILE, item, "path", path, write=write, detail=item.format or "raw")


def _nvram(path: str, item: NvramFile) -> Iterator[Claim]:
    yield from _field(FILE, item, "path", path, write=True, detail=NEW)
    yield from _field(FILE, item, "template", path, detail="raw")
    if item.source is not None:
        yield from _source(f"{path}/source", item.type or "file", item.source, write=True, image=item.format)


def _table(path: str, item: AcpiTable) -> Iterator[Claim]:
    yield from _field(FILE, item, "path", path)


def _sysinfo(path: str, item: Sysinfo) -> Iterator[Claim]:
    for entry in item.entries:
        yield from _field(FILE, entry, "file", f"{path}/entry")


MAKERS: tuple[tuple[type[Any], Any], ...] = (
    (Disk, _disk), (BackingStore, _backing), (Mirror, _mirror), (Encryption, _encryption), (Redirdev, _chardev),
    (Chardev, _chardev), (RngBackend, _rng), (Interface, _interface), (Backend, _net_backend), (Rom, _rom),
    (Filesystem, _filesystem), (Hostdev, _hostdev), (Shmem, _shmem), (Lease, _lease), (Graphics, _graphics),
    (Audio, _audio), (Input, _input), (TpmBackend, _tpm), (MemoryDevice, _memory), (Os, _os), (Loader, _loader),
    (NvramFile, _nvram), (AcpiTable, _table), (Sysinfo, _sysinfo), (Devices, _devices),
    (Scheduler, _scheduler),
)  # fmt: skip
