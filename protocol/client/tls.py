"""TLS to a node, for threads.

Python's SSL objects are not safe across threads, and reading must not hold up writing: so
the encryption works on memory under one lock, and the socket is read and written outside it.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import AuthenticationFailed, ConnectionLost, SettingsError

DEFAULT_PORT = 16520
"""The default of the node's setting tls.port."""
READ_BYTES = 65536
SYSTEM_FOLDER = "/etc/mechane/tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Where a node listens for TLS, and how both sides prove who they are.

    Args:
        host: name or address of the node; checked against its certificate.
        port: TCP port.
        ca: file of the authority's certificate (PEM).
        certificate: file of this client's certificate (PEM).
        key: file of its key (PEM).
    """

    host: str
    ca: str
    certificate: str
    key: str
    port: int = DEFAULT_PORT

    @staticmethod
    def of(host: str, port: int | None = None) -> Tls:
        """Return the settings for a host, with files from the usual places.

        MECHANE_TLS_CA, MECHANE_TLS_CERT and MECHANE_TLS_KEY, else ca.crt, client.crt and
        client.key in ~/.config/mechane/tls, else in /etc/mechane/tls.
        """
        own = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "mechane" / "tls"
        folder = own if own.is_dir() else Path(SYSTEM_FOLDER)
        return Tls(
            host=host,
            port=port or DEFAULT_PORT,
            ca=os.environ.get("MECHANE_TLS_CA") or str(folder / "ca.crt"),
            certificate=os.environ.get("MECHANE_TLS_CERT") or str(folder / "client.crt"),
            key=os.environ.get("MECHANE_TLS_KEY") or str(folder / "client.key"),
        )

    def context(self) -> ssl.SSLContext:
        """Return an SSL context that trusts the authority and shows our certificate.

        Raises:
            SettingsError: a file is missing or no certificate.
        """
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"the TLS files cannot be used: {error}",
                remedy="see that ca, certificate and key name readable PEM files that belong together",
                ca=self.ca,
                certificate=self.certificate,
                key=self.key,
            ) from error
        return context


class TlsSocket:
    """A TLS connection with the few methods that a link needs of a socket."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()

    def handshake(self) -> None:
        """Prove to each other who we are; the socket's own timeout holds."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._socket.recv(READ_BYTES)
                if not data:
                    raise ConnectionResetError("the node hung up during the TLS handshake") from None
                self._incoming.write(data)
            else:
                self._flush()
                return

    def send(self, data: bytes, flags: int = 0, /) -> int:
        """Encrypt and write all of `data`."""
        with self._write_lock:
            with self._lock:
                self._tls.write(data)
                encrypted = self._outgoing.read()
            self._write(encrypted, flags)
        return len(data)

    def recv(self, size: int, /) -> bytes:
        """Read and decrypt; b"" at the end."""
        while True:
            with self._lock:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    answer = self._outgoing.read()  # a key update may want an answer
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
            if answer:
                with self._write_lock:
                    self._write(answer, socket.MSG_NOSIGNAL)
            data = self._socket.recv(READ_BYTES)
            with self._lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option of the socket below."""
        self._socket.setsockopt(level, option, value)

    def shutdown(self, how: int, /) -> None:
        """Wake whoever reads or writes."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def _flush(self) -> None:
        encrypted = self._outgoing.read()
        if encrypted:
            self._write(encrypted, socket.MSG_NOSIGNAL)

    def _write(self, encrypted: bytes, flags: int) -> None:
        view = memoryview(encrypted)
        while view:
            view = view[self._socket.send(view, flags) :]


def open_tls(tls: Tls, timeout_s: float) -> TlsSocket:
    """Connect and shake hands within about `timeout_s`.

    Raises:
        ConnectionLost: nobody answers there.
        AuthenticationFailed: one side does not trust the other.
        SettingsError: our files cannot be used.
    """
    context = tls.context()
    try:
        sock = socket.create_connection((tls.host, tls.port), timeout_s)
    except OSError as error:
        raise ConnectionLost(
            f"no node answers at {tls.host}:{tls.port} ({error.strerror or error})",
            remedy="see that the node listens for TLS there",
            sent=False,
        ) from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = TlsSocket(sock, context, tls.host)
        wrapped.handshake()
        sock.settimeout(None)
    except ssl.SSLError as error:
        sock.close()
        raise AuthenticationFailed(
            f"TLS with {tls.host}:{tls.port} failed: {error.reason or error}",
            remedy="see that both sides trust each other's authority, and the host's name",
        ) from error
    except OSError as error:
        sock.close()
        what = f"{tls.host}:{tls.port} hung up ({error})"
        raise ConnectionLost(what, remedy="call again", sent=False) from error
    return wrapped
