"""All devices of a guest, in the order in which libvirt writes them."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import children, optional
from ..xml.fields import text
from .balloon import Memballoon
from .chardev import Channel, Console, Hub, Parallel, Redirdev, Redirfilter, Serial, Smartcard
from .controller import Controller
from .device import Device
from .disk import Disk
from .filesystem import Filesystem
from .graphics import Graphics
from .hostdev import Hostdev
from .input import Input
from .interface import Interface
from .memory_device import MemoryDevice
from .panic import Panic
from .rng import Rng
from .shmem import Crypto, Iommu, Lease, Nvram, Pstore, Shmem, Vsock
from .sound import Audio, Sound
from .tpm import Tpm
from .video import Video
from .watchdog import Watchdog


class Devices(Element):
    """All devices of a guest."""

    emulator: str | None = text("emulator")
    disks: list[Disk] = children("disk", Disk)
    controllers: list[Controller] = children("controller", Controller)
    leases: list[Lease] = children("lease", Lease)
    filesystems: list[Filesystem] = children("filesystem", Filesystem)
    interfaces: list[Interface] = children("interface", Interface)
    smartcards: list[Smartcard] = children("smartcard", Smartcard)
    serials: list[Serial] = children("serial", Serial)
    parallels: list[Parallel] = children("parallel", Parallel)
    consoles: list[Console] = children("console", Console)
    channels: list[Channel] = children("channel", Channel)
    inputs: list[Input] = children("input", Input)
    tpms: list[Tpm] = children("tpm", Tpm)
    graphics: list[Graphics] = children("graphics", Graphics)
    sounds: list[Sound] = children("sound", Sound)
    audios: list[Audio] = children("audio", Audio)
    videos: list[Video] = children("video", Video)
    hostdevs: list[Hostdev] = children("hostdev", Hostdev)
    redirdevs: list[Redirdev] = children("redirdev", Redirdev)
    redirfilter: Redirfilter | None = optional("redirfilter", Redirfilter)
    hubs: list[Hub] = children("hub", Hub)
    watchdogs: list[Watchdog] = children("watchdog", Watchdog)
    memballoon: Memballoon | None = optional("memballoon", Memballoon)
    rngs: list[Rng] = children("rng", Rng)
    nvram: Nvram | None = optional("nvram", Nvram)
    panics: list[Panic] = children("panic", Panic)
    shmems: list[Shmem] = children("shmem", Shmem)
    memories: list[MemoryDevice] = children("memory", MemoryDevice)
    cryptos: list[Crypto] = children("crypto", Crypto)
    iommu: Iommu | None = optional("iommu", Iommu)
    vsock: Vsock | None = optional("vsock", Vsock)
    pstore: Pstore | None = optional("pstore", Pstore)

    def every(self) -> Iterator[Device]:
        """Yield all devices that have an alias and an address, in the order of writing."""
        values = self.__dict__
        for name in [name for name in self._named if name in values]:
            value = values.get(name)
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, Device):
                    yield item
