"""The client of QEMU's machine protocol (QMP), one for each guest.

Guarantees:
- one unit (a command, or a batch that is written at once) is under way at a time, each
  with its own id; the others wait, first come first served;
- no reply is awaited for ever. A unit that is not answered in time fails, the monitor
  counts as stuck and nothing more is sent to it until the late reply, which is dropped;
  then the waiting units go on by themselves;
- on disconnect every unit, under way or waiting, fails explicitly;
- an awaiting task may be cancelled: a unit that was sent is still followed to its reply;
- events are delivered from the reader at once, before the reply of their command; those that come in masses are
  folded (torrent.py), and a monitor that has much to say is read a little at a time (receiver.py).

Everything runs on the loop's thread and nothing here blocks.

Why not `qemu.qmp`: the node pays 2.1 to 3 times as much processor time for each command, and it
keeps two tasks for each guest where this keeps none (measured: docs/decisions.md).

Format: QEMU's docs/interop/qmp-spec.rst. Requests may be pipelined; QEMU handles them in
order and sends the greeting before it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from ...config.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MechaneError,
    MonitorError,
    OutcomeUnknown,
)
from .receiver import Crowd, Receiver
from .shapes import makes_sense
from .torrent import EVENT_BYTES, Folded, Torrent

_encode = json.JSONEncoder(separators=(",", ":")).encode


class CommandKind(Enum):
    """Whether a command only asks, or changes something: what a late reply means differs."""

    QUERY = "query"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of QMP, its arguments, and a descriptor that goes with it (getfd); -1: none."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    fd: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Which command is not answered, since when (Unix time), and whether it changes something."""

    command: str
    since: float
    changing: bool


class MonitorListener(Protocol):
    """Who is told what a monitor does; called on the loop's thread, must not wait."""

    def on_event(self, name: str, data: Mapping[str, Any]) -> None:
        """An event came."""

    def on_stuck(self, stuck: Stuck) -> None:
        """A command was not answered in time."""

    def on_back(self, stuck: Stuck) -> None:
        """The late reply came; the monitor answers again."""

    def on_closed(self) -> None:
        """The connection is gone; all that waited has failed."""


class _Unit:
    """Commands that are written at once, and their replies."""

    __slots__ = ("changing", "commands", "deadline_s", "first_id", "future", "replies", "since", "timer", "tolerant")

    def __init__(
        self, commands: Sequence[Command], changing: bool, deadline_s: float, tolerant: bool,
        future: asyncio.Future[list[Any]],
    ) -> None:  # fmt: skip
        self.commands = commands
        self.changing = changing
        self.deadline_s = deadline_s
        self.tolerant = tolerant
        self.future = future
        self.first_id = 0
        self.replies: list[Any] = []
        self.since = 0.0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def awaited(self) -> str:
        """The name of the command whose reply is awaited."""
        return self.commands[min(len(self.replies), len(self.commands) - 1)].name

    def fail(self, error: MechaneError) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if not self.future.done():
            self.future.set_exception(error)


