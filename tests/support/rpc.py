"""A MessagePack-RPC client by hand: a plain socket and msgpack, nothing of mechane's own clients.

One `Rpc` is used by one thread.  Every wait has a deadline.
"""

import contextlib
import itertools
import socket
import time
from pathlib import Path
from typing import Any

import msgpack

CALL_TIMEOUT_S = 20.0


class RpcError(Exception):
    """The error that the node answered."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = error
        self.code = str(error.get("code"))


class Gone(Exception):
    """The node closed the connection, or died."""


class Rpc:
    """A connection to a node's Unix socket."""

    def __init__(self, path: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout_s)
        try:
            self.sock.connect(str(path))
        except OSError:
            self.sock.close()
            raise
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self._numbers = itertools.count(1)
        self._answers: dict[int, tuple[Any, Any]] = {}
        self.notifications: list[tuple[str, Any]] = []

    def __enter__(self) -> "Rpc":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def send(self, method: str, **params: Any) -> int:
        """Send a call and return its number; the answer is fetched with `answer`."""
        number = next(self._numbers)
        self.push([0, number, method, [params]])
        return number

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self.push([2, method, [params]])

    def push(self, message: Any) -> None:
        """Send any message."""
        try:
            self.sock.sendall(msgpack.packb(message))
        except OSError as error:
            raise Gone(str(error)) from error

    def call(self, method: str, **params: Any) -> Any:
        """Call and wait for the result.

        Raises: RpcError the node's error; Gone; TimeoutError after the client's time.
        """
        return self.answer(self.send(method, **params))

    def answer(self, number: int, timeout_s: float | None = None) -> Any:
        """Wait for the answer to a call that was sent."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while number not in self._answers:
            self._receive(deadline)
        error, result = self._answers.pop(number)
        if error is not None:
            raise RpcError(error)
        return result

    def answered(self) -> set[int]:
        """Return the numbers of calls whose answers came and were not fetched."""
        return set(self._answers)

    def first_of(self, numbers: set[int]) -> int:
        """Wait until one of several calls has its answer and return its number."""
        deadline = time.monotonic() + self.timeout_s
        while not numbers & self._answers.keys():
            self._receive(deadline)
        return next(number for number in self._answers if number in numbers)

    def notification(self, method: str, timeout_s: float | None = None) -> Any:
        """Return the parameters of the next notification of that name."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            for index, (name, params) in enumerate(self.notifications):
                if name == method:
                    del self.notifications[index]
                    return params
            self._receive(deadline)

    def drain(self, for_s: float) -> None:
        """Take in whatever comes within `for_s` seconds."""
        deadline = time.monotonic() + for_s
        with contextlib.suppress(TimeoutError):
            while True:
                self._receive(deadline)

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the node did not answer in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 20)
        except TimeoutError:
            raise TimeoutError("the node did not answer in time") from None
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("the node closed the connection")
        self._unpacker.feed(data)
        for message in self._unpacker:
            if message[0] == 1:
                self._answers[message[1]] = (message[2], message[3])
            else:
                params = message[2]
                self.notifications.append((message[1], params[0] if len(params) == 1 else params))
