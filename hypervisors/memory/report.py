"""Statistics and capabilities of the in-memory hypervisor. Pure functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from ...config.record import checked
from ..contract import Found, Handle
from .guest import Guest

HANDLE_VERSION = 1

MACHINE = "mechane-test"
_READ_PER_CPU_NS, _WRITE_PER_CPU_NS, _NET_PER_CPU_NS = 1_000, 4_000, 2_000
"""Processor time per byte: made up, so that figures grow while a guest runs and never shrink."""


def handle(incarnation: int, *, complete: bool) -> Handle:
    """Return the handle of a guest."""
    return {"version": HANDLE_VERSION, "incarnation": incarnation, "complete": complete}


def check(handle: Handle, name: str) -> None:
    """Refuse the handle of a newer version.

    Raises:
        StoreError: it is one.
    """
    checked({"version": HANDLE_VERSION, **handle}, HANDLE_VERSION, f"the handle of {name}", key="version")


def found(guest: Guest) -> Found:
    """Return what is shown of a guest that runs and that nobody has taken up."""
    memory_kib, vcpus = int(guest.plan["max_memory_kib"]), int(guest.plan["vcpus"])
    xml = (
        f"<domain type='test'><name>{escape(guest.name)}</name><uuid>{guest.uuid}</uuid>"
        f"<memory unit='KiB'>{memory_kib}</memory><vcpu>{vcpus}</vcpu><os><type>hvm</type></os></domain>"
    )
    return Found(uuid=guest.uuid, name=guest.name, state=guest.state, reason=guest.reason, persistent=False, xml=xml,
                 handle=handle(guest.frozen_incarnation, complete=True))  # fmt: skip


def stats_of(guest: Guest, groups: frozenset[str]) -> dict[str, Any]:
    """Return statistics under libvirt's names (virConnectGetAllDomainStats, libvirt 9.0).

    Args:
        guest: a running guest.
        groups: any of cpu, balloon, vcpu, block, interface.
    """
    cpu_ns = guest.cpu_time_ns()
    found: dict[str, Any] = {}
    if "cpu" in groups:
        found |= {"cpu.time": cpu_ns, "cpu.user": cpu_ns * 9 // 10, "cpu.system": cpu_ns // 10}
    if "balloon" in groups:
        found |= {"balloon.current": guest.balloon_kib, "balloon.maximum": guest.plan["max_memory_kib"]}
    if "vcpu" in groups:
        count = int(guest.plan["vcpus"])
        found |= {"vcpu.current": count, "vcpu.maximum": count}
        for i in range(count):
            found |= {f"vcpu.{i}.state": 1, f"vcpu.{i}.time": cpu_ns // count}
    if "block" in groups:
        found["block.count"] = len(guest.plan["disks"])
        for i, (name, path) in enumerate(guest.plan["disks"]):
            found |= _block(f"block.{i}.", name, path, cpu_ns)
    if "interface" in groups:
        found["net.count"] = len(guest.plan["interfaces"])
        for i, name in enumerate(guest.plan["interfaces"]):
            found |= _interface(f"net.{i}.", name, cpu_ns)
    return found


def _block(prefix: str, name: str, path: str, cpu_ns: int) -> Mapping[str, Any]:
    read, written = cpu_ns // _READ_PER_CPU_NS, cpu_ns // _WRITE_PER_CPU_NS
    return {
        f"{prefix}name": name, f"{prefix}path": path,
        f"{prefix}rd.reqs": read // 4096, f"{prefix}rd.bytes": read, f"{prefix}rd.times": read * 10,
        f"{prefix}wr.reqs": written // 4096, f"{prefix}wr.bytes": written, f"{prefix}wr.times": written * 10,
        f"{prefix}fl.reqs": written // 65536, f"{prefix}fl.times": written,
    }  # fmt: skip


def _interface(prefix: str, name: str, cpu_ns: int) -> Mapping[str, Any]:
    count = cpu_ns // _NET_PER_CPU_NS
    found: dict[str, Any] = {f"{prefix}name": name}
    for way in ("rx", "tx"):
        found |= {f"{prefix}{way}.bytes": count, f"{prefix}{way}.pkts": count // 1500}
        found |= {f"{prefix}{way}.errs": 0, f"{prefix}{way}.drop": 0}
    return found


def capabilities() -> dict[str, Any]:
    """Return the capabilities as libvirt's XML (formatcaps.html) and as a map."""
    arch, cpus = os.uname().machine, os.cpu_count() or 1
    xml = (
        f"<capabilities>\n  <host>\n    <cpu><arch>{arch}</arch></cpu>\n  </host>\n"
        f"  <guest>\n    <os_type>hvm</os_type>\n    <arch name='{arch}'>\n      <wordsize>64</wordsize>\n"
        f"      <machine>{MACHINE}</machine>\n      <domain type='test'/>\n    </arch>\n  </guest>\n"
        "</capabilities>\n"
    )
    guest = {"os_type": "hvm", "arch": arch, "domain_types": ["test"], "machines": [MACHINE]}
    return {"xml": xml, "host": {"arch": arch, "cpus": cpus}, "guests": [guest]}


def domain_capabilities(arch: str | None, machine: str | None) -> dict[str, Any]:
    """Return what a domain may ask for, as libvirt's XML (formatdomaincaps.html) and as a map."""
    arch, machine = arch or os.uname().machine, machine or MACHINE
    xml = (
        f"<domainCapabilities>\n  <domain>test</domain>\n  <machine>{machine}</machine>\n"
        f"  <arch>{arch}</arch>\n"
        "  <vcpu max='512'/>\n  <os supported='no'/>\n  <devices>\n    <disk supported='yes'/>\n"
        "    <graphics supported='no'/>\n  </devices>\n</domainCapabilities>\n"
    )
    return {"xml": xml, "domain": "test", "machine": machine, "arch": arch, "max_vcpus": 512}
