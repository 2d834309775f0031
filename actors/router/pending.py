"""A call that is under way: its once-only reply sink, deadline and cancellation.

Guarantees: exactly one answer leaves, whoever comes first (result, error, deadline,
cancel); `reply` and `fail` may be called from any thread and never wait; after the
answer everything else is dropped silently.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgpack

from ...config.errors import Cancelled, MechaneError
from ...protocol.catalogue import CallSpec
from ...protocol.identity import Identity
from ...protocol.permissions import Grants
from ...protocol.wire import error_frame, response_frame


class Client(Protocol):
    """What a call needs of its session; the gateway's Session is one."""

    id: int
    in_flight: dict[int, Any]
    identity: Identity
    grants: Grants
    closed: bool
    read_only: bool
    behind: bool

    def send(self, frame: bytes, /) -> None:
        """Send a frame; any thread, never waits."""
        ...

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        """Send a frame that comes in parts; any thread, never waits."""
        ...

    def paused(self) -> bool:
        """Return whether so much waits unread that no further call is read; any thread."""
        ...

    def on_drain(self, callback: Callable[[], None], /) -> None:
        """Call back once, on the gateway thread, when little waits unread; never for a client that went."""
        ...


class PendingCall:
    """One accepted call."""

    __slots__ = ("_once", "args", "cancelled", "client", "deadline_at", "deadline_s", "entry", "msgid",
                 "on_cancel", "on_done", "request_id", "since", "spec", "timer")  # fmt: skip

    def __init__(
        self, client: Client, msgid: int, spec: CallSpec, args: dict[str, Any], deadline_s: float, request_id: str
    ) -> None:
        self.client = client
        self.msgid = msgid
        self.spec = spec
        self.args = args
        self.request_id = request_id
        self.deadline_s = deadline_s
        self.since = time.monotonic()
        self.deadline_at = self.since + deadline_s
        self.entry: Any = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_done: Callable[[], None] | None = None
        """Called once when the answer left; lets go of timers and watchers."""
        self.cancelled = ""
        self.timer: Any = None
        self._once = threading.Lock()

    @property
    def done(self) -> bool:
        """Whether the answer left."""
        return self._once.locked()

    def reply(self, result: Any) -> bool:
        """Answer with a result; False when an answer left before."""
        return self.reply_packed(msgpack.packb(result))

    def reply_packed(self, packed: bytes) -> bool:
        """Answer with a result that is packed already."""
        if not self._once.acquire(blocking=False):
            return False
        fault = FAULT.before_reply
        if fault is not None:
            fault("before_reply")
        self._leave()
        self.client.send(response_frame(self.msgid, packed))
        return True

    def reply_parts(self, parts: Sequence[bytes]) -> bool:
        """Answer with a long result whose packed parts are sent one after the other."""
        if not self._once.acquire(blocking=False):
            return False
        self._leave()
        self.client.send_parts([response_frame(self.msgid, b""), *parts])
        return True

    def fail(self, error: MechaneError) -> bool:
        """Answer with an error; False when an answer left before."""
        if not self._once.acquire(blocking=False):
            return False
        self._leave()
        self.client.send(error_frame(self.msgid, error))
        return True

    def drop(self) -> None:
        """Give no answer: the client is gone."""
        if self._once.acquire(blocking=False):
            self._leave()

    def _leave(self) -> None:
        self.client.in_flight.pop(self.msgid, None)
        hook = self.on_done
        if hook is not None:
            hook()

    def cancel(self, why: str) -> None:
        """Ask for the call to end at its next step; answers at once when it only waits."""
        self.cancelled = why
        hook = self.on_cancel
        if hook is not None:
            hook()
        elif self.spec.idempotent:
            self.fail(Cancelled(f"{self.spec.name} was cancelled: {why}"))


class _Fault:
    """The fault point of kill tests; set once by the node before it starts."""

    before_reply: Callable[[str], None] | None = None


FAULT = _Fault()
