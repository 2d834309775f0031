"""Block nodes: chains of protocol node, slice, format node and backing images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....config.domain.disk import Disk
from ....config.domain.storage import BackingStore, CacheSize, StorageSource
from ....config.xml.binding import Element
from .storage import SourceBuilder

if TYPE_CHECKING:
    from .context import Build

FORMATS = {"fat": "raw", "vhd": "vpc", "cow": None, "ploop": "parallels"}
"""Names of formats that QEMU spells otherwise (None: it has no such driver any more)."""
CACHES: dict[str, tuple[bool, bool, bool]] = {
    "none": (True, True, False),
    "writeback": (True, False, False),
    "writethrough": (False, False, False),
    "directsync": (False, True, False),
    "unsafe": (True, False, True),
}
"""write-cache, direct, no-flush by cache mode (qemu(1), "-drive cache=")."""


def cache_of(disk: Disk) -> str:
    """Return the cache mode of a disk: what several guests write must not lie in the host's cache."""
    mode = disk.driver.cache or "default"
    return "none" if mode == "default" and disk.shareable else mode


def overlay_path(folder: str, uuid: str | None, dev: str | None) -> str:
    """Return where the image over a transient disk lies; removed by the beginning of its name."""
    return f"{folder}/{uuid}-{dev}.transient"


