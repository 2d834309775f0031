"""What waits for messages of a connection.

A waiter is delivered to by whichever thread reads. `lock` is None until its owner sleeps:
then it is a held lock whose release wakes the owner, for a reply or to take over reading.
"""

from __future__ import annotations

import _thread
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

Reply = list[Any]
"""A response frame, [1, msgid, error, result], or LOST."""
LOST: Reply = []
"""Stands for the reply that will not come, because the connection is gone."""


class Pending(Protocol):
    """What may stand behind a msgid."""

    def deliver(self, reply: Reply) -> None:
        """Take the response frame (or LOST). Reader's thread; returns at once."""


class Sink(Protocol):
    """Where the notifications of a subscription or a stream go. Reader's thread."""

    def notify(self, kind: str, params: dict[str, Any]) -> None:
        """Take a notification: its name after the dot (event, data, credit, close)."""

    def lost(self) -> None:
        """Learn that the connection is gone."""


class Waiter:
    """One call's wait for its response."""

    __slots__ = ("lock", "reply")

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.lock: _thread.LockType | None = None

    def deliver(self, reply: Reply) -> None:
        """Take the response and wake the owner if it sleeps."""
        self.reply = reply
        if self.lock is not None:
            wake(self.lock)


class BatchWaiter(Waiter):
    """The wait for all responses of a batch; `replies` is by msgid, `reply` set by the last."""

    __slots__ = ("missing", "replies")

    def __init__(self, count: int) -> None:
        super().__init__()
        self.missing = count
        self.replies: dict[int, Reply] = {}

    def deliver(self, reply: Reply) -> None:
        """Take one response; the last one, or LOST, ends the wait."""
        if reply is LOST:
            super().deliver(reply)
            return
        self.replies[reply[1]] = reply
        self.missing -= 1
        if not self.missing:
            super().deliver(reply)


class OpeningWaiter(Waiter):
    """The wait for a response that opens a subscription or a stream.

    The sink is registered by the reader itself, before it looks at the next message: the
    first notification may follow the response in the same read.
    """

    __slots__ = ("key", "sink", "sinks")

    def __init__(self, key: str, sink: Sink, sinks: Sinks) -> None:
        super().__init__()
        self.key = key
        self.sink = sink
        self.sinks = sinks

    def deliver(self, reply: Reply) -> None:
        """Take the response and register the sink under the number in it."""
        if reply is not LOST and reply[2] is None:
            self.sinks.add((self.key, reply[3][self.key]), self.sink)
        super().deliver(reply)


class Sinks:
    """The sinks of one connection, by (subscription|stream, number).

    Notifications that arrive before their sink is registered are kept, up to a bound, and
    handed over at registration.
    """

    EARLY = 1024
    """Early notifications kept; a node sends none before the response, so few are ever needed."""

    def __init__(self) -> None:
        self._sinks: dict[tuple[str, int], Sink] = {}
        self._early: deque[tuple[tuple[str, int], str, dict[str, Any]]] = deque(maxlen=self.EARLY)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def add(self, key: tuple[str, int], sink: Sink) -> None:
        """Register a sink, and give it what came too early."""
        self._sinks[key] = sink
        if self._early:
            early, self._early = self._early, deque(maxlen=self.EARLY)
            for item in early:
                if item[0] == key:
                    sink.notify(item[1], item[2])
                else:
                    self._early.append(item)

    def remove(self, key: tuple[str, int]) -> None:
        """Forget a sink."""
        self._sinks.pop(key, None)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Hand a notification to its sink; what nobody waits for is dropped."""
        group, _, kind = method.partition(".")
        name = "subscription" if group == "events" else group
        number = params.get(name)
        if not isinstance(number, int):
            return
        sink = self._sinks.get((name, number))
        if sink is not None:
            sink.notify(kind, params)
        else:
            self._early.append(((name, number), kind, params))

    def lost(self) -> None:
        """Tell every sink that the connection is gone, and forget them."""
        sinks, self._sinks = self._sinks, {}
        for sink in sinks.values():
            sink.lost()


def wake(lock: _thread.LockType) -> None:
    """Release a sleeper's lock; being woken twice is as good as once."""
    with suppress(RuntimeError):  # released already: its owner is on its way
        lock.release()
