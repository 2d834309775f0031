"""Clients who open TLS connections and say nothing, little or too much keep no valid client out."""

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from mechane.tests.acceptance.tls_place import Place
from mechane.tests.support.paths import short_folder
from mechane.tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

ATTEMPTS = 10
PACE_S = 0.1
"""How often a crowd looks what was closed: faster, and two slow cores measure themselves."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Give a place whose node runs."""
    with short_folder() as folder:
        made = Place(folder)
        with made.node:
            made.node.start()
            yield made


def nothing() -> bytes:
    return b""


def one_byte() -> bytes:
    return b"\x16"


def half_a_hello() -> bytes:
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(100)


def noise() -> bytes:
    return os.urandom(300)


def a_hello() -> bytes:
    """Return a whole ClientHello, after which nothing comes."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def one_address(number: int) -> str:
    return "127.0.0.1"


def many_addresses(number: int) -> str:
    return f"127.9.{number // 250}.{number % 250 + 1}"


class Crowd:
    """A thread that keeps connections open: whatever the node closes is opened anew."""

    def __init__(self, port: int, many: int, says: Callable[[], bytes], source: Callable[[int], str]) -> None:
        self._port, self._many, self._says, self._source = port, many, says, source
        self._sockets: dict[int, socket.socket] = {}
        self._stop = threading.Event()
        self.opened = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        wait_until(lambda: self.opened >= self._many, 30, "the crowd")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        for sock in self._sockets.values():
            sock.close()

    def _run(self) -> None:
        while not self._stop.wait(PACE_S):
            for number in range(self._many):
                if number not in self._sockets or self._closed(self._sockets[number]):
                    self._open(number)

    def _open(self, number: int) -> None:
        with contextlib.suppress(OSError):
            if number in self._sockets:
                self._sockets[number].close()
            sock = socket.create_connection(("127.0.0.1", self._port), 2, (self._source(number), 0))
            sock.setblocking(False)
            self._sockets[number] = sock
            self.opened += 1
            sock.send(self._says() or b"")

    @staticmethod
    def _closed(sock: socket.socket) -> bool:
        try:
            while True:
                if sock.recv(65536) == b"":
                    return True
        except BlockingIOError:
            return False
        except OSError:
            return True


@pytest.mark.parametrize("source", [one_address, many_addresses])
@pytest.mark.parametrize("says", [nothing, one_byte, half_a_hello, noise, a_hello])
def test_a_valid_client_gets_in(place: Place, says: Callable[[], bytes], source: Callable[[int], str]) -> None:
    many = 160 if source is one_address else 600
    with Crowd(place.port, many, says, source):
        assert [place.refusal("alice") for _ in range(ATTEMPTS)] == [""] * ATTEMPTS
    assert place.comes_in("alice")
