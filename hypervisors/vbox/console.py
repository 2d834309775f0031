"""A machine's console: a serial port in server mode, at whose Unix socket VirtualBox listens (manual, `uartmode`)."""

from __future__ import annotations

from ...config.domain.domain import Domain
from ...config.errors import NotFound


def serial_socket(domain: Domain, device: str | None) -> tuple[str, str]:
    """Return the name of a serial port and the path of its socket. Pure.

    Args:
        domain: the machine's definition.
        device: serial0, serial1, …; the first one with a socket where None.

    Raises:
        NotFound: there is none.
    """
    for at, serial in enumerate(domain.devices.serials):
        name = f"serial{serial.target.port if serial.target.port is not None else at}"
        source = serial.source
        if serial.type == "unix" and source.mode == "bind" and source.path and device in (None, name):
            return name, source.path
    raise NotFound(f"{domain.name} has no serial port {device or 'with a socket'}", path="params.device",
                   remedy="give it a <serial type='unix'> with <source mode='bind' path='…'/>")  # fmt: skip
