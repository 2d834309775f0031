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


def topology(root: Path = Path("/sys/devices/system/cpu")) -> dict[str, int]:
    """Return sockets, cores of a socket and threads of a core; 1 for each where the kernel does not say."""
    places = set()
    for folder in root.glob("cpu[0-9]*/topology"):
        package, core = ((folder / name).read_text().strip() for name in ("physical_package_id", "core_id"))
        places.add((package, core, folder.parent.name))
    sockets = {package for package, _, _ in places} or {""}
    cores = {(package, core) for package, core, _ in places} or {("", "")}
    return {
        "sockets": len(sockets),
        "cores": len(cores) // len(sockets),
        "threads": max(len(places) // len(cores), 1),
    }


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
        **topology(),
        "mhz": round(mhz),
        "memory_kib": _kib(memory.get("MemTotal", "")),
        "memory_free_kib": _kib(memory.get("MemAvailable", "")),
        "numa_nodes": numa_nodes(),
        "load": list(os.getloadavg()),
        "uptime_s": float(Path("/proc/uptime").read_text().split()[0]),
    }
