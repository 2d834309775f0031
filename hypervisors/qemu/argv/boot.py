"""The order of booting: `bootindex` of devices, and -boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.domain.device import Device
from ....config.domain.disk import Disk
from ....config.domain.domain import Domain
from ....config.domain.interface import Interface
from .options import as_keys, whole
from .refusal import refuse

if TYPE_CHECKING:
    from .context import Build

KINDS = {"disk": "hd", "lun": "hd", "cdrom": "cdrom", "floppy": "fd"}
"""Which boot device of <os> a kind of disk answers to."""


class BootOrder:
    """Says the boot index of each device: its own order, or its place in <os>'s list."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.left: dict[str, int] = {}
        ordered = [device for device in domain.devices.every() if device.boot is not None and device.boot.order]
        self.by_device = bool(ordered)
        seen: dict[int, Device] = {}
        for device in ordered:
            assert device.boot is not None and device.boot.order is not None
            if device.boot.order in seen:
                raise refuse(domain, device, "boot/@order", f"another device has boot order {device.boot.order}")
            seen[device.boot.order] = device
        if self.by_device:
            if domain.os.boots:
                raise refuse(domain, domain.os, "boot", "boot order is given by devices too",
                             remedy="Keep either <boot dev> in <os> or <boot order> in devices")
            return
        names = [item.dev for item in domain.os.boots] or ["hd"]
        for place, name in enumerate(names, 1):
            self.left.setdefault(name, place)

    def index_of(self, device: Device) -> int | None:
        """Return the boot index of a device; the first of a kind takes its kind's place."""
        if device.boot is not None and device.boot.order:
            return device.boot.order
        if self.by_device:
            return None
        if isinstance(device, Disk):
            return self.left.pop(KINDS[device.device], None)
        if isinstance(device, Interface):
            return self.left.pop("network", None)
        return None


def add_boot(build: Build) -> None:
    """Add -boot, and the kernel that is booted directly."""
    os = build.domain.os
    properties: dict[str, object] = {}
    if os.bootmenu is not None and os.bootmenu.enable is not None:
        properties["menu"] = os.bootmenu.enable
        if os.bootmenu.enable:
            properties["splash-time"] = os.bootmenu.timeout
    if os.bootmenu is not None and os.bootmenu.timeout is not None and not os.bootmenu.enable:
        raise build.refuse(os.bootmenu, "@timeout", "a timeout needs the boot menu to be on")
    if os.bios is not None:
        properties["reboot-timeout"] = os.bios.reboot_timeout
    properties["strict"] = True
    build.option("-boot", as_keys("", properties))
    for path, option, kind in ((os.kernel, "-kernel", "kernel"), (os.initrd, "-initrd", "kernel"),
                               (os.dtb, "-dtb", "kernel")):
        if path:
            if option == "-initrd" and "," in path:  # a multiboot kernel's modules are split by commas
                raise build.refuse(os, "initrd", "a path with a comma would be two files", remedy="Rename the file")
            build.option(option, whole(path))
            build.use_file(path, read_only=True, kind=kind)
    if os.cmdline:
        if not os.kernel:
            raise build.refuse(os, "cmdline", "a kernel command line needs a kernel")
        build.option("-append", whole(os.cmdline))
    if os.shim:
        raise build.refuse(os, "shim", "the emulator of this version takes no shim")
    if os.acpi is not None:
        for table in os.acpi.tables:
            if table.type not in (None, "slic"):
                raise build.refuse(table, "@type", f"tables of type {table.type} are not taken")
            if table.path:
                build.option("-acpitable", as_keys("", {"sig": "SLIC", "file": table.path}))
                build.use_file(table.path, read_only=True, kind="firmware")
