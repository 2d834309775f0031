"""A client's session as subscriptions see it: takes frames, can be slow, can refuse."""

import threading
from collections.abc import Callable
from typing import Any

import msgpack

from mechane.config.errors import MechaneError
from mechane.protocol.limits import Limits


class FakeSession:
    """Modelled on the gateway's Session: an outbox with a low-water mark, drained by `take`.

    With `slow` frames stay in the outbox until `take`; else the client takes each at once.
    """

    def __init__(self, number: int = 1, *, slow: bool = False, pause_bytes: int = 200_000) -> None:
        self.id = number
        self.closed = False
        self.error: MechaneError | None = None
        self.slow = slow
        self.limits = Limits(outbox_pause_bytes=pause_bytes)
        self.received: list[dict[str, Any]] = []
        self.most_outbox = 0
        self._lock = threading.Lock()
        self._outbox: list[bytes] = []
        self._size = 0
        self._callbacks: list[Callable[[], None]] = []

    def send(self, frame: bytes, /) -> None:
        """Take a frame."""
        with self._lock:
            if self.closed:
                return
            if not self.slow:
                self._receive(frame)
                return
            self._outbox.append(frame)
            self._size += len(frame)
            self.most_outbox = max(self.most_outbox, self._size)

    def outbox_bytes(self) -> int:
        """Tell what the client has not read."""
        return self._size

    def on_drain(self, callback: Callable[[], None], /) -> None:
        """Call once when the outbox is at low water (a quarter of the limit), at once when it is."""
        with self._lock:
            self._callbacks.append(callback)
        self._run_drained()

    def disconnect(self, error: MechaneError | None, /) -> None:
        """End the session."""
        self.error = error
        self.closed = True

    def take(self, most: int = 1_000_000) -> int:
        """Let the client read up to `most` frames; return how many it read."""
        with self._lock:
            taken, self._outbox = self._outbox[:most], self._outbox[most:]
            for frame in taken:
                self._size -= len(frame)
                self._receive(frame)
        self._run_drained()
        return len(taken)

    def _run_drained(self) -> None:
        callbacks: list[Callable[[], None]] = []
        with self._lock:
            if self._size <= self.limits.outbox_pause_bytes // 4:
                callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def numbers(self) -> list[int]:
        """Give the numbers that the test put into the events it received, gaps left out."""
        return [event["data"]["n"] for event in self.received if event["kind"] != "gap"]

    def gaps(self) -> list[dict[str, Any]]:
        """Give the gaps that were received."""
        return [event for event in self.received if event["kind"] == "gap"]

    def _receive(self, frame: bytes) -> None:
        kind, method, (event,) = msgpack.unpackb(frame)
        assert (kind, method) == (2, "events.event")
        self.received.append(event)


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Make an event as cells append them."""
    return {
        "kind": "lifecycle",
        "event": "started",
        "detail": "booted",
        "uuid": f"00000000-0000-0000-0000-{number:012x}",
        "name": f"guest{number}",
        "connection": "test:///default",
        "incarnation": 1,
        "data": {"n": number},
        **fields,
    }
