"""What a host with Xen offers, from `xl info`, as libvirt's XML and as maps.  Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import InvalidArgument
from .machine import HVMLOADER

MACHINES = {"xenpv": "linux", "xenpvh": "xenpvh", "xenfv": "hvm"}
"""Machine of domain XML -> type of its guests."""
MAX_VCPUS = {"xenpv": 512, "xenpvh": 128, "xenfv": 128}
"""Processors of one guest (Xen's SUPPORT.md, 4.17)."""
ARCH = "x86_64"
_DEVICES = {"disk": ("disk", "cdrom"), "graphics": ("vnc", "spice", "sdl"), "hostdev": ("pci", "usb")}


def machines_of(info: Mapping[str, str]) -> list[str]:
    """Return the machines that this host can run: HVM and PVH need help of its processors."""
    hvm = "hvm-3.0" in info.get("xen_caps", "")
    return ["xenpv", "xenpvh", "xenfv"] if hvm else ["xenpv"]


def host_capabilities(info: Mapping[str, str]) -> dict[str, Any]:
    """Return the capabilities of the host (formatcaps.html of libvirt)."""
    guests = [{"os_type": MACHINES[machine], "arch": ARCH, "domain_types": ["xen"], "machines": [machine]}
              for machine in machines_of(info)]  # fmt: skip
    shown = "".join(
        f"  <guest>\n    <os_type>{guest['os_type']}</os_type>\n    <arch name='{ARCH}'>\n"
        + "      <wordsize>64</wordsize>\n"
        + (f"      <loader>{HVMLOADER}</loader>\n" if guest["os_type"] == "hvm" else "")
        + f"      <machine>{guest['machines'][0]}</machine>\n      <domain type='xen'/>\n    </arch>\n  </guest>\n"
        for guest in guests
    )
    host = {"arch": ARCH, "cpus": number(info, "nr_cpus"), "memory_kib": number(info, "total_memory") * 1024,
            "free_memory_kib": number(info, "free_memory") * 1024, "nodes": number(info, "nr_nodes"),
            "scheduler": info.get("xen_scheduler", "")}  # fmt: skip
    xml = f"<capabilities>\n  <host>\n    <cpu><arch>{ARCH}</arch></cpu>\n  </host>\n{shown}</capabilities>\n"
    return {"xml": xml, "host": host, "guests": guests}


def domain_capabilities(info: Mapping[str, str], arch: str | None, machine: str | None) -> dict[str, Any]:
    """Return what a domain may ask for (formatdomaincaps.html of libvirt).

    Raises: InvalidArgument for a machine or architecture that this host does not run.
    """
    known = machines_of(info)
    machine = machine or known[0]
    for name, value, allowed in (("machine", machine, known), ("arch", arch or ARCH, [ARCH])):
        if value not in allowed:
            raise InvalidArgument(f"this host runs no {value}", remedy=f"use {', '.join(allowed)}",
                                  path=f"params.{name}", value=value, allowed=allowed)  # fmt: skip
    devices = "".join(
        f"    <{name} supported='yes'>\n      <enum name='{'device' if name == 'disk' else 'type'}'>\n"
        + "".join(f"        <value>{value}</value>\n" for value in values) + f"      </enum>\n    </{name}>\n"
        for name, values in _DEVICES.items()
    )  # fmt: skip
    xml = (
        f"<domainCapabilities>\n  <domain>xen</domain>\n  <machine>{machine}</machine>\n  <arch>{ARCH}</arch>\n"
        f"  <vcpu max='{MAX_VCPUS[machine]}'/>\n  <os supported='yes'/>\n  <devices>\n{devices}  </devices>\n"
        "</domainCapabilities>\n"
    )
    return {"xml": xml, "domain": "xen", "machine": machine, "arch": ARCH, "max_vcpus": MAX_VCPUS[machine],
            "devices": {name: list(values) for name, values in _DEVICES.items()}}  # fmt: skip


def number(info: Mapping[str, str], name: str) -> int:
    """Return a number of `xl info`, 0 where it is not there."""
    text = info.get(name, "")
    return int(text) if text.isdigit() else 0
