"""Whole .vmx files to domain XML and back. Pure functions: any thread, or a worker process."""

from __future__ import annotations

import re

from ...config.domain.document import format as format_domain
from ...config.domain.document import parse as parse_domain
from ...config.domain.domain import Domain
from ...config.domain.validation import check_texts
from ...config.errors import ConfigUnsupported, InvalidArgument, XmlError
from .disks import read_disks, write_disks
from .display import read_display, read_folders, write_display, write_folders
from .machine import read_machine, write_machine
from .names import Datastores, FileNames
from .networks import read_networks, write_networks
from .ports import read_ports, write_ports
from .text import VmxText, decode

OLDEST_HARDWARE = 4
"""virtualHW.version of ESX 3 and GSX 3: what every product since can run."""
MANY_CPUS, MANY_CPUS_HARDWARE = 8, 10
"""More processors than this need that virtualHW.version (VMware knowledge base 1003746)."""
PCI_BRIDGES_HARDWARE = 7
"""From this virtualHW.version on, PCI Express ports and VMCI are there."""
_UNTOLD = ("hostdevs", "tpms", "rngs", "watchdogs", "smartcards", "redirdevs", "channels", "sounds", "panics",
           "shmems", "memories", "hubs", "nvram", "iommu", "vsock", "leases")  # fmt: skip
"""Devices of domain XML that no entry of a .vmx of ours stands for."""
_BASE_ONLY = ("config.version", "virtualhw.version", ".encoding")
_DEVICE = re.compile(r"((?:scsi|sata|nvme|ide|floppy|ethernet|serial|parallel|sharedfolder)\d+(?::\d+)?)\.")
_OURS = re.compile(
    r"(guestos|displayname|annotation|memsize|numvcpus|firmware|nvram|vm\.genidx?|sched\.mem\.(max|minsize)"
    r"|sched\.cpu\.(affinity|shares)|cpuid\.corespersocket|uuid\.(bios|action)|smbios\.reflecthost|bios\.bootorder"
    r"|uefi\.secureboot\.enabled|svga\.vramsize|remotedisplay\.vnc\..*|sharedfolder\.maxnum"
    r"|isolation\.tools\.hgfs\.disable|.*\.(present|devicetype|filename|filetype|virtualdev|features|connectiontype"
    r"|networkname|vnet|dvs\..*|address|addresstype|generatedaddress|generatedaddressoffset|checkmacaddress|writethrough"
    r"|mode|pipe\.endpoint|network\.endpoint|trynorxloss|hostpath|guestname|enabled|readaccess|writeaccess))\Z"
)
"""Entries that a definition decides, whatever an older file says."""


def from_native(
    text: str | bytes, *, names: FileNames | None = None, name: str = "", datacenter_path: str = ""
) -> str:
    """Return the domain XML of a .vmx.

    Args:
        text: the file, as text or as its bytes.
        names: how names of files become paths; `Datastores()` where not given.
        name: name of the domain where the file has no displayName.
        datacenter_path: where on a vCenter the guest is, to be kept in the XML.

    Raises:
        InvalidArgument: it is no .vmx, or an entry has a value that nobody knows.
    """
    vmx = VmxText.parse(decode(text) if isinstance(text, bytes) else text)
    xml = format_domain(read(vmx, names=names, name=name, datacenter_path=datacenter_path), secure=True)
    try:
        parse_domain(xml)
    except XmlError as error:  # such as a port beyond 65535: an entry that no domain can have
        raise InvalidArgument(
            f"the .vmx holds a value that a domain cannot have: {error.message}",
            remedy="mend the entry that it stands for", **error.details,
        ) from error  # fmt: skip
    return xml


def read(vmx: VmxText, *, names: FileNames | None = None, name: str = "", datacenter_path: str = "") -> Domain:
    """Return the domain of a .vmx; see `from_native`."""
    names = names or Datastores()
    vmx = vmx.readable()
    domain = Domain(type="vmware")
    read_machine(vmx, domain)
    domain.name = domain.name or name
    if not domain.name:
        raise ConfigUnsupported("the .vmx has no displayName", path="displayName", remedy="give the guest a name")
    read_disks(vmx, domain, names)
    read_folders(vmx, domain)
    read_networks(vmx, domain)
    read_ports(vmx, domain, names)
    read_display(vmx, domain)
    domain.vmware_datacenterpath = datacenter_path or None
    return domain


def to_native(
    xml: str | bytes | Domain, *, names: FileNames | None = None, hardware: int | None = None, base: str = ""
) -> str:
    """Return the .vmx (UTF-8) of a domain.

    Args:
        xml: domain XML, or the domain.
        names: how paths become names of files; `Datastores()` where not given.
        hardware: virtualHW.version; where not given, that of `base`, else the oldest that has so many processors.
        base: the .vmx that this one replaces: what no definition decides (slot numbers, options of the product)
            is kept from it, for devices that are still there.

    Raises:
        XmlError: it is no domain XML.
        ConfigUnsupported: it asks for what a .vmx cannot say.
    """
    domain = xml if isinstance(xml, Domain) else parse_domain(xml)
    check_texts(domain)
    old = VmxText.parse(base)
    vmx = write(domain, names=names, hardware=hardware or old.number("virtualHW.version") or None)
    kept = {found[1] for key in vmx.names() if (found := _DEVICE.match(key))}
    for key, value in old.items():
        device = _DEVICE.match(key.lower())
        if _OURS.match(key.lower()) or key.lower() in _BASE_ONLY or (device and device[1] not in kept):
            continue
        vmx.put(key, value)
    return str(vmx)


def write(domain: Domain, *, names: FileNames | None = None, hardware: int | None = None) -> VmxText:
    """Return the entries of a domain; see `to_native`."""
    if domain.type != "vmware":
        raise ConfigUnsupported(
            f"a .vmx holds domains of type vmware, not {domain.type}", path="/domain/@type", value=domain.type,
            allowed=["vmware"], remedy="use type='vmware'",
        )  # fmt: skip
    for field in _UNTOLD:
        if domain.devices.given(field):
            raise ConfigUnsupported(
                f"a .vmx cannot say what is in devices/{field.rstrip('s')}", path=f"devices/{field.rstrip('s')}",
                remedy="remove the device from the definition",
            )  # fmt: skip
    names = names or Datastores()
    many = (domain.vcpu.maximum or 1) > MANY_CPUS
    version = hardware or (MANY_CPUS_HARDWARE if many else OLDEST_HARDWARE)
    vmx = VmxText()
    vmx.put(".encoding", "UTF-8")
    vmx.put("config.version", 8)
    vmx.put("virtualHW.version", version)
    write_machine(domain, vmx)
    write_display(domain, vmx)
    scsi = write_disks(domain, vmx, names)
    write_folders(domain, vmx)
    write_networks(domain, vmx)
    write_ports(domain, vmx, names)
    if version >= PCI_BRIDGES_HARDWARE:
        _write_bridges(vmx, scsi)
    return vmx


def _write_bridges(vmx: VmxText, scsi: bool) -> None:
    if scsi:
        vmx.put("pciBridge0.present", True)
        for number in range(4, 8):
            vmx.put(f"pciBridge{number}.present", True)
            vmx.put(f"pciBridge{number}.virtualDev", "pcieRootPort")
            vmx.put(f"pciBridge{number}.functions", 8)
    vmx.put("vmci0.present", True)
