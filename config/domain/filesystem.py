"""Folders of the host that the guest mounts."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import BYTES, ON_OFF, UINT, UINT32, words
from ..xml.extra import Problem
from ..xml.fields import attr, flag, text
from .device import Device, VirtioDriver
from .filling import Filling
from .words import OCTAL_MODE, STORAGE_FORMAT, VIRTIO_MODEL


class FilesystemDriver(VirtioDriver, change="re-create"):
    """What serves the folder."""

    type: str | None = attr("type", words("default", "path", "handle", "loop", "nbd", "ploop", "virtiofs", "mtp"))
    format: str | None = attr("format", STORAGE_FORMAT)
    wrpolicy: str | None = attr("wrpolicy", words("default", "immediate"))
    queue: int | None = attr("queue", UINT32)
    name: str | None = attr("name")


class FilesystemSource(Element, change="re-create"):
    """What is mounted."""

    dir: str | None = attr("dir")
    file: str | None = attr("file")
    dev: str | None = attr("dev")
    name: str | None = attr("name")
    usage: int | None = attr("usage", UINT)
    units: str | None = attr("units")
    socket: str | None = attr("socket")
    pool: str | None = attr("pool")
    volume: str | None = attr("volume")


class FilesystemTarget(Element, change="re-create"):
    """The name (or folder) under which the guest finds it."""

    dir: str | None = attr("dir")


class FolderCache(Element, change="re-create"):
    """Whether the guest keeps contents and attributes."""

    mode: str | None = attr("mode", words("none", "always"))


class Sandbox(Element, change="re-create"):
    """What keeps the daemon inside its folder."""

    mode: str | None = attr("mode", words("namespace", "chroot"))


class Lock(Element, change="re-create"):
    """Which locks are handed on to the host."""

    posix: bool | None = attr("posix", ON_OFF)
    flock: bool | None = attr("flock", ON_OFF)


class ThreadPool(Element, change="re-create"):
    """Threads that serve requests."""

    size: int | None = attr("size", UINT32)


class Binary(Element, change="re-create"):
    """The virtiofs daemon."""

    path: str | None = attr("path")
    xattr: bool | None = attr("xattr", ON_OFF)
    cache: FolderCache | None = optional("cache", FolderCache)
    sandbox: Sandbox | None = optional("sandbox", Sandbox)
    lock: Lock | None = optional("lock", Lock)
    thread_pool: ThreadPool | None = optional("thread_pool", ThreadPool)


class Filesystem(Device, change="re-create"):
    """A folder, file or volume that the guest mounts."""

    type: str = attr("type", words("mount", "block", "file", "template", "ram", "bind", "volume"), default="mount")
    accessmode: str | None = attr("accessmode", words("passthrough", "mapped", "squash"))
    model: str | None = attr("model", VIRTIO_MODEL)
    fmode: str | None = attr("fmode", OCTAL_MODE)
    dmode: str | None = attr("dmode", OCTAL_MODE)
    multidevs: str | None = attr("multidevs", words("default", "remap", "forbid", "warn"))
    driver: FilesystemDriver = child("driver", FilesystemDriver)
    binary: Binary | None = optional("binary", Binary)
    source: FilesystemSource = child("source", FilesystemSource)
    target: FilesystemTarget = child("target", FilesystemTarget)
    readonly: bool = flag("readonly")
    space_hard_limit: int | None = text("space_hard_limit", BYTES)
    space_soft_limit: int | None = text("space_soft_limit", BYTES)

    def fill(self, filling: Filling) -> None:
        """A mounted folder keeps the host's owners and modes unless told otherwise."""
        self.__dict__.setdefault("type", "mount")
        if self.driver.type == "default":
            self.driver.type = None
        if self.driver.wrpolicy == "default":
            self.driver.wrpolicy = None
        if filling.is_qemu and self.type == "mount":
            self.accessmode = self.accessmode or "passthrough"

    def problems(self) -> Iterator[Problem]:
        """Check that source and target are there."""
        if not self.target.dir and not self.source.socket:
            yield Problem("target/@dir", None, "a filesystem needs the name by which the guest finds it")
        needed = {"mount": "dir", "bind": "dir", "file": "file", "block": "dev", "template": "name", "ram": "usage"}
        name = needed.get(self.type)
        if name and getattr(self.source, name) is None and not self.source.socket:
            yield Problem(f"source/@{name}", None, f"a filesystem of type {self.type} needs it")
