"""xl.cfg to domain XML and back (format `xen-xl`): pure functions of text, usable without a node.

What domain XML has no place for (cpu pools, Xen's security labels, …) is listed by `left_out`.
"""

from __future__ import annotations

from ...config.domain import Domain, format, parse
from ...config.domain.validation import check_texts
from ...config.errors import ConfigUnsupported, InvalidArgument
from . import cfg
from .gadgets import read_devices
from .machine import kind_of, read_machine
from .write_gadgets import device_settings
from .write_machine import boot_settings, machine_settings
from .write_machine import kind_of as kind_of_domain

FORMAT = "xen-xl"
KNOWN = frozenset((
    "name", "uuid", "type", "builder", "memory", "maxmem", "vcpus", "maxvcpus", "cpus", "cpu_weight", "cap",
    "kernel", "ramdisk", "cmdline", "root", "extra", "bootloader", "bootargs", "bootloader_args", "bios",
    "bios_path_override", "firmware_override", "acpi_firmware", "boot", "pae", "acpi", "apic", "viridian",
    "hap", "e820_host", "passthrough", "nestedhvm", "cpuid", "vnuma", "localtime", "rtc_timeoffset", "tsc_mode",
    "hpet", "on_poweroff", "on_reboot", "on_crash", "device_model", "device_model_override",
    "device_model_args", "device_model_args_pv", "device_model_args_pvh", "device_model_args_hvm", "disk",
    "vif", "max_grant_frames", "max_event_channels", "event_channels",
    "usbctrl", "parallel", "serial", "channel", "usb",
    "usbdevice", "vnc", "vnclisten", "vncdisplay", "vncunused", "vncpasswd", "keymap", "sdl", "display",
    "xauthority", "spice", "spicehost", "spiceport", "spicetls_port", "spicedisable_ticketing", "spicepasswd",
    "spiceagent_mouse", "spicevdagent", "spice_clipboard_sharing", "vfb", "vga", "stdvga", "videoram",
    "soundhw", "pci", "pci_permissive", "pci_seize", "usbdev", "hvm", "pvh",
))  # fmt: skip
"""Settings that are understood."""


def from_native(text: str, *, name: str = "") -> str:
    """Return the domain XML (secrets included) of an xl.cfg.

    Args:
        text: the file.
        name: the domain's name where the file gives none.

    Raises:
        InvalidArgument: it is no xl.cfg; `details.line` or `details.path` say where.
    """
    settings = cfg.parse(text)
    kind = kind_of(settings)
    domain = Domain(type="xen")
    read_machine(settings, domain, kind)
    domain.name = domain.name or name
    if not domain.name:
        raise InvalidArgument("the xl.cfg has no name", remedy='add name = "…"', path="name")
    read_devices(settings, domain.devices, kind)
    return format(domain, secure=True)


def to_native(xml: str | Domain) -> str:
    """Return the xl.cfg of a domain.

    Args:
        xml: domain XML, or its model.

    Raises:
        XmlError: it is no domain XML.
        ConfigUnsupported: it asks for what Xen does not have.
    """
    domain = parse(xml) if isinstance(xml, str) else xml
    if domain.type != "xen":
        raise ConfigUnsupported(
            f"a domain of type {domain.type} is not for Xen", remedy="use <domain type='xen'>",
            path="/domain/@type", value=domain.type, allowed=["xen"],
        )  # fmt: skip
    check_texts(domain)
    kind = kind_of_domain(domain)
    return cfg.write([*machine_settings(domain, kind), *boot_settings(domain, kind), *device_settings(domain, kind)])


def to_xl(xml: str) -> str:
    """Return the xl.cfg that a guest is started from.

    It is `to_native` with what xl reads under another name than libvirt writes: the limit of event channels.

    Raises: as `to_native`.
    """
    domain = parse(xml)
    limits = [bus.max_event_channels for bus in domain.devices.controllers if bus.type == "xenbus"]
    return to_native(domain) + cfg.write([("event_channels", limit) for limit in limits if limit is not None])


def left_out(text: str) -> list[str]:
    """Return the settings of an xl.cfg that domain XML has no place for, in their order."""
    return [name for name in cfg.parse(text) if name not in KNOWN]
