"""What boots: firmware, kernel, order of devices, container's init."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import UINT16, YES_NO, integer, words
from ..xml.fields import attr, body, text, texts
from .filling import Filling
from .storage import SOURCE_TYPES, StorageSource
from .words import ARCH, STORAGE_FORMAT

TYPES = ("hvm", "xen", "linux", "exe", "uml", "xenpvh")


class OsType(Element, change="re-create"):
    """The kind of guest, its processor and machine."""

    arch: str | None = attr("arch", ARCH)
    machine: str | None = attr("machine", change="next_boot")
    name: str = body(words(*TYPES), default="hvm", required=True)


class FirmwareFeature(Element):
    """A feature by which firmware is chosen."""

    enabled: bool | None = attr("enabled", YES_NO)
    name: str | None = attr("name", words("enrolled-keys", "secure-boot"))


class Firmware(Element):
    """By what firmware is chosen."""

    type: str | None = attr("type", words("bios", "efi"))
    features: list[FirmwareFeature] = children("feature", FirmwareFeature)

    def fill(self, filling: Filling) -> None:
        """Enrolled keys are of use with Secure Boot only."""
        known = {feature.name: feature.enabled for feature in self.features}
        if known.get("enrolled-keys") and "secure-boot" not in known:
            self.features.append(FirmwareFeature(name="secure-boot", enabled=True))


class Loader(Element):
    """The firmware's file."""

    readonly: bool | None = attr("readonly", YES_NO)
    secure: bool | None = attr("secure", YES_NO)
    type: str | None = attr("type", words("rom", "pflash"))
    stateless: bool | None = attr("stateless", YES_NO)
    format: str | None = attr("format", STORAGE_FORMAT)
    path: str | None = body()


class NvramFile(Element):
    """The file (or volume) that holds the firmware's variables."""

    template: str | None = attr("template")
    template_format: str | None = attr("templateFormat", STORAGE_FORMAT)
    type: str | None = attr("type", words(*SOURCE_TYPES))
    format: str | None = attr("format", STORAGE_FORMAT)
    path: str | None = body()
    source: StorageSource | None = optional("source", StorageSource)


class BootDevice(Element):
    """A kind of device to boot from."""

    dev: str = attr("dev", words("fd", "hd", "cdrom", "network"), default="", required=True)


class BootMenu(Element):
    """The firmware's menu; it waits `timeout` milliseconds."""

    enable: bool | None = attr("enable", YES_NO)
    timeout: int | None = attr("timeout", UINT16)


class Bios(Element):
    """Options of the BIOS; the time before a reboot in milliseconds, -1 for never."""

    useserial: bool | None = attr("useserial", YES_NO)
    reboot_timeout: int | None = attr("rebootTimeout", integer(-1, 65535))


class Smbios(Element):
    """Where the guest's SMBIOS tables come from."""

    mode: str | None = attr("mode", words("emulate", "host", "sysinfo"))


class AcpiTable(Element):
    """A file with an ACPI table."""

    type: str | None = attr("type", words("slic", "raw", "rawset"))
    path: str | None = body()


class AcpiTables(Element):
    """ACPI tables that are handed to the guest."""

    tables: list[AcpiTable] = children("table", AcpiTable)


class InitEnv(Element):
    """A variable of a container's environment."""

    name: str = attr("name", default="", required=True)
    value: str | None = body()


class Os(Element):
    """What boots."""

    firmware: str | None = attr("firmware", words("bios", "efi"))
    type: OsType = child("type", OsType)
    firmware_selection: Firmware | None = optional("firmware", Firmware)
    init: str | None = text("init")
    initargs: list[str] = texts("initarg")
    initenvs: list[InitEnv] = children("initenv", InitEnv)
    initdir: str | None = text("initdir")
    inituser: str | None = text("inituser")
    initgroup: str | None = text("initgroup")
    loader: Loader | None = optional("loader", Loader)
    nvram: NvramFile | None = optional("nvram", NvramFile)
    kernel: str | None = text("kernel")
    initrd: str | None = text("initrd")
    cmdline: str | None = text("cmdline")
    dtb: str | None = text("dtb")
    root: str | None = text("root")
    shim: str | None = text("shim")
    acpi: AcpiTables | None = optional("acpi", AcpiTables)
    boots: list[BootDevice] = children("boot", BootDevice)
    bootmenu: BootMenu | None = optional("bootmenu", BootMenu)
    smbios: Smbios | None = optional("smbios", Smbios)
    bios: Bios | None = optional("bios", Bios)
