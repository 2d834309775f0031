"""TLS handshakes under way: how many, for whom, and who gives way.

Guarantees:
- A client costs a socket and nothing else until its whole ClientHello is there: the kernel wakes us then and not
  before (SO_RCVLOWAT, socket(7)).
- There is always room for one more: an address (a /64 of IPv6) has a share, and what is full lets go of the oldest
  that is silent for a second, of the address that has most; where none is, of the oldest of its larger part: of
  those that are silent still, or of those that are not. So a valid client outlives a crowd of either kind.
- Handshakes take a few milliseconds of a turn at most, however many wait.
- Each has a deadline.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import partial

from ...protocol.identity import Identity
from .loop import BROKEN, IN, OUT, Loop
from .sweep import Sweep
from .tls import tls_identity, tune
from .trust import Trust

MOST = 512
EACH = 128
"""Of one address."""
SILENT_S = 1.0
"""Whoever has just come is silent, too: only after so long that counts against him."""
TURN_S = 0.002
"""After so long the next handshakes wait for the next turn; one takes 0.5 to 2 ms (measured, EC and RSA of 2048)."""
RECORD_HEAD = 5
"""Type, version and length of a record (RFC 8446, 5.1)."""
HEAD_BYTES = RECORD_HEAD + 1
"""… and the type of a handshake message."""
SHORTEST_HELLO, LONGEST_RECORD = 42, 16384
HANDSHAKE_RECORD, CLIENT_HELLO = 22, 1


class Handshake:
    """One client that has not proved yet who it is."""

    __slots__ = ("address", "deadline", "patience", "silent", "sock")

    def __init__(self, sock: socket.socket, address: str, now: float, deadline_s: float) -> None:
        self.sock = sock
        self.address = address
        self.deadline = now + deadline_s
        self.patience = now + SILENT_S
        self.silent = True
        """Its ClientHello is not there yet."""

    def gives_way(self, now: float) -> bool:
        """Tell whether it has been silent for so long that others go first."""
        return self.silent and now >= self.patience


class Handshakes:
    """The handshakes under way; gateway thread only."""

    def __init__(
        self, trust: Trust, loop: Loop, sweep: Sweep, *, done: Callable[[ssl.SSLSocket, Identity], None],
        failed: Callable[[str], None], deadline_s: Callable[[], float],
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            trust: gives the context of the server.
            loop: of the gateway.
            sweep: looks after the deadline.
            done: takes over a client that proved who it is.
            failed: told why a handshake came to nothing.
            deadline_s: seconds that one may take.
        """
        self._trust = trust
        self._loop = loop
        self._sweep = sweep
        self._done = done
        self._failed = failed
        self._deadline_s = deadline_s
        self._open: dict[Handshake, None] = {}
        self._by_address: dict[str, dict[Handshake, None]] = {}
        self._spent_s = 0.0

    def begin(self, client: socket.socket) -> None:
        """Wait for the ClientHello of an accepted socket."""
        tune(client)
        address = address_of(client)
        own = self._by_address.get(address, {})
        now = self._loop.clock()
        if len(own) >= EACH:
            self._drop(oldest(own, now), "its address has too many handshakes under way")
        elif len(self._open) >= MOST:
            self._drop(self._least(now), "too many handshakes are under way")
        one = Handshake(client, address, now, self._deadline_s())
        self._open[one] = None
        self._by_address.setdefault(address, {})[one] = None
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, HEAD_BYTES)
        self._loop.add(client.fileno(), IN, partial(self._listen, one))
        self._sweep.add(self)
        self._listen(one, 0)

    def close(self) -> None:
        """Give up all of them."""
        for one in list(self._open):
            self._drop(one, "the node stops")

    def look(self, now: float) -> bool:
        """Give up those that take too long; return whether there are more."""
        for one in [one for one in self._open if now >= one.deadline]:
            self._drop(one, "the handshake took too long")
        return bool(self._open)

    def _least(self, now: float) -> Handshake:
        """Return who gives way when all places are taken: see the module."""
        silent = [own for own in self._by_address.values() if any(one.gives_way(now) for one in own)]
        return oldest(max(silent or self._by_address.values(), key=len), now)  # the first of equals came first

    def _listen(self, one: Handshake, mask: int) -> None:
        """Look whether the ClientHello is there, and leave it where it is."""
        try:
            head = one.sock.recv(HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            head = None
        except OSError as error:
            self._drop(one, str(error))
            return
        if mask & BROKEN or head == b"":
            self._drop(one, "the client hung up")
        elif head is not None and len(head) < HEAD_BYTES:
            if mask:  # woken below the mark: nothing follows
                self._drop(one, "the client hung up")
        elif head is not None:
            length = int.from_bytes(head[3:RECORD_HEAD], "big")
            fits = SHORTEST_HELLO <= length <= LONGEST_RECORD
            if not fits or (head[0], head[RECORD_HEAD]) != (HANDSHAKE_RECORD, CLIENT_HELLO):
                self._drop(one, "the client does not speak TLS")
            elif self._whole(one, RECORD_HEAD + length):
                self._heard(one)

    def _whole(self, one: Handshake, size: int) -> bool:
        """Tell whether a record is there; else have the kernel wake us when it is."""
        here = len(one.sock.recv(size, socket.MSG_PEEK))
        if here >= size:
            return True
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        return False

    def _heard(self, one: Handshake) -> None:
        one.silent = False
        self._loop.remove(one.sock.fileno())
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._trust.current(partial(self._shake, one))

    def _shake(self, one: Handshake, context: ssl.SSLContext) -> None:
        """Begin the handshake proper, by what is trusted now."""
        if one not in self._open:
            return
        try:
            sock = context.wrap_socket(one.sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # the client is gone
            self._drop(one, str(error))
            return
        one.sock = sock
        self._loop.add(sock.fileno(), IN, partial(self._step, one, sock))

    def _step(self, one: Handshake, sock: ssl.SSLSocket, mask: int) -> None:
        if self._spent_s >= TURN_S:
            return  # the descriptor stays ready: it is told again in the next turn
        if not self._spent_s:
            self._loop.soon(self._new_turn)
        began = self._loop.clock()
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            if mask & BROKEN:
                self._drop(one, "the client hung up")
            else:
                self._loop.change(sock.fileno(), IN)
        except ssl.SSLWantWriteError:
            self._loop.change(sock.fileno(), OUT)
        except OSError as error:  # SSLError is one
            self._drop(one, str(error))
        else:
            self._finish(one, sock)
        self._spent_s += max(self._loop.clock() - began, 1e-9)

    def _new_turn(self) -> None:
        self._spent_s = 0.0

    def _finish(self, one: Handshake, sock: ssl.SSLSocket) -> None:
        self._forget(one)
        try:
            identity = tls_identity(sock)
        except (OSError, ValueError) as error:
            self._loop.close_later(sock)
            self._failed(str(error))
            return
        self._done(sock, identity)

    def _drop(self, one: Handshake, why: str) -> None:
        if one in self._open:
            self._forget(one)
            self._loop.close_later(one.sock)
            self._failed(why)

    def _forget(self, one: Handshake) -> None:
        del self._open[one]
        own = self._by_address[one.address]
        del own[one]
        if not own:
            del self._by_address[one.address]
        self._loop.remove(one.sock.fileno())


def oldest(own: dict[Handshake, None], now: float) -> Handshake:
    """Return the first that has been silent for too long, or the first of the larger part."""
    stale = next((one for one in own if one.gives_way(now)), None)
    if stale is not None:
        return stale
    silent = sum(one.silent for one in own) * 2 >= len(own)
    return next(one for one in own if one.silent is silent)


def address_of(sock: socket.socket) -> str:
    """Return whose share a client takes: an IPv4 address, or the first half of one of IPv6."""
    try:
        host = sock.getpeername()[0]
    except OSError:  # gone already
        return ""
    if sock.family != socket.AF_INET6:
        return str(host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):  # an IPv4 client of a socket for both (RFC 4291, 2.5.5.2)
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return packed[:8].hex()
