"""What `VBoxManage debugvm ID statistics` prints, under libvirt's names. Pure functions of text.

Format: XML, an element for each counter with its `name` and `c` or `val` (STAM.cpp of VirtualBox). Counters:
/TM/CPU/NN/cNsExecuting and cNsOther, what a processor spent in the guest and for it, in ns (TM.cpp);
/Public/NetAdapter/N/BytesReceived and BytesTransmitted, and /Public/Storage/CONTROLLER/PortN/BytesRead and
BytesWritten, which VirtualBox's own windows show (UIMonitorCommon.cpp). `metrics` tells shares of time alone, from
when somebody set them up, so it is not used. Memory and processors are those of `showvminfo`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...config.errors import InvalidArgument, ToolFailed
from ...config.xml.reader import read
from ..tooling.numbered import numbered
from ..tooling.run import ToolResult
from . import text

PATTERN = "/TM/CPU/*|/Public/NetAdapter/*|/Public/Storage/*"
"""What is asked for; patterns are separated by a bar (manual, `debugvm statistics`)."""
MAX_BYTES = 1 << 20
_CPU = re.compile(r"/TM/CPU/(\d+)/cNs(Executing|Other)")
_NIC = re.compile(r"/Public/NetAdapter/(\d+)/Bytes(Received|Transmitted)")
_DISK = re.compile(r"/Public/Storage/([^/]+)/Port(\d+)/(Bytes|Reqs)(Read|Written|Write)")
MIB_KIB = 1024


def counters(result: ToolResult, name: str = "") -> dict[str, int]:
    """Return the counters that VBoxManage printed.

    Raises:
        MechaneError: it failed, or printed no statistics.
    """
    said = text.check(result, name).stdout
    start = said.find("<Statistics")
    try:
        root = read(said[max(start, 0) :].encode(), max_bytes=MAX_BYTES)
    except InvalidArgument as error:
        raise ToolFailed(f"VBoxManage's statistics cannot be read: {error.message}", remedy="run it by hand",
                         argv=list(result.argv), status=result.status, stderr=said[-200:]) from error  # fmt: skip
    found: dict[str, int] = {}
    for node in root.children:
        value = node.attrs.get("c") or node.attrs.get("val") or ""
        if value.isdigit():
            found[node.attrs.get("name", "")] = int(value)
    return found


def stats_of(said: Mapping[str, int], settings: Mapping[str, str], groups: frozenset[str]) -> dict[str, Any]:
    """Return statistics.

    Args:
        said: what `counters` returned.
        settings: what `showvminfo` says.
        groups: any of cpu, balloon, vcpu, block, interface.
    """
    times: dict[int, int] = {}
    for name, value in said.items():
        if match := _CPU.fullmatch(name):
            times[int(match[1])] = times.get(int(match[1]), 0) + value
    found: dict[str, Any] = {}
    if "cpu" in groups:
        found["cpu.time"] = sum(times.values())
    if "balloon" in groups:
        kib = int(settings.get("memory", "0") or 0) * MIB_KIB
        balloon = int(settings.get("GuestMemoryBalloon", "0") or 0) * MIB_KIB
        found |= {"balloon.current": kib - balloon, "balloon.maximum": kib}
    if "vcpu" in groups:
        found["vcpu.current"] = found["vcpu.maximum"] = int(settings.get("cpus", "0") or 0) or len(times)
        found |= {f"vcpu.{number}.time": value for number, value in sorted(times.items())}
    if "block" in groups:
        found |= numbered("block", _devices(said, _DISK, _disk))
    if "interface" in groups:
        found |= numbered("net", _devices(said, _NIC, _nic))
    return found


def _disk(match: re.Match[str]) -> tuple[str, str]:
    way = "rd" if match[4] == "Read" else "wr"
    return f"{match[1]}-{match[2]}", f"{way}.{'bytes' if match[3] == 'Bytes' else 'reqs'}"


def _nic(match: re.Match[str]) -> tuple[str, str]:
    return f"nic{int(match[1]) + 1}", f"{'rx' if match[2] == 'Received' else 'tx'}.bytes"


def _devices(said: Mapping[str, int], pattern: re.Pattern[str], key: Any) -> dict[str, dict[str, int]]:
    devices: dict[str, dict[str, int]] = {}
    for name in sorted(said):
        if match := pattern.fullmatch(name):
            device, what = key(match)
            devices.setdefault(device, {})[what] = said[name]
    return devices
