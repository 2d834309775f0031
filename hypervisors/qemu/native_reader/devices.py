"""-device: which reader knows which driver."""

from __future__ import annotations

import re
from collections.abc import Callable

from ....config.domain.chardev import Channel, ChannelTarget
from ....config.domain.domain import GenId
from ....config.domain.features import FeatureState
from . import disks, displays, hostdevs, interfaces, memory, peripherals, ports, sounds
from .chardevs import read_backend
from .controllers import read_controller
from .places import CONTROLLERS, MMIO
from .reading import Reading, UnmappedError
from .values import Props

Reader = Callable[[Reading, Props], None]
FLOPPY = "isa-fdc"
USB_NAME = re.compile(r"host:(?:([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})|(\d{1,3})\.(\d{1,3}))\Z")
"""A USB device of the host: vendor and product, or bus and address."""


def _variants(*bases: str) -> tuple[str, ...]:
    endings = ("", "-pci", "-pci-transitional", "-pci-non-transitional")
    return tuple(base + ending for base in bases for ending in endings)


READERS: dict[str, Reader] = {
    **dict.fromkeys(CONTROLLERS, read_controller),
    **dict.fromkeys(disks.DRIVERS, disks.read_disk),
    **dict.fromkeys(interfaces.CARDS, interfaces.read_card),
    **dict.fromkeys(ports.SERIALS, ports.read_serial), "isa-parallel": ports.read_parallel,
    **dict.fromkeys(("virtserialport", "virtconsole"), ports.read_virtio_port), "usb-redir": ports.read_redirection,
    **dict.fromkeys(("ccid-card-passthru", "ccid-card-emulated"), ports.read_card),
    **dict.fromkeys(displays.CARDS, displays.read_video),
    **dict.fromkeys(peripherals.USB_INPUTS, peripherals.read_input),
    **dict.fromkeys(_variants(*peripherals.VIRTIO_INPUTS), peripherals.read_input), "usb-hub": peripherals.read_hub,
    **dict.fromkeys(_variants("virtio-rng"), peripherals.read_rng),
    **dict.fromkeys(_variants("virtio-balloon"), peripherals.read_balloon),
    **dict.fromkeys(_variants("vhost-vsock"), peripherals.read_vsock),
    **dict.fromkeys(_variants("virtio-crypto"), peripherals.read_crypto),
    **dict.fromkeys((*_variants("virtio-9p"), "vhost-user-fs-pci"), peripherals.read_folder),
    **dict.fromkeys(("i6300esb", "ib700"), peripherals.read_watchdog),
    **dict.fromkeys(("pvpanic", "pvpanic-pci"), peripherals.read_panic),
    **dict.fromkeys(("tpm-tis", "tpm-crb"), peripherals.read_tpm),
    **dict.fromkeys(("ivshmem-plain", "ivshmem-doorbell"), peripherals.read_shmem),
    **dict.fromkeys(("intel-iommu", "virtio-iommu", "virtio-iommu-pci"), peripherals.read_iommu),
    **dict.fromkeys(sounds.MODELS, sounds.read_sound), **dict.fromkeys(sounds.CODEC_TYPES, sounds.read_codec),
    **dict.fromkeys(("vfio-pci", "vfio-pci-nohotplug"), hostdevs.read_vfio), "usb-host": hostdevs.read_usb_host,
    "scsi-generic": hostdevs.read_scsi_generic,
    **dict.fromkeys(memory.MODULES, memory.read_module),
}  # fmt: skip


def choose_transport(props: Props) -> None:
    """Put a virtio device on mmio, which is no PCI device, under the name of its kind, with the place that says so."""
    base = props.peek("driver").removesuffix("-device")
    if props.peek("driver").startswith("virtio-") and base != props.peek("driver") and f"{base}-pci" in READERS:
        props.drop("driver", "bus")
        props.pairs += [("driver", f"{base}-pci"), ("bus", MMIO)]


