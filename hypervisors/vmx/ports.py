"""Serial and parallel ports of a .vmx: a device of the host, a file, a pipe, or (serial) a network URI."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ...config.domain.chardev import (
    Chardev,
    ChardevSource,
    Console,
    ConsoleTarget,
    Parallel,
    ParallelTarget,
    Protocol,
    Serial,
    SerialTarget,
)
from ...config.domain.domain import Domain
from ...config.errors import ConfigUnsupported
from .names import FileNames
from .text import VmxText, refused

SERIALS = 4
PARALLELS = 3
_PROTOCOLS = {"": "raw", "tcp": "raw", "tcp4": "raw", "tcp6": "raw", "telnet": "telnet", "telnets": "telnets",
              "ssl": "tls", "tcp+ssl": "tls", "tcp4+ssl": "tls", "tcp6+ssl": "tls"}  # fmt: skip
"""Scheme of the URI (vSphere API, VirtualSerialPortURIBackingInfo) -> protocol in domain XML."""
_SCHEMES = {"raw": "tcp", "telnet": "telnet", "telnets": "telnets", "tls": "ssl"}


def read_ports(vmx: VmxText, domain: Domain, names: FileNames) -> None:
    """Read all ports; the first serial one is the console, as in all domain XML."""
    devices = domain.devices
    for number in range(SERIALS):
        serial = Serial(target=SerialTarget(port=number))
        if _read(vmx, f"serial{number}", serial, names):
            devices.serials.append(serial)
    for number in range(PARALLELS):
        parallel = Parallel(target=ParallelTarget(port=number))
        if _read(vmx, f"parallel{number}", parallel, names):
            devices.parallels.append(parallel)
    if devices.serials:
        first = devices.serials[0]
        target = ConsoleTarget(type="serial", port=first.target.port)
        console = Console(type=first.type, sources=[first.source.copy()], target=target)
        console.protocol = first.protocol.copy() if first.protocol is not None else None
        devices.consoles.append(console)


def _read(vmx: VmxText, key: str, port: Chardev, names: FileNames) -> bool:
    """Fill `port`; False where there is none, or one for the product's own printing (thinprint)."""
    kind = vmx.word(f"{key}.fileType") or "device"
    if not vmx.flag(f"{key}.present") or kind == "thinprint":
        return False
    name = vmx.string(f"{key}.fileName") or ""
    allowed = ("device", "file") if key.startswith("parallel") else ("device", "file", "pipe", "network")
    if kind not in allowed:
        raise refused(f"{key}.fileType", kind, allowed)
    if kind == "network":
        _read_network(vmx, key, name, port)
        return True
    port.type = {"device": "dev", "file": "file", "pipe": "pipe"}[kind]
    port.sources = [ChardevSource(path=names.to_path(name) if kind == "file" else name)]
    return True


def _read_network(vmx: VmxText, key: str, name: str, port: Chardev) -> None:
    try:
        uri = urlsplit(name)
        host, number = uri.hostname or "", uri.port
    except ValueError:
        raise refused(f"{key}.fileName", name, "a URI such as tcp://host:port") from None
    protocol = _PROTOCOLS.get(uri.scheme)
    if protocol is None:
        raise refused(f"{key}.fileName", name, tuple(filter(None, _PROTOCOLS)))
    if number is None:
        raise refused(f"{key}.fileName", name, "a URI with a port")
    end = vmx.word(f"{key}.network.endPoint") or "server"
    if end not in ("server", "client"):
        raise refused(f"{key}.network.endPoint", end, ("server", "client"))
    port.type = "tcp"
    port.sources = [ChardevSource(mode="bind" if end == "server" else "connect", host=host, service=str(number))]
    port.protocol = Protocol(type=protocol)


def write_ports(domain: Domain, vmx: VmxText, names: FileNames) -> None:
    """Write all ports under their numbers."""
    kinds: tuple[tuple[str, Sequence[Serial | Parallel], int], ...] = (
        ("serial", domain.devices.serials, SERIALS), ("parallel", domain.devices.parallels, PARALLELS)
    )  # fmt: skip
    for kind, ports, most in kinds:
        for place, port in enumerate(ports):
            number = port.target.port if port.target.port is not None else place
            path = f"devices/{kind}[{place + 1}]"
            if number >= most:
                raise ConfigUnsupported(
                    f"a VMware guest has {most} {kind} ports, not number {number}", path=f"{path}/target/@port",
                    value=number, remedy=f"use 0 to {most - 1}",
                )  # fmt: skip
            _write(port, f"{kind}{number}", path, vmx, names)


def _write(port: Chardev, key: str, path: str, vmx: VmxText, names: FileNames) -> None:
    source = port.source
    vmx.put(f"{key}.present", True)
    if port.type == "dev":
        vmx.put(f"{key}.fileType", "device")
        vmx.put(f"{key}.fileName", source.path or "")
    elif port.type == "file":
        vmx.put(f"{key}.fileType", "file")
        vmx.put(f"{key}.fileName", names.to_name(source.path or ""))
    elif port.type == "pipe" and key.startswith("serial"):
        vmx.put(f"{key}.fileType", "pipe")
        # domain XML does not say who is at the other end: the product's own defaults
        vmx.put(f"{key}.pipe.endPoint", "client")
        vmx.put(f"{key}.tryNoRxLoss", False)
        vmx.put(f"{key}.fileName", source.path or "")
    elif port.type == "tcp" and key.startswith("serial"):
        protocol = (port.protocol.type if port.protocol else None) or "raw"
        host = f"[{source.host}]" if ":" in (source.host or "") else source.host or ""
        vmx.put(f"{key}.fileType", "network")
        vmx.put(f"{key}.fileName", f"{_SCHEMES[protocol]}://{host}:{source.service or ''}")
        vmx.put(f"{key}.network.endPoint", "client" if source.mode == "connect" else "server")
    else:
        raise ConfigUnsupported(
            f"a VMware guest has no {key.rstrip('0123')} port of type {port.type}", path=f"{path}/@type",
            value=port.type, remedy="use dev or file; for serial ports also pipe or tcp",
        )  # fmt: skip
