"""TCP ports of displays: picked from the settings' range, each for one guest of the connection."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from ....config.errors import StartFailed

WEBSOCKET_SHIFT = -200
"""QEMU's port for websockets: display 5900 + N has 5700 + N (qemu(1), -vnc websocket=on)."""


class Ports:
    """Ports that guests of a connection were given. Any thread; `pick` blocks shortly.

    A port is taken from the pick to the guest's end. Guests that were taken up after a restart of the
    node listen already, which a pick sees.
    """

    def __init__(self, low: int, high: int) -> None:
        self._range = range(low, high + 1)
        self._taken: dict[int, str] = {}
        self._lock = threading.Lock()

    def pick(self, uuid: str, *, websocket: bool = False) -> int:
        """Return a port that nobody has and nobody listens at.

        Args:
            uuid: the guest that gets it.
            websocket: whether the port for websockets that belongs to it must be free too.

        Raises:
            StartFailed: the range is used up.
        """
        with self._lock:
            for port in self._range:
                wanted = (port, port + WEBSOCKET_SHIFT) if websocket else (port,)
                if not any(number in self._taken for number in wanted) and all(map(is_free, wanted)):
                    self._taken |= dict.fromkeys(wanted, uuid)
                    return port
        raise StartFailed(
            f"every port for displays from {self._range.start} to {self._range.stop - 1} is taken",
            remedy="widen display_port_min and display_port_max in the settings' section [qemu]",
        )

    def release(self, uuid: str) -> None:
        """Give back what a guest had."""
        with self._lock:
            self._taken = {port: owner for port, owner in self._taken.items() if owner != uuid}


def is_free(port: int) -> bool:
    """Tell whether nobody listens at a TCP port, of IPv4 and of IPv6."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        except OSError:
            continue  # a host without IPv6
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ended connections do not count
            if family == socket.AF_INET6:
                with suppress(OSError):  # only then it clashes with what the line above tried
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                if error.errno == 98:
                    return False
    return True
