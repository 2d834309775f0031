"""Takes lines from a monitor's socket, for no more of the loop's time than a guest may have.

A guest makes events as fast as it can write to a port, and a QEMU that was taken over writes whatever it likes, so
what is read of one monitor has a budget: `TURN_S` in each turn of the loop, and over time `SHARE` of the loop for all
monitors together that want more. Who used up its budget is not read for a while; the kernel, and QEMU, keep the rest.

Loop's thread only.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable

REPLY_BYTES = 4 * 1024 * 1024
"""Longest message taken; query-qmp-schema of QEMU 7.2, the longest reply, has 0.2 MiB (measured)."""
READ_BYTES = 64 * 1024
TURN_S = 0.001
SHARE = 0.1
BURST_S = 0.02
"""Time that a monitor may use at once after it was quiet; the events of a boot take 1 ms."""
DRAIN_BYTES = 1024 * 1024
"""What is taken of a QEMU that has ended; a socket holds 0.2 MiB (socket(7))."""


class Crowd:
    """How many monitors of a loop wait for their budget: they share what is for them."""

    def __init__(self) -> None:
        self.waiting = 0


class Receiver:
    """See the module."""

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, *, line: Callable[[bytes], None],
        ended: Callable[[], None], crowd: Crowd | None = None, clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        """Listen from now on.

        Args:
            sock: connected, non-blocking; closed by its owner, after `close`.
            loop: whose thread everything runs on.
            line: gets each line.
            ended: told once that the peer has closed, or that it sent a line longer than `REPLY_BYTES`.
            crowd: the other monitors of this loop.
            clock: seconds, of a fine clock.
        """
        self._sock = sock
        self._loop = loop
        self._line = line
        self._ended = ended
        self._crowd = crowd or Crowd()
        self._clock = clock
        self._buffer = bytearray()
        self._lines: deque[bytes] = deque()
        self._credit_s = BURST_S
        self._counted_at = clock()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        loop.add_reader(sock.fileno(), self._readable)

    def drain(self) -> None:
        """Take what the peer wrote before it ended, budget or not."""
        self._resume()
        left = DRAIN_BYTES
        while left > 0 and not self._closed:
            self._hand_on(float("inf"))
            taken = 0 if self._closed else self._receive()
            left -= taken
            if not taken:
                return

    def close(self) -> None:
        """Listen no more."""
        if not self._closed:
            self._resume()
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._lines.clear()

    def _readable(self) -> None:
        began = self._clock()
        if self._receive():
            self._hand_on(began + TURN_S)
            self._charge(began)

    def _receive(self) -> int:
        """Take what is there into lines; returns how many bytes."""
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            data = b""
        if not data:
            self._ended()
        elif not self._buffer and data.endswith(b"\n"):
            self._lines.extend(data.splitlines())
        else:
            self._join(data)
        return len(data)

    def _join(self, data: bytes) -> None:
        self._buffer += data
        if b"\n" in data:
            complete, _, rest = bytes(self._buffer).rpartition(b"\n")
            self._buffer = bytearray(rest)
            self._lines.extend(complete.splitlines())
        if len(self._buffer) > REPLY_BYTES:
            self._ended()

    def _hand_on(self, until: float) -> None:
        lines, line, clock = self._lines, self._line, self._clock
        while lines and not self._closed:
            line(lines.popleft())
            if clock() >= until:
                return

    def _charge(self, began: float) -> None:
        """Book the time since `began`; stop listening where the budget is used up or lines are left over."""
        if self._closed:
            return
        now = self._clock()
        self._credit_s = min(self._credit_s + (began - self._counted_at) * SHARE, BURST_S) - (now - began)
        self._counted_at = now
        if self._credit_s >= 0 and not self._lines:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._crowd.waiting += 1
        debt_s = max(-self._credit_s, 0.0)
        self._pause = self._loop.call_later(debt_s / SHARE * self._crowd.waiting, self._go_on)

    def _go_on(self) -> None:
        self._resume()
        began = self._clock()
        self._hand_on(began + TURN_S)
        self._charge(began)

    def _resume(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            self._crowd.waiting -= 1
            self._loop.add_reader(self._sock.fileno(), self._readable)
