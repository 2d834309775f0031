"""Clients over TCP with TLS, who prove who they are by a certificate.

Guarantees:
- All TLS input and output happens on the gateway thread: Python's ssl objects are not safe
  across threads, so `TlsSession.send` of another thread only fills the outbox.
- Without a certificate that the node's authority signed (and did not revoke, where a
  revocation list is given) nobody becomes a session; a handshake has a deadline, and only
  so many may be under way.
- No tickets, no renegotiation: each session is checked against the revocation list anew.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.errors import OperationFailed, SettingsError
from ...protocol.identity import Identity
from .listener import BACKLOG
from .loop import BROKEN, IN, OUT, Loop
from .session import AGAIN, Session
from .sweep import Sweep

MOST_HANDSHAKES = 64
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 60, 10, 3
UNACKNOWLEDGED_MS = 90_000
"""A client whose network vanished is dropped after about this long (tcp(7))."""
TLS_AGAIN = (*AGAIN, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_SHORT_NAMES = {
    "commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST", "organizationName": "O",
    "organizationalUnitName": "OU", "countryName": "C", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip
_ESCAPED = frozenset(',+"\\<>;=')


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the node's certificate and what it trusts lie; all PEM."""

    certificate: Path
    key: Path
    authority: Path
    revoked: Path | None = None


class TlsSession(Session):
    """A session whose socket is a non-blocking SSLSocket."""

    __slots__ = ()
    direct = False
    again = TLS_AGAIN


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context that demands a client certificate; reads files, so only at start.

    Raises:
        SettingsError: a file is missing or holds something else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    try:
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.authority)
        if files.revoked is not None:
            context.load_verify_locations(files.revoked)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"tls: {files.certificate}, {files.key} or {files.authority} cannot be used: {error}",
            remedy="give PEM files that exist, belong together and can be read by the node",
        ) from error
    return context


def bind_tcp(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; may ask the name service, so only at start.

    Args:
        host: address to listen on; "" for all.
        port: its number; 0 for one that is free.

    Raises:
        OperationFailed: the system refuses.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _kind, _protocol, _name, address = found[0]
        sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise OperationFailed(
            f"cannot listen on {host or '*'}:{port}: {error.strerror or error}", remedy="choose another port",
            host=host, port=port,
        ) from error  # fmt: skip
    sock.setblocking(False)
    return sock


def tune(sock: socket.socket) -> None:
    """Send small frames at once, and notice clients whose network vanished (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)


class Handshakes:
    """The handshakes under way; gateway thread only."""

    def __init__(
        self, context: ssl.SSLContext, loop: Loop, sweep: Sweep, *, done: Callable[[ssl.SSLSocket, Identity], None],
        failed: Callable[[str], None], deadline_s: Callable[[], float],
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            context: of the server.
            loop: of the gateway.
            sweep: looks after the deadline.
            done: takes over a client that proved who it is.
            failed: told why a handshake came to nothing.
            deadline_s: seconds that one may take.
        """
        self._context = context
        self._loop = loop
        self._sweep = sweep
        self._done = done
        self._failed = failed
        self._deadline_s = deadline_s
        self._open: dict[ssl.SSLSocket, float] = {}

    def begin(self, client: socket.socket) -> None:
        """Start the handshake of an accepted socket."""
        if len(self._open) >= MOST_HANDSHAKES:
            self._failed("too many handshakes are under way")
            client.close()
            return
        tune(client)
        sock = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        self._open[sock] = self._loop.clock() + self._deadline_s()
        self._loop.add(sock.fileno(), IN, lambda mask: self._step(sock, mask))
        self._sweep.add(self)

    def close(self) -> None:
        """Give up all of them."""
        for sock in list(self._open):
            self._drop(sock, "the node stops")

    def look(self, now: float) -> bool:
        """Give up those that take too long; return whether there are more."""
        for sock in [sock for sock, until in self._open.items() if now >= until]:
            self._drop(sock, "the handshake took too long")
        return bool(self._open)

    def _step(self, sock: ssl.SSLSocket, mask: int) -> None:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            if mask & BROKEN:
                self._drop(sock, "the client hung up")
            else:
                self._loop.change(sock.fileno(), IN)
            return
        except ssl.SSLWantWriteError:
            self._loop.change(sock.fileno(), OUT)
            return
        except OSError as error:  # SSLError is one
            self._drop(sock, str(error))
            return
        del self._open[sock]
        self._loop.remove(sock.fileno())
        try:
            identity = tls_identity(sock)
        except (OSError, ValueError) as error:
            self._loop.close_later(sock)
            self._failed(str(error))
            return
        self._done(sock, identity)

    def _drop(self, sock: ssl.SSLSocket, why: str) -> None:
        if sock in self._open:
            del self._open[sock]
            self._loop.remove(sock.fileno())
            self._loop.close_later(sock)
            self._failed(why)


def tls_identity(sock: ssl.SSLSocket) -> Identity:
    """Return who the verified certificate of a client says it is.

    Raises:
        ValueError: there is no certificate.
        OSError: the client is gone.
    """
    certificate: dict[str, Any] | None = sock.getpeercert()
    encoded = sock.getpeercert(binary_form=True)
    if not certificate or not encoded:
        raise ValueError("the client gave no certificate")
    address = sock.getpeername()
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return Identity(
        kind="tls",
        subject=distinguished_name(certificate["subject"]),
        common_name=names[-1] if names else "",
        issuer=distinguished_name(certificate["issuer"]),
        fingerprint=hashlib.sha256(encoded).hexdigest(),
        address=f"{address[0]}:{address[1]}",
    )


def distinguished_name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Return a name as RFC 4514 writes it: most specific part first, specials escaped.

    Args:
        parts: as `ssl.SSLSocket.getpeercert` gives them.
    """
    return ",".join(
        "+".join(f"{_SHORT_NAMES.get(key, key)}={_escaped(value)}" for key, value in part)
        for part in reversed(parts)
    )


def _escaped(value: str) -> str:
    text = "".join("\\" + letter if letter in _ESCAPED else letter for letter in value)
    text = text.replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = "\\" + text
    if text.endswith(" ") and not text.endswith("\\ "):
        text = text[:-1] + "\\ "
    return text
