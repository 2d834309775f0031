"""What a definition may say that no QEMU of ours does: refused, never dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....config.domain.address import BareAddress, CcwAddress, PciAddress, SpaprVioAddress
from ....config.domain.controller import Controller
from ....config.domain.device import Device
from ....config.domain.disk import Disk
from ....config.domain.domain import Domain
from ....config.domain.filesystem import Filesystem
from ....config.domain.graphics import Graphics
from ....config.domain.hostdev import Hostdev, HostdevSource
from ....config.domain.interface import Interface
from ....config.domain.os import Os
from ....config.domain.sound import Audio
from ....config.domain.storage import Identity, StorageSource
from ....config.domain.video import Acceleration, VideoDriver
from ....config.xml.binding import PLAIN, Element
from .refusal import refuse

CONTAINERS = "only containers have this"
XEN = "only Xen has this"
S390 = "only s390 machines have this"
HOST = "only interfaces with a tap device have this"

REFUSED: Mapping[type[Element], Mapping[str, str]] = {
    Domain: {
        "bootloader": XEN, "bootloader_args": XEN, "xen_commandline": XEN, "idmap": CONTAINERS,
        "lxc_namespace": CONTAINERS, "bhyve_commandline": "only bhyve has this",
        "vmware_datacenterpath": "only VMware has this",
    },
    Os: {
        "init": CONTAINERS, "initargs": CONTAINERS, "initenvs": CONTAINERS, "initdir": CONTAINERS,
        "inituser": CONTAINERS, "initgroup": CONTAINERS, "root": XEN,
    },
    Disk: {"backend_domain": XEN},
    StorageSource: {
        "fdgroup": "descriptors of a client cannot be used yet",
        "known_hosts": "the emulator's ssh driver reads its own file",
    },
    PciAddress: {"zpci": S390},
    Identity: {"keyfile": "the emulator's ssh driver asks an agent only",
               "agentsock": "the emulator's ssh driver uses the agent of its environment"},
    Controller: {"max_grant_frames": XEN, "max_event_channels": XEN},
    Filesystem: {"space_hard_limit": CONTAINERS, "space_soft_limit": CONTAINERS},
    Interface: {"backend_domain": XEN, "guest": CONTAINERS, "routes": CONTAINERS},
    Hostdev: {"ips": CONTAINERS, "routes": CONTAINERS},
    HostdevSource: {"write_filtering": XEN},
    Graphics: {"multi_user": "only RDP displays have this", "replace_user": "only RDP displays have this"},
    Audio: {"runtime_dir": "only PipeWire has this"},
    VideoDriver: {"vgaconf": "only bhyve has this"},
    Acceleration: {"accel2d": "QEMU's cards have no such switch"},
}  # fmt: skip
"""Fields that are refused where they are given, by class.  Switches of other hypervisors that change nothing here
(features hap, viridian, privnet, xen, capabilities, msrs; keywrap) are taken and kept, as libvirt does: definitions
carry them from one hypervisor to the next."""

TAP_ONLY = ("bandwidth", "filterref", "vlan", "virtualport", "port", "coalesce", "script", "downscript")
"""Fields of interfaces that are about the host's end of a tap device."""
TAP_TYPES = ("network", "bridge", "ethernet", "direct", "hostdev", "vdpa", "vhostuser")


def refuse_unbuilt(domain: Domain) -> None:
    """Look through the whole definition for what cannot be built.

    Raises:
        ConfigUnsupported: the path names what it is.
    """
    pending: list[Element] = [domain]
    while pending:
        element = pending.pop()
        values = element.__dict__
        for name, why in REFUSED.get(type(element), {}).items():
            if values.get(name) and element.given(name):
                raise refuse(domain, element, _xml_name(element, name), why)
        if isinstance(element, (CcwAddress, SpaprVioAddress, BareAddress)) and element.type != "unassigned":
            raise refuse(domain, element, "@type", f"x86 machines have no addresses of type {element.type}")
        if isinstance(element, Device) and not isinstance(element, Hostdev) and _is_unassigned(element):
            raise refuse(domain, element, "address/@type", "only devices of the host are left unassigned")
        for value in values.values():
            if type(value) in PLAIN:
                continue
            if isinstance(value, Element):
                pending.append(value)
            elif type(value) is list:
                pending += [item for item in value if isinstance(item, Element)]
    for interface in domain.devices.interfaces:
        if interface.type not in TAP_TYPES:
            for name in TAP_ONLY:
                if interface.given(name):
                    raise refuse(domain, interface, name, HOST, remedy="Remove it, or use type='bridge'")
    for disk in domain.devices.disks:
        if disk.sgio == "unfiltered":
            raise refuse(domain, disk, "@sgio", "Linux has no unfiltered SCSI commands any more")


def _is_unassigned(device: Device) -> bool:
    return device.address is not None and device.address.type == "unassigned"


def _xml_name(element: Element, name: str) -> str:
    field: Any = element._named[name]
    return f"@{field.xml}" if field.is_attr else str(field.xml)