class Chain:
    """Builds the nodes of one disk, backing images first.

    Args:
        build: the command line.
        disk: the disk.
        number: the number of its topmost image; the images below count on.
    """

    def __init__(self, build: Build, disk: Disk, number: int) -> None:
        self.build = build
        self.disk = disk
        self.number = number

    def length(self) -> int:
        """Return how many images the definition names."""
        count, below = 1, self.disk.backing_store
        while below is not None and below.source is not None:
            count += 1
            below = below.backing_store
        return count

    def add(self) -> str | None:
        """Add the nodes; return the name that the device is given, None for an empty drive."""
        disk = self.disk
        image_format = disk.driver.type or "raw"
        # images below are read only; whether they may be written for a commit is QEMU's own affair
        backing = self._add_backing()
        read_only = disk.readonly or disk.device == "cdrom" or disk.transient is not None
        top = self._add_image(
            disk, disk.type, disk.source, image_format, self.number, read_only=read_only, backing=backing,
            cache_size=disk.driver.metadata_cache,
        )
        if top is not None and disk.transient is not None:
            return self._add_overlay(top, image_format)
        if top is not None and disk.driver.copy_on_read:
            name = f"libvirt-CoR-{disk.target.dev}"
            self.build.blockdev({"driver": "copy-on-read", "node-name": name, "file": top})
            return name
        return top

    def _add_overlay(self, below: str, image_format: str) -> str:
        """Add an image over the disk's own, which takes all that the guest writes and goes when it ends."""
        build, disk = self.build, self.disk
        source = disk.source.file or disk.source.dev
        if source is None or image_format not in ("raw", "qcow2") or disk.device != "disk":
            raise build.refuse(disk, "transient", "only raw and qcow2 files or devices can forget their changes")
        path = overlay_path(build.resources.nvram_dir or build.resources.guest_dir, build.domain.uuid, disk.target.dev)
        build.use_file(path, read_only=False, kind="overlay", template=source, template_format=image_format)
        name = f"libvirt-{self.number}-overlay"
        build.blockdev({
            "driver": "file", "filename": path, "node-name": f"{name}-storage", **self._tuning(),
            "auto-read-only": True, "discard": self._discard(),
        })  # fmt: skip
        build.blockdev({
            "node-name": name, "read-only": False, **self._cache(), "driver": "qcow2", "file": f"{name}-storage",
            "backing": below,
        })  # fmt: skip
        return name

    def _add_backing(self) -> str | bool | None:
        """Add the images below; return the name of the uppermost, True to leave it to QEMU, None for none."""
        stores: list[BackingStore] = []
        below = self.disk.backing_store
        while below is not None and below.source is not None and below.type is not None:
            stores.append(below)
            below = below.backing_store
        name: str | bool | None = None if below is not None else True
        for depth, store in reversed(list(enumerate(stores, 1))):
            kind = store.type or "file"
            image_format = store.format.type if store.format is not None and store.format.type else "raw"
            assert store.source is not None
            made = self._add_image(
                store, kind, store.source, image_format, self.number + depth, read_only=True, backing=name,
                cache_size=store.format.metadata_cache if store.format is not None else None,
            )
            name = made
        return name

    def _add_image(
        self, part: Element, kind: str, source: StorageSource, image_format: str, number: int, *, read_only: bool,
        backing: str | bool | None, cache_size: CacheSize | None,
    ) -> str | None:
        base = f"libvirt-{number}"
        storage = f"{base}-storage"
        builder = SourceBuilder(self.build, part, kind, self._with_auth(part, source), storage)
        node = builder.node(read_only=read_only, device=self.disk.device, image_format=image_format)
        if node is None:
            return None
        node |= {"node-name": storage, **self._tuning(), "auto-read-only": True, "discard": self._discard()}
        self.build.blockdev(node)
        lower = self._add_slice(part, source, base, storage)
        top: dict[str, Any] = {"node-name": f"{base}-format", "read-only": read_only}
        top |= self._cache() | self._format_options(part, image_format, source, f"{base}-format", cache_size)
        top["file"] = lower
        if backing is not True and (backing is not None or image_format not in ("raw", "fat")):
            top["backing"] = backing
            self.build.blockdev(top, ends=True)
        else:
            self.build.blockdev(top)
        return f"{base}-format"

    def _with_auth(self, part: Element, source: StorageSource) -> StorageSource:
        """Return the source with the login that older definitions have beside it."""
        if isinstance(part, Disk) and part.auth is not None:
            if source.auth is not None:
                raise self.build.refuse(part, "auth", "the login is given twice, here and in <source>")
            source = source.copy()
            source.auth = part.auth
        return source

    def _add_slice(self, part: Element, source: StorageSource, base: str, storage: str) -> str:
        slices = source.slices.slices if source.slices is not None else []
        if not slices:
            return storage
        piece = slices[0]
        name = f"{base}-slice-sto"
        self.build.blockdev({
            "driver": "raw", "node-name": name, "offset": piece.offset or 0, "size": piece.size or None,
            "auto-read-only": True, "discard": "unmap", "file": storage,
        })  # fmt: skip
        return name

    def _tuning(self) -> dict[str, Any]:
        driver = self.disk.driver
        options: dict[str, Any] = {}
        if driver.io in ("native", "threads", "io_uring") and self.disk.type in ("file", "block"):
            options["aio"] = driver.io
            if driver.io == "native" and driver.cache not in ("none", "directsync"):
                raise self.build.refuse(self.disk, "driver/@io", "native needs cache mode none or directsync")
        return options | self._cache()

    def _cache(self) -> dict[str, Any]:
        mode = CACHES.get(cache_of(self.disk))
        return {} if mode is None else {"cache": {"direct": mode[1], "no-flush": mode[2]}}

    def _discard(self) -> str:
        # libvirt lets trims through unless the definition says otherwise
        return "ignore" if self.disk.driver.discard == "ignore" else "unmap"

    def _format_options(
        self, part: Element, image_format: str, source: StorageSource, name: str, cache_size: CacheSize | None
    ) -> dict[str, Any]:
        driver = FORMATS.get(image_format, image_format)
        if image_format in ("dir", "aio", "iso"):
            raise self.build.refuse(part, "driver/@type", f"{image_format} is no format of an image",
                                    remedy="Use raw, or fat for a folder that is shown as a disk")
        if driver is None:
            raise self.build.refuse(part, "driver/@type", f"QEMU has no driver for {image_format} any more")
        disk = self.disk
        options: dict[str, Any] = {}
        if disk.driver.discard in ("unmap", "ignore"):
            options["discard"] = disk.driver.discard
        if disk.driver.detect_zeroes in ("on", "unmap", "off"):
            unmap = disk.driver.detect_zeroes == "unmap" and disk.driver.discard != "unmap"
            options["detect-zeroes"] = "on" if unmap else disk.driver.detect_zeroes
        encryption = source.encryption or (part.encryption if isinstance(part, Disk) else None)
        if encryption is not None:
            secret = self._encryption_secret(part, encryption, name)
            if driver == "qcow2":
                kind = "luks" if encryption.format in ("luks", None) else "aes"
                return options | {"driver": "qcow2", "encrypt": {"format": kind, "key-secret": secret},
                                  **self._table_cache(cache_size)}
            if encryption.format == "luks" and driver in ("raw", "luks"):
                return options | {"driver": "luks", "key-secret": secret}
            raise self.build.refuse(part, "source/encryption/@format", f"{driver} images cannot be encrypted so")
        return options | {"driver": driver, **(self._table_cache(cache_size) if driver == "qcow2" else {})}

    @staticmethod
    def _table_cache(cache_size: CacheSize | None) -> dict[str, Any]:
        if cache_size is None or cache_size.max_size is None:
            return {}
        return {"cache-size": cache_size.max_size}

    def _encryption_secret(self, part: Element, encryption: Any, name: str) -> str:
        secrets = encryption.secrets
        purpose = (secrets[0].uuid or secrets[0].usage) if secrets else None
        path = self.build.secret_file(purpose or "")
        if path is None:
            raise self.build.refuse(part, "source/encryption/secret", f"the node knows no secret {purpose!r}",
                                    remedy="Define the secret and set its value first")
        return self.build.object("secret", f"{name}-encryption-secret0", part, file=path, format="raw")
