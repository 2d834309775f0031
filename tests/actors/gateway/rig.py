"""A gateway with a handler that records, and clients that speak bytes packed by hand."""

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

from mechane.actors.gateway import Gateway, Session
from mechane.config.errors import OperationFailed
from mechane.protocol.catalogue import Catalogue, load
from mechane.protocol.permissions import Policy
from mechane.protocol.wire import Limits, pack, response_frame
from mechane.tests.support.wait import wait_until

TIMEOUT_S = 10.0
CATALOGUE: Catalogue = load()


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """Answers `session.ping` inline; holds `domain.wait` back; remembers all it was told."""

    def __init__(self) -> None:
        self.held: list[tuple[Session, int]] = []
        self.cancelled: list[int] = []
        self.gone: list[int] = []
        self.answer_bytes = 0
        self.called = threading.Event()

    def call(self, session: Session, msgid: int, method: str, params: dict[str, Any]) -> bytes | None:
        if method == "domain.wait":
            session.in_flight[msgid] = params
            self.held.append((session, msgid))
            self.called.set()
            return None
        if method == "node.get_info":
            raise OperationFailed("no info today", remedy="ask tomorrow")
        if method == "node.get_health":
            raise ZeroDivisionError("a bug")
        if self.answer_bytes:
            return response_frame(msgid, pack(b"x" * self.answer_bytes))
        return response_frame(msgid, pack([method, params]))

    def release(self, result: object = "done") -> None:
        """Answer what is held back, from the caller's thread."""
        for session, msgid in self.held:
            session.in_flight.pop(msgid, None)
            session.send(response_frame(msgid, pack(result)))
        self.held.clear()

    def cancel(self, session: Session, msgid: int) -> None:
        self.cancelled.append(msgid)

    def closed(self, session: Session) -> None:
        self.gone.append(session.id)


class Raw:
    """A client of plain bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(TIMEOUT_S)
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 28)

    @classmethod
    def unix(cls, path: Path) -> "Raw":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return cls(sock)

    def send(self, *message: object) -> None:
        self.sock.sendall(msgpack.packb(message))

    def request(self, msgid: int, method: str, **arguments: object) -> None:
        self.send(0, msgid, method, [arguments] if arguments else [])

    def receive(self) -> list[Any] | None:
        """Return the next message, or None when the node closed."""
        while True:
            for message in self.unpacker:
                return message  # type: ignore[no-any-return]
            data = self.sock.recv(65536)
            if not data:
                return None
            self.unpacker.feed(data)

    def call(self, msgid: int, method: str, **arguments: object) -> Any:
        """Call, demand an answer without error, and return its result."""
        self.request(msgid, method, **arguments)
        kind, answered, error, result = self.receive() or [None] * 4
        assert (kind, answered, error) == (1, msgid, None), error
        return result

    def last_error(self) -> dict[str, Any]:
        """Demand a `session.error` and the end of the connection; return the error."""
        message = self.receive()
        assert message is not None and message[:2] == [2, "session.error"], message
        assert self.receive() is None
        return dict(message[2][0])

    def close(self) -> None:
        self.sock.close()


class Rig:
    """A running gateway on two sockets in a short folder."""

    def __init__(self, folder: Path, limits: Limits, clock: Clock | None) -> None:
        self.handler = Recorder()
        self.folder = folder
        policy = Policy(administrators=(os.getuid(),))
        self.gateway = Gateway(limits, self.handler, policy=policy, catalogue=CATALOGUE, clock=clock or time.monotonic)
        self.gateway.listen_unix(folder / "rw")
        self.gateway.listen_unix(folder / "ro", mode=0o666, read_only=True)
        self.gateway.start()
        self.clients: list[Raw] = []

    def client(self, name: str = "rw") -> Raw:
        client = Raw.unix(self.folder / name)
        self.clients.append(client)
        return client

    def only_session(self) -> Session:
        """Return the one session there is, once its client was accepted."""
        return wait_until(lambda: self.gateway.sessions(), TIMEOUT_S, "a session")[0]


@contextlib.contextmanager
def running(limits: Limits | None = None, clock: Clock | None = None) -> Iterator[Rig]:
    """Run a gateway for the time of a block."""
    with tempfile.TemporaryDirectory(prefix="mn", dir="/tmp") as name:
        rig = Rig(Path(name), limits or Limits(), clock)
        try:
            yield rig
        finally:
            for client in rig.clients:
                client.close()
            rig.gateway.stop(TIMEOUT_S)
        assert sorted(Path(name).iterdir()) == []
