"""Clients over TCP with TLS, who prove who they are by a certificate.

Guarantees:
- All TLS input and output happens on the gateway thread: Python's ssl objects are not safe
  across threads, so `TlsSession.send` of another thread only fills the outbox.
- Without a certificate that the node's authority signed (and did not revoke, where a
  revocation list is given) nobody becomes a session (`handshakes.py`), and whoever is one
  when that changes does not stay (`trust.py`).
- No tickets, no renegotiation: each session is checked against the revocation list anew.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from typing import Any

from ...config.errors import OperationFailed
from ...protocol.identity import Identity
from .listener import BACKLOG
from .session import AGAIN, Owner, Session

KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 60, 10, 3
UNACKNOWLEDGED_MS = 90_000
"""A client whose network vanished is dropped after about this long (tcp(7))."""
TLS_AGAIN = (*AGAIN, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_SHORT_NAMES = {
    "commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST", "organizationName": "O",
    "organizationalUnitName": "OU", "countryName": "C", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip
_DER = 2
"""_ssl.ENCODING_DER."""
_ESCAPED = frozenset(',+"\\<>;=')


class TlsSession(Session):
    """A session whose socket is a non-blocking SSLSocket."""

    __slots__ = ("chain", "context", "expires")
    direct = False
    again = TLS_AGAIN

    def __init__(self, owner: Owner, sock: ssl.SSLSocket, *rest: Any, **named: Any) -> None:
        """Take over a socket whose handshake is done; see `Session`.

        Raises:
            OSError: the client is gone.
        """
        super().__init__(owner, sock, *rest, **named)
        self.chain = chain_of(sock)
        """Certificates as the client sent them, its own first; DER."""
        self.expires = ssl.cert_time_to_seconds(str((sock.getpeercert() or {})["notAfter"]))
        self.context: ssl.SSLContext | None = sock.context
        """By which the chain was judged last."""


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


def chain_of(sock: ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return the certificates that a client sent, its own first, in DER."""
    public = getattr(sock, "get_unverified_chain", None)  # since Python 3.13
    if public is not None:
        return tuple(public())
    inner = getattr(sock, "_sslobj", None)  # the same, before it got a public name
    found = inner.get_unverified_chain() if inner is not None else None
    return tuple(each.public_bytes(_DER) for each in found or ())


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
