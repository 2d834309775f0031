"""Other devices: input, sound, random numbers, watchdogs, TPM, shared memory, folders and the like."""

from __future__ import annotations

from pathlib import PurePosixPath

from ....config.domain.balloon import Memballoon
from ....config.domain.chardev import Hub
from ....config.domain.features import Ioapic
from ....config.domain.filesystem import Filesystem
from ....config.domain.input import Input, InputSource
from ....config.domain.panic import Panic
from ....config.domain.rng import Rng, RngBackend, RngRate
from ....config.domain.shmem import Crypto, CryptoBackend, Iommu, Msi, Shmem, ShmemModel, ShmemServer, Vsock
from ....config.domain.tpm import Tpm, TpmBackend, TpmDevice, TpmSource
from ....config.domain.watchdog import Watchdog
from .chardevs import read_backend
from .placement import DEVICES
from .places import isa_place, pci_place, usb_place, virtio_options
from .reading import Reading, UnmappedError
from .values import Props

USB_INPUTS = {"usb-mouse": "mouse", "usb-tablet": "tablet", "usb-kbd": "keyboard"}
VIRTIO_INPUTS = {"virtio-mouse": "mouse", "virtio-tablet": "tablet", "virtio-keyboard": "keyboard",
                 "virtio-input-host": "passthrough"}
SECURITY = {"passthrough": "passthrough", "mapped": "mapped", "mapped-xattr": "mapped", "none": "squash"}


def virtio_model(driver: str, base: str) -> str | None:
    """Return libvirt's model of a virtio device on PCI: which of the three of `base` it is."""
    endings = {"": "virtio", "-pci": "virtio", "-pci-transitional": "virtio-transitional",
               "-pci-non-transitional": "virtio-non-transitional"}  # fmt: skip
    return endings.get(driver.removeprefix(base)) if driver.startswith(base) else None


def read_input(reading: Reading, props: Props) -> None:
    """Read a mouse, tablet or keyboard."""
    driver = props.take("driver") or ""
    if driver in USB_INPUTS:
        item = Input(type=USB_INPUTS[driver], bus="usb")
        usb_place(reading, item, props)
    else:
        base = next(name for name in VIRTIO_INPUTS if driver.startswith(name))
        item = Input(type=VIRTIO_INPUTS[base], bus="virtio")
        model = virtio_model(driver, base)
        item.model = model if model != "virtio" else None
        virtio_options(item.driver, props)
        if item.type == "passthrough":
            item.source = InputSource(evdev=props.take("evdev"))
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.inputs.append(item)


def read_evdev(reading: Reading) -> None:
    """Read input devices of the host that are objects (input-linux)."""
    for name, props in list(reading.backends["object"].items()):
        if props.peek("qom-type") != "input-linux":
            continue
        reading.backend("object", name)
        source = InputSource(dev=props.take("evdev"), repeat=props.flag("repeat"))
        source.grab_toggle = props.take("grab-toggle")
        if props.flag("grab_all"):
            source.grab = "all"
        props.drop("qom-type", "id")
        reading.left(props, "an input device")
        reading.domain.devices.inputs.append(Input(type="evdev", source=source))


def read_hub(reading: Reading, props: Props) -> None:
    """Read a USB hub."""
    props.drop("driver")
    item = Hub(type="usb")
    usb_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.hubs.append(item)


def read_rng(reading: Reading, props: Props) -> None:
    """Read a source of random numbers."""
    driver = props.take("driver") or ""
    item = Rng(model=virtio_model(driver, "virtio-rng") or "virtio")
    found = reading.backend("object", props.take("rng"))
    kind = found.peek("qom-type") if found is not None else "rng-builtin"
    if found is not None and kind == "rng-egd":
        item.backend = RngBackend(model="egd")
        read_backend(reading, found.take("chardev")).fill(item.backend)
    elif found is not None and kind == "rng-random":
        item.backend = RngBackend(model="random", path=found.take("filename") or "/dev/urandom")
    else:
        item.backend = RngBackend(model="builtin")
    virtio_options(item.driver, props)
    size, period = props.number("max-bytes"), props.number("period")
    if size:
        item.rate = RngRate(bytes=size, period=None if period == 1000 else period)
    elif period is not None:
        props.pairs.append(("period", str(period)))
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.rngs.append(item)


