"""Which PCI device each device of a definition becomes, in the order in which libvirt gives out slots.

Order and kinds: libvirt 9.0, as its recorded command lines show; a device at an address that was
not asked for lands where libvirt puts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .....config.domain.address import PciAddress
from .pci_buses import NEEDS, Plug

if TYPE_CHECKING:
    from .....config.domain.controller import Controller
    from .....config.domain.device import Device
    from .....config.domain.domain import Domain

CONVENTIONAL = Plug.PCI | Plug.AUTO
EXPRESS = Plug.PCIE | Plug.AUTO

XHCI = ("nec-xhci", "qemu-xhci")
USB2 = {"ich9-ehci1": 7, "ich9-uhci1": 0, "ich9-uhci2": 1, "ich9-uhci3": 2}
"""Controllers that share a slot, and their functions (ICH9's layout)."""
PCI_SOUND = ("es1370", "ac97", "ich6", "ich9")
LEGACY_VIDEO = ("vga", "cirrus", "vmvga", "qxl", "xen", "vbox", "parallels")


def wants_place(device: Device) -> bool:
    """Tell whether a PCI address has still to be found."""
    address = device.address
    return address is None or (isinstance(address, PciAddress) and not (address.domain or address.bus or address.slot))


def has_place(device: Device) -> bool:
    """Tell whether the device has a PCI address already."""
    return isinstance(device.address, PciAddress) and not wants_place(device)


class Plugs:
    """Tells what each device needs, on a machine with or without PCI Express."""

    def __init__(self, *, express: bool) -> None:
        self.express = EXPRESS if express else CONVENTIONAL

    def virtio(self, model: str | None) -> int:
        """Return what a virtio device needs: a transitional one only works in a conventional slot."""
        return CONVENTIONAL if model == "virtio-transitional" else self.express

    def controller(self, item: Controller) -> int | None:
        """Return what a controller needs, None where it is no PCI device."""
        kind, model = item.type, item.model
        if kind == "pci":
            return NEEDS.get(model or "")
        if kind in ("sata", "ide"):
            return CONVENTIONAL
        if kind == "usb":
            if model in XHCI:
                return self.express
            return None if model in ("none", "qusb1", "qusb2") else CONVENTIONAL
        if kind == "scsi":
            if model in ("virtio-scsi", "virtio-non-transitional"):
                return self.express
            return None if model in (None, "ncr53c90") else CONVENTIONAL
        return self.virtio(model) if kind == "virtio-serial" else None

    def in_order(self, domain: Domain) -> Iterator[tuple[Device, int]]:
        """Yield the devices that get a slot, in order; PCI controllers first, USB 2 companions too."""
        devices = domain.devices
        for controller in devices.controllers:
            plug = self.controller(controller)
            if controller.type == "pci" and plug is not None:
                yield controller, plug
        for filesystem in devices.filesystems:
            yield filesystem, self.virtio(filesystem.model)
        yield from self._interfaces(domain)
        for sound in devices.sounds:
            if sound.model in PCI_SOUND:
                yield sound, CONVENTIONAL
        for controller in devices.controllers:
            plug = self.controller(controller)
            if controller.type != "pci" and plug is not None and not (
                controller.type == "ide" and not controller.index
            ):
                yield controller, plug
        for disk in devices.disks:
            if disk.target.bus == "virtio":
                yield disk, self.virtio(disk.model)
            elif disk.target.bus == "nvme":
                yield disk, self.express
        yield from self._hostdevs(domain)
        yield from self._others(domain)

    def _interfaces(self, domain: Domain) -> Iterator[tuple[Device, int]]:
        for interface in domain.devices.interfaces:
            model = interface.model.type
            if interface.type == "hostdev" or model == "usb-net":
                continue
            if model in ("virtio", "virtio-transitional", "virtio-non-transitional"):
                yield interface, self.virtio(model)
            else:
                yield interface, self.express if model in ("e1000e", "igb") else CONVENTIONAL

    def _hostdevs(self, domain: Domain) -> Iterator[tuple[Device, int]]:
        for interface in domain.devices.interfaces:
            if interface.type == "hostdev":
                yield interface, self.express
        for hostdev in domain.devices.hostdevs:
            if hostdev.mode != "subsystem":
                continue
            if hostdev.type == "pci" or (hostdev.type == "mdev" and hostdev.model == "vfio-pci"):
                yield hostdev, self.express
            elif hostdev.type == "scsi_host":
                yield hostdev, self.virtio(hostdev.model)

    def _others(self, domain: Domain) -> Iterator[tuple[Device, int]]:
        devices = domain.devices
        balloon = devices.memballoon
        if balloon is not None and balloon.model != "none":
            yield balloon, self.virtio(balloon.model)
        for rng in devices.rngs:
            yield rng, self.virtio(rng.model)
        for watchdog in devices.watchdogs:
            if watchdog.model == "i6300esb":
                yield watchdog, CONVENTIONAL
        for video in devices.videos:
            plug = self.video(video.model.type)
            if plug is not None:
                yield video, plug
        for shmem in devices.shmems:
            yield shmem, CONVENTIONAL
        for given in devices.inputs:
            if given.bus == "virtio":
                yield given, self.virtio(given.model)
        for serial in devices.serials:
            if serial.target.type == "pci-serial":
                yield serial, CONVENTIONAL
        yield from self._late(domain)

    def _late(self, domain: Domain) -> Iterator[tuple[Device, int]]:
        devices = domain.devices
        if devices.iommu is not None and devices.iommu.model == "virtio":
            yield devices.iommu, self.express | Plug.INTEGRATED
        if devices.vsock is not None:
            yield devices.vsock, self.virtio(devices.vsock.model)
        for memory in devices.memories:
            if memory.model in ("virtio-pmem", "virtio-mem"):
                yield memory, self.express
        for crypto in devices.cryptos:
            yield crypto, CONVENTIONAL
        for panic in devices.panics:
            if panic.model == "pvpanic":
                yield panic, CONVENTIONAL
        if devices.pstore is not None:
            yield devices.pstore, CONVENTIONAL

    def video(self, kind: str | None) -> int | None:
        """Return what a video device needs, None for those that are no PCI device."""
        if kind == "virtio" or kind == "bochs":
            return self.express
        return CONVENTIONAL if kind in LEGACY_VIDEO else None
