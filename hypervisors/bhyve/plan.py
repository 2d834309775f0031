"""What a definition leaves to bhyve's side: controllers that follow from devices, and PCI slots. Pure functions.

Rules (libvirt's, seen in its samples; slots and controllers: bhyve(8)): the host bridge has slot 0; slot 1 is kept
for the LPC bridge unless a device was given it; then controllers, network cards, virtio disks, screens, sound and
shared folders take the lowest free slots, in this order. A SATA controller has 32 drives.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config.domain.address import DriveAddress, PciAddress
from ...config.domain.completion import complete
from ...config.domain.controller import Controller
from ...config.domain.device import Device
from ...config.domain.domain import Domain
from ...config.domain.graphics import Graphics
from ...config.domain.os import Loader
from ...config.domain.validation import check_texts
from ...config.errors import ConfigUnsupported

DRIVES = 32
"""Drives of one SATA controller: bhyve of FreeBSD 11 and later; before there was one."""
SLOTS = 32
LPC_SLOT = 1
FIRMWARE = "/usr/local/share/uefi-firmware/BHYVE_UEFI.fd"
"""Where the port sysutils/bhyve-firmware puts it; for `<os firmware='efi'>`."""


def prepared(domain: Domain, *, drives: int = DRIVES, firmware: str = FIRMWARE) -> Domain:
    """Return a copy of a domain with all that follows from it.

    Args:
        domain: as it was defined.
        drives: how many drives a SATA controller may have.
        firmware: the file for `<os firmware='efi'>`.

    Raises:
        ConfigUnsupported: bhyve cannot do what it asks for.
        XmlError: a text of it holds a control character.
    """
    if domain.type != "bhyve":
        raise refused("@type", domain.type, "use <domain type='bhyve'>")
    check_texts(domain)
    if domain.os.boots and any(device.boot is not None for device in domain.devices.every()):
        raise refused("os/boot", "", "give boot devices or an order of devices, not both")
    _number_cards(domain := domain.copy())
    domain = complete(domain)
    domain.os.type.arch = domain.os.type.arch or "x86_64"
    if domain.os.type.arch not in ("x86_64", "i686", "aarch64"):
        raise refused("os/type/@arch", domain.os.type.arch, "use x86_64")
    if domain.os.firmware == "efi" and domain.os.loader is None and domain.bootloader is None:
        domain.os.loader = Loader(readonly=True, type="pflash", path=firmware)
    for disk in domain.devices.disks:
        disk.device = disk.device or "disk"  # written even where it was left out
    for graphics in domain.devices.graphics:
        _settle_port(graphics)
    _add_controllers(domain, drives)
    _assign_slots(domain)
    return domain


def _number_cards(domain: Domain) -> None:
    """Give cards without an address one each: the same at every conversion."""
    number = 0
    for nic in domain.devices.interfaces:
        if not nic.mac.address:
            nic.mac.address = f"52:54:00:00:00:{number:02x}"
            number += 1


def _settle_port(graphics: Graphics) -> None:
    if graphics.type == "vnc" and graphics.autoport is None and (graphics.port or -1) > 0:
        graphics.autoport = False


def needs_lpc(domain: Domain) -> bool:
    """Tell whether a domain needs the LPC bridge: serial ports, firmware and screens are behind it."""
    devices = domain.devices
    firmware = domain.bootloader is None and domain.os.loader is not None
    return bool(firmware or devices.serials or devices.consoles or (devices.graphics and devices.videos))


def _add_controllers(domain: Domain, drives: int) -> None:
    controllers = domain.devices.controllers
    have = {(each.type, each.index) for each in controllers}
    if ("pci", 0) not in have:
        controllers.append(Controller(type="pci", index=0, model="pci-root"))
    if needs_lpc(domain) and ("isa", 0) not in have:
        controllers.append(Controller(type="isa", index=0))
    if any(each.bus == "usb" for each in domain.devices.inputs) and not any(each.type == "usb" for each in controllers):
        controllers.append(Controller(type="usb", index=0, model="nec-xhci"))
    last = -1
    for disk in domain.devices.disks:
        if disk.target.bus == "sata":
            if not isinstance(disk.address, DriveAddress):
                index = _index(disk.target.dev or "")
                disk.address = DriveAddress(type="drive", controller=index // drives, bus=0, target=0,
                                            unit=index % drives)  # fmt: skip
            last = max(last, disk.address.controller or 0)
    for index in range(last + 1):
        if ("sata", index) not in have:
            controllers.append(Controller(type="sata", index=index))


def _index(dev: str) -> int:
    """Return the number in the letters of a disk's name: hda 0, sdb 1."""
    number = 0
    for letter in dev.rstrip("0123456789")[2:]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return max(number - 1, 0)


def _assign_slots(domain: Domain) -> None:
    taken = {0}
    for device in domain.devices.every():
        address = device.address
        if isinstance(address, PciAddress) and address.slot:
            taken.add(address.slot)
    if LPC_SLOT not in taken:
        taken.add(LPC_SLOT)
        for controller in domain.devices.controllers:
            if controller.type == "isa" and not _placed(controller):
                _place(controller, LPC_SLOT)
                break
    for device in _wanting(domain):
        free = next((slot for slot in range(1, SLOTS) if slot not in taken), None)
        if free is None:
            raise refused("devices", "", f"a guest of bhyve has {SLOTS} PCI slots: remove devices")
        taken.add(free)
        _place(device, free)


def _wanting(domain: Domain) -> Iterator[Device]:
    devices = domain.devices
    for controller in devices.controllers:
        if controller.type in ("sata", "usb", "isa") and not _placed(controller):
            yield controller
    virtio = [disk for disk in devices.disks if disk.target.bus == "virtio"]
    for device in (*devices.interfaces, *virtio, *devices.videos, *devices.sounds, *devices.filesystems):
        if not _placed(device):
            yield device


def _placed(device: Device) -> bool:
    return isinstance(device.address, PciAddress) and bool(device.address.slot)


def _place(device: Device, slot: int) -> None:
    device.address = PciAddress(type="pci", domain=0, bus=0, slot=slot, function=0)


def slot_of(device: Device) -> str:
    """Return a device's place as bhyve writes it: slot:function."""
    address = device.address
    assert isinstance(address, PciAddress)
    if address.bus:
        return f"{address.bus}:{address.slot or 0}:{address.function or 0}"
    return f"{address.slot or 0}:{address.function or 0}"


def refused(path: str, value: str, remedy: str) -> ConfigUnsupported:
    """Return the error for what bhyve cannot do."""
    shown = f" = {value!r}" if value else ""
    return ConfigUnsupported(f"bhyve cannot do {path}{shown}", path=f"/domain/{path}", value=value, remedy=remedy)
