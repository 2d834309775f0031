"""What a start has made before its command line can be built."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from .capabilities import EmulatorKey
from .host.shares import NO_SHARES, Shares
from .opening import Opened
from .workshop import close_all


@dataclass(slots=True, kw_only=True)
class Prepared:
    """Descriptors, files and what is opened; `close` it."""

    listener: socket.socket
    log_fd: int
    log_offset: int
    key: EmulatorKey
    secrets: dict[str, str]
    opened: Opened
    shares: Shares = NO_SHARES
    limited: bool = False
    """Whether what QEMU opens was measured: it has to open nothing else."""

    def close(self) -> None:
        """Close our copies of what the child inherits."""
        close_all((self.log_fd,), self.listener)
        self.opened.close()
