"""What this host's containers can be, as libvirt's XML (formatcaps.html, formatdomaincaps.html) and as maps."""

from __future__ import annotations

import os
from typing import Any

from ...config.errors import InvalidArgument
from .from_native import EMULATOR

LOADS = {"x86_64": ("x86_64", "i686"), "aarch64": ("aarch64", "armv7l")}
"""Architecture of the kernel -> those whose programs it runs."""
WORDSIZES = {"x86_64": 64, "aarch64": 64, "ppc64le": 64, "s390x": 64, "riscv64": 64}
FILESYSTEMS = ("mount", "file", "block", "ram")
"""Kinds of filesystem that a container takes; file and block as its root only."""


def capabilities() -> dict[str, Any]:
    """Return the capabilities of the host."""
    arch, cpus = os.uname().machine, os.cpu_count() or 1
    arches = LOADS.get(arch, (arch,))
    guests = "".join(
        f"  <guest>\n    <os_type>exe</os_type>\n    <arch name='{each}'>\n"
        f"      <wordsize>{WORDSIZES.get(each, 32)}</wordsize>\n      <domain type='lxc'/>\n    </arch>\n"
        "    <features><privnet/></features>\n  </guest>\n"
        for each in arches
    )
    xml = f"<capabilities>\n  <host>\n    <cpu><arch>{arch}</arch></cpu>\n  </host>\n{guests}</capabilities>\n"
    shown = [{"os_type": "exe", "arch": each, "domain_types": ["lxc"], "machines": []} for each in arches]
    return {"xml": xml, "host": {"arch": arch, "cpus": cpus}, "guests": shown}


def domain_capabilities(arch: str | None, machine: str | None, virttype: str | None) -> dict[str, Any]:
    """Return what a container may ask for.

    Raises:
        InvalidArgument: another virttype, a machine, or an architecture that the kernel does not run.
    """
    host = os.uname().machine
    arches = LOADS.get(host, (host,))
    for path, value, allowed in (("virttype", virttype, ("lxc",)), ("arch", arch, arches), ("machine", machine, ())):
        if value is not None and value not in allowed:
            raise InvalidArgument(f"containers have no {path} {value!r} here", path=f"params.{path}",
                                  allowed=list(allowed), remedy="leave it out")  # fmt: skip
    values = "".join(f"<value>{each}</value>" for each in FILESYSTEMS)
    xml = (
        f"<domainCapabilities>\n  <path>{EMULATOR}</path>\n  <domain>lxc</domain>\n"
        f"  <arch>{arch or host}</arch>\n  <os supported='no'/>\n"
        "  <devices>\n    <disk supported='no'/>\n    <graphics supported='no'/>\n"
        f"    <filesystem supported='yes'><enum name='driverType'>{values}</enum></filesystem>\n"
        "  </devices>\n</domainCapabilities>\n"
    )
    return {"xml": xml, "domain": "lxc", "arch": arch or host, "filesystems": list(FILESYSTEMS)}
