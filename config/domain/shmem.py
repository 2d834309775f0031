"""Memory that guests share, vsock, IOMMU, leases, NVRAM, crypto and pstore devices."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import BYTES, KIB, ON_OFF, UINT, UINT32, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr, text
from .device import Device, VirtioDriver
from .filling import Filling
from .words import UINT8, VIRTIO_MODEL


class ShmemModel(Element, change="re-create"):
    """The emulated device."""

    type: str | None = attr("type", words("ivshmem", "ivshmem-plain", "ivshmem-doorbell"))


class ShmemServer(Element, change="re-create"):
    """The server of a doorbell."""

    path: str | None = attr("path")


class Msi(Element, change="re-create"):
    """Interrupts of a doorbell."""

    enabled: bool | None = attr("enabled", ON_OFF)
    vectors: int | None = attr("vectors", UINT32)
    ioeventfd: bool | None = attr("ioeventfd", ON_OFF)


class Shmem(Device, change="re-create"):
    """A piece of memory that several guests see."""

    name: str = attr("name", default="", required=True)
    role: str | None = attr("role", words("master", "peer"))
    model: ShmemModel | None = optional("model", ShmemModel)
    size: int | None = text("size", BYTES)
    server: ShmemServer | None = optional("server", ShmemServer)
    msi: Msi | None = optional("msi", Msi)

    def problems(self) -> Iterator[Problem]:
        """The name becomes that of a file in /dev/shm."""
        if "/" in self.name or self.name in ("", ".", ".."):
            yield Problem("@name", self.name, "cannot be a file name")


class Cid(Element, change="live"):
    """The guest's address."""

    auto: bool | None = attr("auto", YES_NO)
    address: int | None = attr("address", UINT32)

    def fill(self, filling: Filling) -> None:
        """An address that is not given is chosen at start."""
        if self.auto is None and self.address is None:
            self.auto = True


class Vsock(Device, change="re-create"):
    """A socket between host and guest."""

    model: str | None = attr("model", words("default", "virtio", "virtio-transitional", "virtio-non-transitional"))
    cid: Cid = child("cid", Cid, change="live")
    driver: VirtioDriver = child("driver", VirtioDriver)

    def problems(self) -> Iterator[Problem]:
        """Numbers 0 to 2 are taken (vsock(7))."""
        if self.cid.address is not None and self.cid.address < 3:
            yield Problem("cid/@address", self.cid.address, "a guest's address is 3 or more", "3 or more")


class IommuDriver(Element, change="next_boot"):
    """Options of an IOMMU."""

    intremap: bool | None = attr("intremap", ON_OFF)
    caching_mode: bool | None = attr("caching_mode", ON_OFF)
    eim: bool | None = attr("eim", ON_OFF)
    iotlb: bool | None = attr("iotlb", ON_OFF)
    aw_bits: int | None = attr("aw_bits", UINT8)


class Iommu(Device, change="next_boot"):
    """An IOMMU of the guest."""

    model: str = attr("model", words("intel", "smmuv3", "virtio"), default="", required=True)
    driver: IommuDriver = child("driver", IommuDriver)


class LeaseTarget(Element, change="re-create"):
    """File and offset of a lease."""

    path: str | None = attr("path")
    offset: int | None = attr("offset", UINT)


class Lease(Element, change="re-create"):
    """A lease that the guest must hold while it runs."""

    lockspace: str | None = text("lockspace")
    key: str | None = text("key")
    target: LeaseTarget = child("target", LeaseTarget)

    def problems(self) -> Iterator[Problem]:
        """A lease needs its key and its file."""
        if not self.key:
            yield Problem("key", self.key, "a lease needs a key")
        if not self.target.path:
            yield Problem("target/@path", self.target.path, "a lease needs a file")


class Nvram(Device, change="next_boot"):
    """The NVRAM device of pseries."""


class CryptoBackend(Element, change="re-create"):
    """What does the work."""

    model: str | None = attr("model", words("builtin", "lkcf"))
    queues: int | None = attr("queues", UINT32)


class Crypto(Device, change="re-create"):
    """A crypto device."""

    model: str = attr("model", VIRTIO_MODEL, default="", required=True)
    type: str | None = attr("type", words("qemu"))
    backend: CryptoBackend = child("backend", CryptoBackend)
    driver: VirtioDriver = child("driver", VirtioDriver)


class Pstore(Device, change="next_boot"):
    """Storage for a crashed guest's last words."""

    backend: str | None = attr("backend", words("acpi-erst"))
    path: str | None = text("path")
    size: int | None = text("size", KIB)