def read_balloon(reading: Reading, props: Props) -> None:
    """Read the balloon."""
    driver = props.take("driver") or ""
    item = Memballoon(model=virtio_model(driver, "virtio-balloon") or "virtio")
    virtio_options(item.driver, props)
    item.autodeflate = props.flag("deflate-on-oom")
    item.free_page_reporting = props.flag("free-page-reporting")
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.memballoon = item


def read_short_balloon(reading: Reading) -> None:
    """Read -balloon (until QEMU 3.1)."""
    for option in reading.each("balloon"):
        if option.value.startswith("virtio"):
            item = Memballoon(model="virtio")
            reading.placement.add(DEVICES, option.place, item)
            reading.domain.devices.memballoon = item


def read_watchdog(reading: Reading, props: Props) -> None:
    """Read a watchdog."""
    item = Watchdog(model=props.take("driver") or "")
    if item.model == "i6300esb":
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.watchdogs.append(item)


def read_watchdog_action(reading: Reading) -> None:
    """Read what happens when a watchdog barks."""
    action = reading.last("watchdog-action")
    if action is None:
        return
    watchdogs = reading.domain.devices.watchdogs
    if not watchdogs:
        reading.note(f"-watchdog-action {action}: left out, the guest has no watchdog")
    for item in watchdogs:
        item.action = action


def read_panic(reading: Reading, props: Props) -> None:
    """Read a device by which the guest says that it crashed."""
    driver = props.take("driver")
    item = Panic(model="isa" if driver == "pvpanic" else "pvpanic")
    if driver == "pvpanic":
        port = props.number("ioport")
        props.pairs += [("iobase", str(port))] if port not in (None, 0x505) else []
        isa_place(item, props)
    else:
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.panics.append(item)


def read_tpm(reading: Reading, props: Props) -> None:
    """Read a trusted platform module."""
    found = reading.backend("tpmdev", props.peek("tpmdev"))
    if found is None:
        raise UnmappedError("a TPM without a backend")
    props.drop("tpmdev")
    item = Tpm(model=props.take("driver"))
    if found.take("type") == "passthrough":
        item.backend = TpmBackend(type="passthrough", device=TpmDevice(path=found.take("path")))
        found.drop("cancel-path")
    else:
        chardev = reading.backend("chardev", found.take("chardev"))
        path = chardev.take("path") if chardev is not None else None
        if path is None or _is_own(path):
            item.backend = TpmBackend(type="emulator", version="2.0")
            reading.note("the TPM's emulator (swtpm) is started by the node, with a state of its own")
        else:
            item.backend = TpmBackend(type="external", source=TpmSource(type="unix", path=path, mode="connect"))
    found.drop("id")
    reading.left(found, "a TPM")
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.tpms.append(item)


def _is_own(path: str) -> bool:
    """Tell whether a socket is one that libvirt or mechane makes for its own swtpm."""
    return "/swtpm/" in path or PurePosixPath(path).name.endswith(("-swtpm.sock", ".swtpm.sock"))


def read_shmem(reading: Reading, props: Props) -> None:
    """Read memory that guests share."""
    driver = props.take("driver") or ""
    item = Shmem(model=ShmemModel(type=driver))
    if driver == "ivshmem-plain":
        found = reading.backend("object", props.take("memdev"))
        if found is None or not found.peek("mem-path").startswith("/dev/shm/"):
            raise UnmappedError("shared memory outside /dev/shm")
        item.name = (found.take("mem-path") or "").removeprefix("/dev/shm/")
        item.size = found.size("size")
    else:
        chardev = reading.backend("chardev", props.take("chardev"))
        path = (chardev.take("path") if chardev is not None else None) or ""
        item.name = PurePosixPath(path).name.removeprefix("shmem-").removesuffix("-sock") or "shmem0"
        item.server = ShmemServer(path=path)
        vectors, eventfd = props.number("vectors"), props.flag("ioeventfd")
        if vectors is not None or eventfd is not None:
            item.msi = Msi(enabled=True, vectors=vectors, ioeventfd=eventfd)
    master = props.flag("master")
    item.role = None if master is None else "master" if master else "peer"
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.shmems.append(item)


