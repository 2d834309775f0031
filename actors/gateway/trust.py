"""What the node trusts: its certificate, the authorities and the revocation list, as the files say now.

Guarantees:
- Files are read by the thread `tls-trust` alone, never by the gateway's: a file system that hangs stops new
  handshakes and nobody else.
- Each handshake is judged by the files as they are when its ClientHello is there; files that cannot be used, or
  with which nobody could get in, leave those of before in force, and the log says so once.
- A session whose certificate is revoked, expired or no longer trusted is closed: at once on `renew` (SIGHUP), about
  two seconds after a file changed by itself, because a file may be half written when it is seen first.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...config.errors import AuthenticationFailed, MechaneError, SettingsError
from .judging import verdict
from .revocations import lists_in, why_useless

LOOK_S = 1.0
"""How often the files are looked at when nobody comes."""
JUDGE_S = 300.0
"""How often all sessions are judged by what did not change: an authority may have expired."""
JUST_WRITTEN_S = 0.1
"""A file that changed so recently may change again within the same tick of the file system's clock."""
Stamp = tuple[tuple[int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the node's certificate and what it trusts lie; all PEM."""

    certificate: Path
    key: Path
    authority: Path
    revoked: Path | None = None

    def all(self) -> list[Path]:
        """Return those that are named."""
        return [path for path in (self.certificate, self.key, self.authority, self.revoked) if path is not None]


class Trusted(Protocol):
    """A session that a certificate opened."""

    closed: bool
    chain: tuple[bytes, ...]
    expires: float
    context: ssl.SSLContext | None

    def disconnect(self, error: MechaneError | None = None) -> None:
        """End the session; any thread."""
        ...


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context that demands a client certificate. Reads files.

    Raises:
        SettingsError: a file is missing or holds something else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
        context.load_verify_locations(files.authority)
        if files.revoked is not None:
            context.load_verify_locations(files.revoked)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
            if not context.cert_store_stats()["crl"]:
                raise ValueError(f"{files.revoked} holds no revocation list")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise SettingsError(
            f"tls: {', '.join(map(str, files.all()))} cannot be used: {error}",
            remedy="give PEM files that exist, belong together and can be read by the node",
        ) from error
    return context


def _no_password() -> str:
    """Answer for a key with a pass phrase: OpenSSL would ask the terminal, and wait."""
    raise ValueError("the key has a pass phrase")


class Trust:
    """See the module. Made by any thread, which reads the files; `start` begins to watch them."""

    def __init__(
        self, files: TlsFiles, sessions: Callable[[], Iterable[Trusted]], call: Callable[[Callable[[], None]], None],
        log: logging.Logger, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """Read the files.

        Args:
            files: which.
            sessions: those that certificates opened.
            call: runs something on the gateway's thread.
            log: where files that cannot be used are told.
            wall: seconds since 1970.

        Raises:
            SettingsError: a file cannot be used.
        """
        self._files, self._sessions, self._call, self._log, self._wall = files, sessions, call, log, wall
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._seen = self._stamp()
        self.context = server_context(files)
        self._expired_said = False
        self._list_until: float | None = None
        if useless := self._useless(self.context):
            log.error("gateway: %s: %s; no client gets in", files.revoked, useless)
        self._judged_at = time.monotonic()

    def start(self) -> None:
        """Begin to watch the files."""
        self._thread = threading.Thread(target=self._run, name="tls-trust", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, without waiting: it may hang in a file system."""
        self._orders.put(None)

    def current(self, then: Callable[[ssl.SSLContext], None]) -> None:
        """Call back on the gateway's thread with the context of the files as they are now; any thread."""

        def answer() -> None:
            self._look()
            context = self.context
            self._call(lambda: then(context))

        self._orders.put(answer)

    def renew(self) -> None:
        """Read the files anew, whatever their times say, and judge all sessions; any thread."""
        self._orders.put(self._renew)

    # ---- what follows runs on the thread tls-trust

    def _run(self) -> None:
        due = time.monotonic() + LOOK_S
        while True:
            try:
                order: Callable[[], None] | None = self._orders.get(timeout=max(due - time.monotonic(), 0.0))
            except queue.Empty:
                order, due = self._tick, time.monotonic() + LOOK_S
            if order is None:
                return
            try:
                order()
            except Exception:  # noqa: BLE001 - the edge: the files of one moment must not end the watch
                self._log.exception("gateway: looking after the TLS files failed")

    def _tick(self) -> None:
        if self._look():
            return  # wait until the files stay as they are
        now = self._wall()
        if self._list_until is not None and now >= self._list_until and not self._expired_said:
            self._expired_said = True
            self._log.error("gateway: %s has expired; no client gets in until it is renewed", self._files.revoked)
        whole = time.monotonic() - self._judged_at >= JUDGE_S
        self._judge([s for s in self._sessions() if whole or s.context is not self.context or now >= s.expires])
        if whole:
            self._judged_at = time.monotonic()

    def _renew(self) -> None:
        self._look(even_the_same=True)
        self._judge(self._sessions())

    def _judge(self, sessions: Iterable[Trusted]) -> None:
        context = self.context
        for session in sessions:
            if session.closed:
                continue
            why = "certificate has expired" if self._wall() >= session.expires else verdict(context, session.chain)
            session.context = context
            if why:
                self._log.warning("gateway: %s is disconnected: %s", session, why)
                session.disconnect(AuthenticationFailed(
                    f"the certificate is no longer good: {why}", remedy="get a new one and connect again",
                ))  # fmt: skip

    def _look(self, *, even_the_same: bool = False) -> bool:
        """Read the files when they changed; returns whether they did."""
        stamp = self._stamp()
        if stamp == self._seen and not even_the_same:
            return False
        self._seen = stamp
        newest = max((each[3] for each in stamp if each), default=0) / 1e9
        if 0 <= time.time() - newest < JUST_WRITTEN_S:
            self._seen = ()
        try:
            context = server_context(self._files)
            useless = self._useless(context)
        except SettingsError as error:
            useless = error.message
        if useless:
            self._log.error("gateway: %s; the TLS files of before stay in force", useless)
            return True
        self.context, self._expired_said = context, False
        self._log.info("gateway: the TLS files were read anew")
        return True

    def _useless(self, context: ssl.SSLContext) -> str:
        """Return why no client could get in with these files, or ""; note until when the list holds."""
        path = self._files.revoked
        if path is None:
            return ""
        try:
            lists = lists_in(path)
            why = why_useless(lists, context, self._wall())
        except (OSError, ValueError, IndexError) as error:
            why = f"it cannot be read ({error})"
        if why:
            return f"{path} cannot be used: {why}"
        self._list_until = max((each.until for each in lists if each.until is not None), default=None)
        return ""

    def _stamp(self) -> Stamp:
        return tuple(_stamp_of(path) for path in self._files.all())


def _stamp_of(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
