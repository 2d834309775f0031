"""Statistics of a guest from its process and its .vmx, under libvirt's dotted names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...config.domain.domain import Domain
from ...config.errors import OperationFailed
from ..vmx.names import HostFiles
from ..vmx.native import read
from ..vmx.text import VmxText, decode
from . import process


def stats_of(vmx: str, pid: int | None, groups: frozenset[str]) -> dict[str, Any]:
    """Return what is known. Blocks on files.

    Args:
        vmx: path of the guest's .vmx.
        pid: its process; without one there is no processor time.
        groups: cpu, balloon, vcpu, block, interface.

    Raises:
        OperationFailed: the .vmx cannot be read.
    """
    try:
        text = decode(Path(vmx).read_bytes())
    except OSError as error:
        raise OperationFailed(f"cannot read {vmx}: {error.strerror}", remedy="mend permissions") from error
    domain = read(VmxText.parse(text), names=HostFiles(folder=str(Path(vmx).parent)), name="guest")
    found: dict[str, Any] = {}
    if pid is not None and process.runs(pid, vmx):
        found["cpu.time"] = process.cpu_time_ns(pid)
        found["balloon.rss"] = _resident_kib(pid)
    found["balloon.current"] = domain.current_memory.kib or 0
    found["balloon.maximum"] = domain.memory.kib or 0
    found["vcpu.current"] = found["vcpu.maximum"] = domain.vcpu.maximum or 1
    found.update(_blocks(domain))
    found.update(_cards(domain))
    wanted = tuple(f"{'net' if group == 'interface' else group}." for group in groups)
    return {name: value for name, value in found.items() if name.startswith(wanted)}


def _resident_kib(pid: int) -> int:
    """Return the memory of the process that is in RAM (proc(5), statm, second field, in pages of 4 KiB)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4
    except (OSError, IndexError, ValueError):
        return 0


def _blocks(domain: Domain) -> dict[str, Any]:
    found: dict[str, Any] = {"block.count": len(domain.devices.disks)}
    for number, disk in enumerate(domain.devices.disks):
        found[f"block.{number}.name"] = disk.target.dev or ""
        path = disk.source.file or disk.source.dev
        if path:
            found[f"block.{number}.path"] = path
        if disk.source.file and Path(disk.source.file).is_file():
            found[f"block.{number}.physical"] = Path(disk.source.file).stat().st_size
    return found


def _cards(domain: Domain) -> dict[str, Any]:
    found: dict[str, Any] = {"net.count": len(domain.devices.interfaces)}
    for number, card in enumerate(domain.devices.interfaces):
        found[f"net.{number}.name"] = card.target.dev or f"ethernet{number}"
    return found