def read_vsock(reading: Reading, props: Props) -> None:
    """Read the socket between host and guest."""
    driver = props.take("driver") or ""
    item = Vsock(model=virtio_model(driver, "vhost-vsock") or "virtio")
    virtio_options(item.driver, props)
    item.cid.address, item.cid.auto = props.number("guest-cid"), False
    props.drop("vhostfd")
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.vsock = item


def read_iommu(reading: Reading, props: Props) -> None:
    """Read the guest's IOMMU."""
    intel = props.take("driver") == "intel-iommu"
    item = Iommu(model="intel" if intel else "virtio")
    driver = item.driver
    driver.intremap, driver.eim = props.flag("intremap"), props.flag("eim")
    driver.caching_mode, driver.iotlb = props.flag("caching-mode"), props.flag("device-iotlb")
    driver.aw_bits = props.number("aw-bits")
    if not intel:
        pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    if driver.intremap and reading.domain.features.ioapic is None:
        reading.domain.features.ioapic = Ioapic(driver="qemu")  # no other can be remapped
    reading.domain.devices.iommu = item


def read_crypto(reading: Reading, props: Props) -> None:
    """Read a crypto device."""
    driver = props.take("driver") or ""
    item = Crypto(model=virtio_model(driver, "virtio-crypto") or "virtio", type="qemu")
    found = reading.backend("object", props.take("cryptodev"))
    kind = found.peek("qom-type") if found is not None else ""
    queues = found.number("queues") if found is not None else None
    item.backend = CryptoBackend(model="lkcf" if kind.endswith("lkcf") else "builtin", queues=queues)
    virtio_options(item.driver, props)
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.cryptos.append(item)


def read_folder(reading: Reading, props: Props) -> None:
    """Read a folder of the host that the guest mounts."""
    driver = props.peek("driver")
    item = Filesystem(type="mount")
    if driver == "vhost-user-fs-pci":
        chardev = reading.backend("chardev", props.take("chardev"))
        item.driver.type, item.driver.queue = "virtiofs", props.number("queue-size")
        item.target.dir = props.take("tag")
        item.source.socket = chardev.take("path") if chardev is not None else None
    else:
        found = reading.backend("fsdev", props.peek("fsdev"))
        if found is None or found.peek("fsdriver") != "local":
            raise UnmappedError("a folder that is not local")
        props.drop("fsdev")
        fill_folder(reading, item, found)
        item.target.dir = props.take("mount_tag")
        model = virtio_model(driver, "virtio-9p")
        item.model = model if model != "virtio" else None
        virtio_options(item.driver, props)
    props.drop("driver")
    pci_place(reading, item, props)
    reading.named(item, props)
    reading.override(item, props)
    reading.domain.devices.filesystems.append(item)


def fill_folder(reading: Reading, item: Filesystem, props: Props) -> None:
    """Write what -fsdev or -virtfs says into a folder."""
    item.accessmode = SECURITY.get(props.take("security_model") or "", "passthrough")
    item.source.dir = reading.path(props.take("path") or "")
    item.fmode, item.dmode = props.take("fmode"), props.take("dmode")
    item.multidevs = props.take("multidevs")
    item.readonly = bool(props.flag("readonly"))
    if props.peek("writeout") == "immediate":
        item.driver.type, item.driver.wrpolicy = "path", "immediate"
        props.drop("writeout")
    props.drop("id", "fsdriver")
    reading.left(props, "a shared folder")


def read_short_folders(reading: Reading) -> None:
    """Read -virtfs."""
    for option in reading.each("virtfs"):
        props = reading.props(option, "fsdriver")
        if props.peek("fsdriver") != "local":
            reading.keep(option.words, option.place)
            continue
        item = Filesystem(type="mount")
        item.target.dir = props.take("mount_tag")
        fill_folder(reading, item, props)
        reading.placement.add(DEVICES, option.place, item)
        reading.domain.devices.filesystems.append(item)
