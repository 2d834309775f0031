"""What the host is: processors, memory, NUMA nodes, load; read from /proc and /sys."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import Any


def _fields(path: str, separator: str = ":") -> dict[str, str]:
    found: dict[str, str] = {}
    for line in Path(path).read_text(errors="replace").splitlines():
        name, _, value = line.partition(separator)
        found.setdefault(name.strip(), value.strip())
    return found


def _kib(text: str) -> int:
    return int(text.split()[0]) if text else 0


def numa_nodes(root: Path = Path("/sys/devices/system/node")) -> list[dict[str, Any]]:
    """Return the NUMA nodes: number, processors as the kernel lists them, memory and free memory in KiB."""
    nodes = []
    for folder in sorted(root.glob("node[0-9]*"), key=lambda path: int(path.name[4:])):
        meminfo = {}
        for line in (folder / "meminfo").read_text().splitlines():
            words = line.split()
            meminfo[words[2].rstrip(":")] = int(words[3])
        nodes.append(
            {
                "node": int(folder.name[4:]),
                "cpus": (folder / "cpulist").read_text().strip(),
                "memory_kib": meminfo.get("MemTotal", 0),
                "memory_free_kib": meminfo.get("MemFree", 0),
            }
        )
    return nodes


def host_info() -> dict[str, Any]:
    """Return the host's part of `NodeInfo`. Reads files: not for HIGH calls."""
    cpu = _fields("/proc/cpuinfo")
    memory = _fields("/proc/meminfo")
    mhz = float(cpu.get("cpu MHz") or 0)
    return {
        "hostname": socket.gethostname(),
        "arch": platform.machine(),
        "cpu_model": cpu.get("model name", ""),
        "cpus": os.cpu_count() or 1,
        "mhz": round(mhz),
        "memory_kib": _kib(memory.get("MemTotal", "")),
        "memory_free_kib": _kib(memory.get("MemAvailable", "")),
        "numa_nodes": numa_nodes(),
        "load": list(os.getloadavg()),
        "uptime_s": float(Path("/proc/uptime").read_text().split()[0]),
    }
