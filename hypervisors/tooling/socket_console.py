"""A console at a Unix socket that the hypervisor listens at."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

from ...config.errors import DeadlineExceeded, OperationFailed
from ..abilities import ConsoleChannel


async def open_socket(path: str, device: str, deadline_s: float) -> ConsoleChannel:
    """Connect to a guest's serial port. Loop's thread.

    Args:
        path: of the socket, on this host.
        device: how the channel is called.
        deadline_s: seconds that it may take.

    Raises:
        OperationFailed: nobody listens there.
        DeadlineExceeded: nobody answers.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        async with asyncio.timeout(deadline_s):
            await asyncio.get_running_loop().sock_connect(connection, path)
    except TimeoutError:
        connection.close()
        raise DeadlineExceeded(f"{device} at {path} did not answer within {deadline_s:g} s", still_running=False,
                               remedy="another client may have it; the product serves one") from None  # fmt: skip
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise OperationFailed(f"{device} cannot be opened at {path}: {error.strerror or error}",
                                  remedy="look whether the hypervisor listens there") from error  # fmt: skip
        raise
    fd = connection.detach()

    def close() -> None:
        with suppress(OSError):  # closed before
            os.close(fd)

    return ConsoleChannel(device=device, fd=fd, close=close)
