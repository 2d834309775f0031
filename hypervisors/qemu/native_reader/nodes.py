"""Block nodes: from the node that a device names down to its sources (the reverse of argv/nodes.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....config.domain.disk import Disk
from ....config.domain.storage import BackingStore, CacheSize, Encryption, Format, Secret, Slice, Slices, StorageSource
from ..argv.nodes import CACHES
from .reading import Reading, UnmappedError
from .sources import READERS, _secret, read_source
from .values import Props

FORMATS = {"raw": "raw", "qcow2": "qcow2", "qcow": "qcow", "qed": "qed", "vmdk": "vmdk", "vdi": "vdi", "vpc": "vpc",
           "vhdx": "vhdx", "parallels": "ploop", "cloop": "cloop", "dmg": "dmg", "bochs": "bochs", "luks": "luks"}
DEPTH = 64


@dataclass(slots=True)
class Image:
    """One image of a chain, and what is below it."""

    kind: str
    source: StorageSource
    format: str = "raw"
    cache_size: int | None = None
    below: Image | None = None
    ends: bool = False
    """Whether the chain ends here for good (`backing` is null)."""
    read_only: bool = False
    options: dict[str, str] = field(default_factory=dict)
    """discard, detect-zeroes, aio, cache.direct, cache.no-flush, copy-on-read as far as they are given."""


OPTIONS = ("detect-zeroes", "aio", "cache.direct", "cache.no-flush")


def read_image(reading: Reading, name: str, depth: int = 0) -> Image:
    """Return what the node `name` is; its nodes are taken.

    Raises:
        UnmappedError: domain XML cannot say it.
    """
    props = reading.backend("blockdev", name)
    if props is None or depth > DEPTH:
        raise UnmappedError(f"there is no block node {name!r}")
    try:
        return read_node(reading, props, depth)
    except UnmappedError:
        reading.backends["blockdev"][name] = props
        raise


def read_node(reading: Reading, props: Props, depth: int) -> Image:
    """Return what a node is, from its pairs."""
    before = list(props.pairs)
    driver = props.take("driver") or ""
    props.drop("node-name", "auto-read-only", "force-share")
    try:
        if driver in READERS:
            return _protocol(reading, driver, props)
        if driver == "copy-on-read":
            image = read_image(reading, props.take("file") or "", depth + 1)
            image.options["copy-on-read"] = "on"
            return image
        if driver in FORMATS:
            return _format(reading, driver, props, depth)
        raise UnmappedError(f"block driver {driver}")
    except UnmappedError:
        props.pairs = before
        raise


def _protocol(reading: Reading, driver: str, props: Props) -> Image:
    found = read_source(reading, driver, props)
    if found is None:
        raise UnmappedError(f"block driver {driver}")
    image = Image(*found)
    image.read_only = bool(props.flag("read-only"))
    _take_options(image, props)
    if props.take("discard") == "ignore":
        image.options["discard"] = "ignore"
    if reading.reservations is not None:
        image.source.reservations, reading.reservations = reading.reservations, None
    if props.take("fat") == "rw":
        image.options["rw"] = "on"
    reading.left(props, "the source of a disk")
    return image


def _take_options(image: Image, props: Props) -> None:
    for name in OPTIONS:
        value = props.take(name)
        if value is not None:
            image.options[name] = value


def _format(reading: Reading, driver: str, props: Props, depth: int) -> Image:
    inner = props.take("file")
    if inner is not None:
        image = read_image(reading, inner, depth + 1)
    else:
        image = read_node(reading, props.sub("file"), depth + 1)
    if driver == "raw" and (props.has("offset") or props.has("size")):
        image.source.slices = Slices(slices=[
            Slice(type="storage", offset=props.size("offset"), size=props.size("size") or 0)])  # fmt: skip
        props.drop("discard")
        return image
    image.format = FORMATS[driver] if image.kind != "dir" else "fat"
    discard = image.options.pop("discard", None)
    given = props.take("discard")
    if given is not None or discard is not None:
        image.options["discard"] = given or discard or ""
    _take_options(image, props)
    image.read_only = bool(props.flag("read-only"))
    image.cache_size = props.size("cache-size")
    _encryption(reading, driver, image, props)
    if props.has("backing"):
        below = props.take("backing")
        image.ends = not below
        if below:
            image.below = read_image(reading, below, depth + 1)
    reading.left(props, "the format of a disk")
    return image


def _encryption(reading: Reading, driver: str, image: Image, props: Props) -> None:
    kind = props.take("encrypt.format")
    option = "key-secret" if driver == "luks" else "encrypt.key-secret"
    secret: Secret | None = _secret(reading, props, option, "passphrase")
    if secret is None:
        return
    image.source.encryption = Encryption(format="qcow" if kind == "aes" else "luks", secrets=[secret])
    if driver == "luks":
        image.format = "raw"


def fill_disk(disk: Disk, image: Image, write_cache: bool | None) -> None:
    """Write an image and its chain into a disk.

    Args:
        disk: the disk.
        image: what its topmost node is.
        write_cache: what the device says of its cache.
    """
    disk.type, disk.source = image.kind, image.source
    driver = disk.driver
    driver.name, driver.type = "qemu", image.format
    disk.readonly = image.read_only and not (image.kind == "dir" and image.options.get("rw") == "on")
    options = image.options
    driver.discard = options.get("discard")
    zeroes = options.get("detect-zeroes")
    driver.detect_zeroes = zeroes if zeroes in ("on", "off", "unmap") else None
    driver.io = options.get("aio")
    driver.copy_on_read = True if options.get("copy-on-read") == "on" else None
    driver.cache = cache_mode(options.get("cache.direct"), options.get("cache.no-flush"), write_cache)
    driver.metadata_cache = CacheSize(max_size=image.cache_size) if image.cache_size else None
    disk.backing_store = _store(image)


def cache_mode(direct: str | None, no_flush: str | None, write_cache: bool | None) -> str | None:
    """Return libvirt's word for how the host's cache is used; None where nothing is said."""
    if direct is None and no_flush is None and write_cache is None:
        return None
    wanted = (write_cache is not False, direct == "on", no_flush == "on")
    return next((mode for mode, settings in CACHES.items() if settings == wanted), None)


def _store(image: Image) -> BackingStore | None:
    if image.below is None:
        return BackingStore() if image.ends and image.format not in ("raw", "fat") else None
    below = image.below
    store = BackingStore(type=below.kind, format=Format(type=below.format), source=below.source)
    store.backing_store = _store(below)
    if below.cache_size and store.format is not None:
        store.format.metadata_cache = CacheSize(max_size=below.cache_size)
    return store
