"""What guests of VMware's desktop products may be, as libvirt's XML and as maps. Pure functions.

Numbers: virtualHW.version 10 of Workstation 10 and Fusion 6 takes 16 processors (VMware knowledge base
1003746); words of devices are those that a .vmx of ours can say (vmx package).
"""

from __future__ import annotations

import os
from typing import Any

from ...config.errors import InvalidArgument

ARCHES = ("x86_64", "i686")
MAX_VCPUS = 16
DEVICES: dict[str, dict[str, tuple[str, ...]]] = {
    "disk": {"diskDevice": ("disk", "cdrom", "floppy", "lun"), "bus": ("ide", "fdc", "scsi", "sata", "nvme")},
    "graphics": {"type": ("vnc",)},
    "video": {"modelType": ("vmvga",)},
}


def host_capabilities() -> dict[str, Any]:
    """Return the capabilities of the host (formatcaps.html of libvirt)."""
    arch, cpus = os.uname().machine, os.cpu_count() or 1
    guests = [{"os_type": "hvm", "arch": each, "domain_types": ["vmware"], "machines": []} for each in ARCHES]
    shown = "".join(
        f"  <guest>\n    <os_type>hvm</os_type>\n    <arch name='{each}'>\n"
        f"      <wordsize>{64 if each == 'x86_64' else 32}</wordsize>\n      <domain type='vmware'/>\n    </arch>\n"
        "  </guest>\n"
        for each in ARCHES
    )
    xml = f"<capabilities>\n  <host>\n    <cpu><arch>{arch}</arch></cpu>\n  </host>\n{shown}</capabilities>\n"
    return {"xml": xml, "host": {"arch": arch, "cpus": cpus}, "guests": guests}


def domain_capabilities(arch: str | None, virttype: str | None) -> dict[str, Any]:
    """Return what a domain may ask for (formatdomaincaps.html of libvirt).

    Raises:
        InvalidArgument: no such guests here.
    """
    arch = arch or ARCHES[0]
    for name, value, allowed in (("arch", arch, ARCHES), ("virttype", virttype or "vmware", ("vmware",))):
        if value not in allowed:
            raise InvalidArgument(
                f"VMware runs no {value}", path=f"params.{name}", value=value, allowed=list(allowed),
                remedy=f"use {' or '.join(allowed)}",
            )  # fmt: skip
    devices = "".join(
        f"    <{device} supported='yes'>\n"
        + "".join(
            f"      <enum name='{name}'>\n" + "".join(f"        <value>{word}</value>\n" for word in words)
            + "      </enum>\n" for name, words in enums.items()
        )
        + f"    </{device}>\n"
        for device, enums in DEVICES.items()
    )  # fmt: skip
    xml = (
        f"<domainCapabilities>\n  <domain>vmware</domain>\n  <arch>{arch}</arch>\n  <vcpu max='{MAX_VCPUS}'/>\n"
        "  <os supported='yes'>\n    <enum name='firmware'>\n      <value>bios</value>\n      <value>efi</value>\n"
        f"    </enum>\n  </os>\n  <devices>\n{devices}  </devices>\n</domainCapabilities>\n"
    )
    return {"xml": xml, "domain": "vmware", "arch": arch, "max_vcpus": MAX_VCPUS,
            "devices": {device: {name: list(words) for name, words in enums.items()}
                        for device, enums in DEVICES.items()}}  # fmt: skip