class Monitor:
    """A connected monitor; see the module for what is promised."""

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, listener: MonitorListener, *,
        name: str = "", wall_clock: Callable[[], float] = time.time, crowd: Crowd | None = None,
    ) -> None:  # fmt: skip
        """Take over a connected, non-blocking socket; the handshake is written at once.

        Args:
            sock: the socket; closed by `close` and on disconnect.
            loop: whose thread everything runs on.
            listener: who is told.
            name: the domain, for error texts.
            wall_clock: Unix time, for `since`.
            crowd: the other monitors of this loop.
        """
        self.greeting: dict[str, Any] | None = None
        self.stuck: Stuck | None = None
        self.closed = False
        self._sock = sock
        self._loop = loop
        self._listener = listener
        self._name = name
        self._clock = wall_clock
        self._out = bytearray()
        self._fds: list[int] = []
        self._waiting: deque[_Unit] = deque()
        self._current: _Unit | None = None
        self._next_id = 1
        self._torrent = Torrent(loop, self._folded)
        self._receiver = Receiver(
            sock, loop, line=self._message, ended=lambda: self._disconnect(tell=True), crowd=crowd
        )  # fmt: skip
        self._write(b'{"execute":"qmp_capabilities"}\n')

    async def execute(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, kind: CommandKind, deadline_s: float
    ) -> Any:
        """Run one command and return its reply.

        Args:
            name: the command.
            arguments: its arguments.
            kind: whether it changes something.
            deadline_s: seconds it may wait for its turn, and again for its reply.

        Raises:
            MonitorError: QEMU refused it (`details.error_class`).
            DeadlineExceeded: no reply in time; `still_running` says whether it was sent.
            OutcomeUnknown: the connection was lost while it ran and may have changed something.
            ConnectionLost: the connection was lost.
        """
        replies = await self.execute_all((Command(name, arguments or {}),), kind=kind, deadline_s=deadline_s)
        return replies[0]

    async def execute_all(
        self, commands: Sequence[Command], *, kind: CommandKind, deadline_s: float, tolerant: bool = False
    ) -> list[Any]:
        """Write several commands at once and return their replies in order.

        Args:
            commands: what to run; QEMU runs them in this order, also after one that failed.
            kind: whether any of them changes something.
            deadline_s: seconds they may wait for their turn, and again for the last reply.
            tolerant: put a `MonitorError` into the list instead of raising the first.

        Raises:
            As `execute`.
        """
        if self.closed:
            raise self._lost()
        unit = _Unit(commands, kind is CommandKind.CHANGE, deadline_s, tolerant, self._loop.create_future())
        self._waiting.append(unit)
        self._send_next()
        if unit.timer is None and unit is not self._current and not unit.future.done():
            unit.timer = self._loop.call_later(deadline_s, self._expired, unit)  # for its turn
        return await unit.future

    def close(self) -> None:
        """Let go of the connection; whatever waits fails. Calling it again does nothing."""
        self._disconnect(tell=False)

    def drain(self) -> None:
        """Take what QEMU wrote before it ended, so that its last events are not lost."""
        self._receiver.drain()
        self._torrent.flush()

    # ---- sending

    def _send_next(self) -> None:
        while self._current is None and self._waiting and not self.closed:
            unit = self._waiting.popleft()
            if unit.future.done():  # its caller went away before it was sent
                if unit.timer is not None:
                    unit.timer.cancel()
                continue
            unit.first_id = self._next_id
            self._next_id += len(unit.commands)
            unit.since = self._clock()
            if unit.timer is not None:
                unit.timer.cancel()
            unit.timer = self._loop.call_later(unit.deadline_s, self._expired, unit)
            self._current = unit
            self._fds += [command.fd for command in unit.commands if command.fd >= 0]
            self._write(b"".join(_request(command, unit.first_id + n) for n, command in enumerate(unit.commands)))

    def _write(self, data: bytes) -> None:
        if not self._out:
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reader sees the end and says so
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._out += data

    def _send(self, data: bytes | bytearray) -> int:
        """Write what the socket takes; descriptors go with the first byte (unix(7), SCM_RIGHTS)."""
        if not self._fds:
            return self._sock.send(data)
        sent = socket.send_fds(self._sock, [data], self._fds)
        self._fds.clear()
        return sent

    def _writable(self) -> None:
        try:
            sent = self._send(self._out)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._out)  # the reader sees the end and says so
        del self._out[:sent]
        if not self._out:
            self._loop.remove_writer(self._sock.fileno())

    # ---- deadlines

    def _expired(self, unit: _Unit) -> None:
        unit.timer = None
        if unit is not self._current:
            if unit in self._waiting:
                self._waiting.remove(unit)
            unit.fail(self._late_turn(unit))
            return
        self.stuck = Stuck(command=unit.awaited, since=unit.since, changing=unit.changing)
        unit.fail(
            DeadlineExceeded(
                f"the monitor of {self._name} did not answer {unit.awaited} within {unit.deadline_s:g} s",
                remedy="wait until the domain responds again, or destroy it",
                command=unit.awaited, since=unit.since, still_running=unit.changing,
            )  # fmt: skip
        )
        self._listener.on_stuck(self.stuck)

    def _late_turn(self, unit: _Unit) -> DeadlineExceeded:
        current = self._current
        holder = current.awaited if current is not None else "nothing"
        return DeadlineExceeded(
            f"{unit.awaited} was not sent to {self._name} within {unit.deadline_s:g} s: "
            f"its monitor is busy with {holder}",
            remedy="wait until the domain responds again, or destroy it",
            command=holder, since=current.since if current is not None else 0.0, still_running=False,
        )  # fmt: skip

    # ---- receiving

    def _message(self, line: bytes) -> None:
        unasked = self._current is None and len(line) > EVENT_BYTES
        if unasked or self.closed or not line.strip() or self._torrent.takes(line):
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._disconnect(tell=True)
        elif "event" in message:
            self._listener.on_event(str(message["event"]), _map(message.get("data")))
        elif "QMP" in message:
            self.greeting = message["QMP"]
        else:
            self._reply(message)

    def _folded(self, folded: Folded) -> None:
        """Tell an event that stands for several."""
        with contextlib.suppress(ValueError, RecursionError, TypeError):  # QEMU lies: it is one of many like it
            message = json.loads(folded.line)
            data = _map(message.get("data"))
            more = {"folded": folded.times - 1} if folded.times > 1 else {}
            self._listener.on_event(str(message["event"]), {**data, **more})

    def _reply(self, message: dict[str, Any]) -> None:
        unit = self._current
        if unit is None or ("id" not in message and "error" not in message):
            return  # the reply of the handshake
        if message.get("id", unit.first_id + len(unit.replies)) != unit.first_id + len(unit.replies):
            return
        if "error" in message:
            unit.replies.append(_refusal(unit.awaited, self._name, message["error"]))
        elif makes_sense(unit.awaited, message.get("return")):
            unit.replies.append(message.get("return"))
        else:
            unit.replies.append(_refusal(unit.awaited, self._name, {"desc": "its answer makes no sense"}))
        if len(unit.replies) == len(unit.commands):
            self._finish(unit)

    def _finish(self, unit: _Unit) -> None:
        if unit.timer is not None:
            unit.timer.cancel()
        self._current = None
        failed = next((reply for reply in unit.replies if isinstance(reply, MonitorError)), None)
        if not unit.future.done():
            if failed is not None and not unit.tolerant:
                unit.future.set_exception(failed)
            else:
                unit.future.set_result(unit.replies)
        stuck, self.stuck = self.stuck, None
        if stuck is not None:
            self._listener.on_back(stuck)
        self._send_next()

    # ---- the end

    def _disconnect(self, *, tell: bool) -> None:
        if self.closed:
            return
        self.closed = True
        self._receiver.close()
        self._torrent.flush()
        if self._out:
            self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        current, self._current = self._current, None
        waiting, self._waiting = self._waiting, deque()
        if current is not None:
            current.fail(self._cut_off(current))
        for unit in waiting:
            unit.fail(self._lost())
        if tell:
            self._listener.on_closed()

    def _lost(self) -> ConnectionLost:
        return ConnectionLost(f"the monitor of {self._name} is closed", remedy="look at the domain's state and log")

    def _cut_off(self, unit: _Unit) -> MechaneError:
        if not unit.changing:
            return self._lost()
        return OutcomeUnknown(
            f"the monitor of {self._name} was closed while {unit.awaited} ran", remedy="look at the domain's state",
            command=unit.awaited,
        )  # fmt: skip


def _map(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _request(command: Command, number: int) -> bytes:
    message: dict[str, Any] = {"execute": command.name, "id": number}
    if command.arguments:
        message["arguments"] = command.arguments
    return _encode(message).encode() + b"\n"


def _refusal(command: str, domain: str, error: Any) -> MonitorError:
    error = error if isinstance(error, dict) else {}
    return MonitorError(
        f"QEMU refused {command} for {domain}: {error.get('desc', 'no reason given')}",
        remedy="see the command in QEMU's QMP reference", command=command, error_class=error.get("class", ""),
    )  # fmt: skip
