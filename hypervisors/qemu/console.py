"""Open a guest's serial ports, consoles and channels.

A pty is made by QEMU and learnt at the start. Sockets lie in places that QEMU's user may
change, so the node looks at what it opened before it uses it: never through a link.
"""

from __future__ import annotations

import os
import socket
import stat
import termios
import tty
from contextlib import suppress

from ...config.errors import InvalidArgument, OperationFailed, OperationInvalid
from ..abilities import ConsoleChannel
from ..contract import Target
from .power import Power
from .profile import ConsoleDevice, Profile

PTS_MAJORS = range(136, 144)
"""Major numbers of Unix98 pseudo-terminals (the kernel's admin-guide/devices.txt)."""


class Consoles:
    """Opens consoles of running guests. Loop's thread; nothing here waits."""

    def __init__(self, power: Power) -> None:
        self._power = power

    async def open_console(self, target: Target, device: str | None) -> ConsoleChannel:
        """Open a device by its alias, or the first serial port or console.

        Raises:
            OperationInvalid: the guest does not run.
            InvalidArgument: it has no such device.
            OperationFailed: the device cannot be opened.
        """
        guest = self._power.guest(target)
        chosen = choose(guest.profile, device, target.name)
        try:
            fd = _open_pty(chosen.path) if chosen.kind == "pty" else _open_socket(chosen.path)
        except OSError as error:
            raise OperationFailed(
                f"{chosen.alias} of {target.name} cannot be opened at {chosen.path}: {error.strerror}",
                remedy="look whether the node may open it, and whether something else holds it", device=chosen.alias,
            ) from error  # fmt: skip
        return ConsoleChannel(device=chosen.alias, fd=fd, close=lambda: _close(fd))


def choose(profile: Profile, device: str | None, domain: str) -> ConsoleDevice:
    """Return the device that is asked for.

    Raises:
        OperationInvalid: the guest has none at all.
        InvalidArgument: it has none of that alias.
    """
    devices = profile.consoles
    usable = [item for item in devices if item.role != "channel"]
    if device is None:
        if not usable:
            raise OperationInvalid(
                f"domain {domain} has no console", remedy="add <console type='pty'/> to its definition"
            )
        return usable[0]
    for item in devices:
        if device == item.alias:
            return item
    if device == "console0" and usable:
        return usable[0]  # the first console is the first serial port, whose alias it shares
    raise InvalidArgument(
        f"domain {domain} has no console {device!r}", remedy="name one of those that it has", path="params.device",
        value=device, allowed=[item.alias for item in devices],
    )  # fmt: skip


def _open_pty(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    info = os.fstat(fd)
    if not stat.S_ISCHR(info.st_mode) or os.major(info.st_rdev) not in PTS_MAJORS:
        os.close(fd)
        raise OSError(0, "it is no pseudo-terminal")
    with suppress(termios.error):  # QEMU has set it to raw already
        tty.setraw(fd, termios.TCSANOW)
    return fd


def _open_socket(path: str) -> int:
    """Connect to the socket itself, whatever the path's length: unix(7) takes at most 107 bytes."""
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise OSError(0, "it is no socket")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            sock.connect(f"/proc/self/fd/{place}")
        except OSError:
            sock.close()
            raise
        return sock.detach()
    finally:
        os.close(place)


def _close(fd: int) -> None:
    with suppress(OSError):  # closed by the stream already
        os.close(fd)