def choose_generation(props: Props) -> None:
    """Put the driver's own name in the place of the two switches that make a virtio device old, new or both.

    `virtio-net-pci,disable-legacy=on` is `virtio-net-pci-non-transitional` (QEMU's hw/virtio/virtio-pci.c).
    """
    driver = props.peek("driver")
    base = driver if driver.endswith("-pci") else f"{driver}-pci"
    legacy, modern = props.peek("disable-legacy"), props.peek("disable-modern") or "off"
    ending = {"on": "-non-transitional", "true": "-non-transitional", "off": "-transitional"}.get(legacy)
    if ending is None or modern not in ("off", "false") or f"{base}{ending}" not in READERS:
        return
    props.drop("disable-legacy", "disable-modern", "driver")
    props.pairs.append(("driver", f"{base}{ending}"))


def read_devices(reading: Reading) -> None:
    """Read all devices in their order; those without an element are handed on as they are."""
    for props in reading.devices:
        driver = props.peek("driver")
        if driver in ("vmgenid", "vmcoreinfo"):
            _read_note(reading, props)
            continue
        if driver == FLOPPY:
            _read_floppy_controller(reading, props)
            continue
        reader = READERS.get(driver)
        if reader is None:
            reading.keep(props.words, props.place)
            reading.placement.add_kept(props)
            continue
        before = list(props.pairs)
        try:
            reader(reading, props)
        except UnmappedError as error:
            props.pairs = before
            reading.keep(props.words, props.place, f"{error} has no place in domain XML")
            reading.placement.forget(props.place)
            reading.placement.add_kept(props)
    reading.devices = []


def _read_note(reading: Reading, props: Props) -> None:
    if props.peek("driver") == "vmcoreinfo":
        reading.domain.features.vmcoreinfo = FeatureState(state=True)
        return
    value = props.peek("guid")
    reading.domain.genid = GenId(value=value if value and value != "auto" else None)


def _read_floppy_controller(reading: Reading, props: Props) -> None:
    """Read the boot order of floppy drives; the controller comes with them."""
    from .options import Option

    for name in ("bootindexA", "bootindexB"):
        value = props.take(name)
        if value is not None:
            option = Option(name="global", value="", place=props.place, words=("-global", f"{FLOPPY}.{name}={value}"))
            reading.globals.append((option, FLOPPY, name, value))


def read_forwards(reading: Reading) -> None:
    """Read user networks without a card whose address leads to a character device: channels of type guestfwd."""
    for name, props in list(reading.backends["netdev"].items()):
        found = [value for key, value in props.pairs if key.startswith("guestfwd")]
        if props.peek("type") != "user" or len(found) != 1:
            continue
        place, dash, target = found[0].partition("-")
        words = place.split(":")
        chardev = target.removeprefix("chardev:")
        if not dash or len(words) != 3 or chardev == target or not words[2].isdigit() or len(words[2]) > 5:
            continue
        item = Channel(target=ChannelTarget(type="guestfwd", address=words[1], port=int(words[2])))
        try:
            read_backend(reading, chardev).fill(item)
        except UnmappedError:
            continue
        reading.backend("netdev", name)
        reading.domain.devices.channels.append(item)


def read_usb_devices(reading: Reading) -> None:
    """Read -usbdevice."""
    from ....config.domain.address import HostAddress
    from ....config.domain.hostdev import Hostdev, HostdevSource, UsbId
    from ....config.domain.input import Input

    for option in reading.each("usbdevice"):
        named = USB_NAME.match(option.value)
        if named is not None:
            item = Hostdev(mode="subsystem", type="usb")
            if named[1]:
                item.source = HostdevSource(vendor=UsbId(id=int(named[1], 16)), product=UsbId(id=int(named[2], 16)))
            else:
                item.source = HostdevSource(address=HostAddress(bus=int(named[3]), device=int(named[4])))
            reading.domain.devices.hostdevs.append(item)
            continue
        kind = {"mouse": "mouse", "tablet": "tablet", "keyboard": "keyboard"}.get(option.value)
        if kind is None:
            reading.keep(option.words, option.place)
        else:
            reading.domain.devices.inputs.append(Input(type=kind, bus="usb"))
