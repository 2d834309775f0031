"""The gateway: owns the listening sockets, the clients and the thread that serves them."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import Busy, MechaneError, OperationFailed, PermissionDenied
from ...protocol.identity import Identity
from ...protocol.limits import Limits
from ...protocol.wire import session_error_frame
from ..runtime.memory import Freed
from .listener import Listener, bind_unix
from .loop import Loop
from .peer import LoginNames, unix_identity
from .places import Places
from .reader import RECEIVE_BYTES
from .session import CallHandler, Session
from .sweep import Sweep

if TYPE_CHECKING:
    from ...protocol.catalogue import Catalogue
    from ...protocol.permissions import Policy
    from .acl import Admitted
    from .trust import TlsFiles, Trust

STOP_S = 5.0


class Gateway:
    """All clients of the node. Methods are for any thread unless they say otherwise."""

    def __init__(
        self, limits: Limits, handler: CallHandler, *, policy: Policy, catalogue: Catalogue,
        clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
        log: logging.Logger | None = None,
    ) -> None:  # fmt: skip
        """Prepare; nothing listens yet.

        Args:
            limits: of the wire; the read-only socket derives its own.
            handler: answers calls on the gateway thread.
            policy: decides what a new client may do.
            catalogue: says which calls the read-only socket offers.
            clock: monotonic seconds, for deadlines.
            wall: seconds since 1970, for `connected_at`.
            log: where mistakes are told.
        """
        self.log = log or logging.getLogger("mechane.gateway")
        self.handler = handler
        self.loop = Loop(clock, self.log)
        self.sweep = Sweep(self.loop)
        self.freed = Freed(self.loop.later)
        self.buffer = memoryview(bytearray(RECEIVE_BYTES))
        self.decoders: dict[tuple[int, int], list[Any]] = {}
        self.not_read_only = frozenset(spec.name for spec in catalogue if not spec.read_only)
        self.set_limits(limits)
        self._policy = policy
        self._wall = wall
        self._login_name = LoginNames()
        self._sessions: dict[int, Session] = {}
        self._places = Places()
        self._counters: dict[str, int] = {}
        self._number = 0
        self._listeners: list[Listener] = []
        self._closers: list[Callable[[], None]] = []
        self._trusts: list[Trust] = []
        self._thread: threading.Thread | None = None

    def set_limits(self, limits: Limits) -> None:
        """Use other limits for clients that connect from now on."""
        self.decoders.clear()  # they have the limits of before
        self._limits = {"unix": limits, "unix-ro": limits.for_read_only(), "tls": limits}

    def listen_unix(
        self, path: Path, *, mode: int = 0o660, gid: int | None = None, read_only: bool = False,
        admitted: Admitted | None = None,
    ) -> None:  # fmt: skip
        """Listen on a Unix socket. Blocks on the file system only.

        Args:
            path: where; any length, its folder must exist.
            mode: permissions of the socket file.
            gid: its group; unchanged when None.
            read_only: offer only calls that get, read and search.
            admitted: who may open it beside owner and group, for the mode 0660.

        Raises:
            Conflict: somebody listens there.
            OperationFailed: the system refuses.
        """
        transport = "unix-ro" if read_only else "unix"
        sock = bind_unix(path, mode=mode, gid=gid, admitted=admitted, log=self.log)

        def accepted(client: socket.socket) -> None:
            self._accept_unix(client, transport)

        self._add(Listener(sock, accepted, self.loop, self.log, name=str(path), path=path, aside=read_only))

    def listen_tls(self, host: str, port: int, files: TlsFiles) -> int:
        """Listen for TLS clients with certificates; returns the port. May ask the name service.

        Args:
            host: address to listen on; "" for all.
            port: its number; 0 for one that is free.
            files: certificate, key and what to trust.

        Raises:
            SettingsError: a file cannot be used.
            OperationFailed: the system refuses the address.
        """
        from . import handshakes, tls, trust  # ssl takes 10 ms to import, and most nodes do without

        trusted = trust.Trust(files, self._of_certificates, self.loop.call, self.log, self._wall)
        sock = tls.bind_tcp(host, port)

        def done(client: socket.socket, identity: Identity) -> None:
            refusal = self.admit("tls", identity)
            session = self.enter(client, "tls", identity, tls.TlsSession)
            if refusal is not None:
                session.refuse(refusal)

        begun = handshakes.Handshakes(
            trusted, self.loop, self.sweep, done=done, failed=self._handshake_failed,
            deadline_s=lambda: self._limits["tls"].handshake_s,
        )  # fmt: skip
        bound: int = sock.getsockname()[1]
        name = f"{host or '*'}:{bound}"
        self._closers += [begun.close, trusted.stop]
        self._trusts.append(trusted)
        trusted.start()
        self._add(Listener(sock, begun.begin, self.loop, self.log, name=name))
        return bound

    def _of_certificates(self) -> list[Any]:
        return [session for session in self.sessions() if session.transport == "tls"]

    def renew_trust(self) -> None:
        """Read certificates and revocation lists anew, and disconnect whom they no longer let in; any thread."""
        for trusted in self._trusts:
            trusted.renew()

    def _handshake_failed(self, why: str) -> None:
        self.count("tls_refused")
        self.log.debug("gateway: TLS handshake refused: %s", why)

    def _add(self, listener: Listener) -> None:
        self._listeners.append(listener)
        if self._thread is not None:
            self.loop.call(listener.open)

    def start(self) -> None:
        """Start the gateway's thread."""
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Return whether the gateway's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, deadline_s: float = STOP_S) -> None:
        """Close all sockets and clients and end the thread; waits for at most `deadline_s` seconds.

        Raises:
            OperationFailed: the thread did not end in time.
        """
        thread = self._thread
        if thread is None:
            self._close_listeners()
            self.loop.close()
            return
        self.loop.call(self._end)
        thread.join(deadline_s)
        if thread.is_alive():
            raise OperationFailed(f"the gateway did not end within {deadline_s} s", remedy="see the log")

    def sessions(self) -> list[Session]:
        """Return the clients that are connected."""
        return list(self._sessions.values())

    def session(self, number: int) -> Session | None:
        """Return a client by its number."""
        return self._sessions.get(number)

    def counters(self) -> dict[str, int]:
        """Return how often what happened since the start: accepted, refused, bad_input, overflowed, …"""
        return dict(self._counters)

    # What follows runs on the gateway thread only.

    def _run(self) -> None:
        for listener in self._listeners:
            listener.open()
        self.loop.run()

    def _end(self) -> None:
        self._close_listeners()
        for session in self.sessions():
            session.gone()
        self.loop.stop()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for close in self._closers:
            close()
        self._closers.clear()

    def count(self, what: str) -> None:
        """Count something for the administrator."""
        self._counters[what] = self._counters.get(what, 0) + 1

    def forget(self, session: Session) -> None:
        """Take a client off the list."""
        if self._sessions.pop(session.id, None) is not None:
            self._places.leave(session.transport, session.identity, everything=session.grants.everything)

    def admit(self, transport: str, identity: Identity) -> MechaneError | None:
        """Return why this client may not come over a transport, or None."""
        if not self._policy.welcomes(identity, transport):
            self.count("refused")
            return PermissionDenied(
                f"{identity} has no grant on this node",
                remedy="ask its administrator for one, or use mechane-ro.sock to read",
            )  # fmt: skip
        everything = self._policy.compile(identity, transport).everything
        most = self._places.room(transport, identity, everything=everything, limit=self._limits[transport].clients)
        if not most:
            return None
        self.count("refused")
        return Busy(
            f"the node has {most} clients on this socket, or of this user",
            remedy="close one, or raise the limit clients", what="clients", limit=most,
        )  # fmt: skip

    def enter(
        self, client: socket.socket, transport: str, identity: Identity, make: type[Session] = Session
    ) -> Session:
        """Make a session of a connected client."""
        self._number += 1
        session = make(
            self, client, self._number, transport=transport, identity=identity,
            grants=self._policy.compile(identity, transport), limits=self._limits[transport],
            connected_at=self._wall(),
        )  # fmt: skip
        self._sessions[session.id] = session
        self._places.enter(transport, identity, everything=session.grants.everything)
        self.count("accepted")
        session.open()
        return session

    def _accept_unix(self, client: socket.socket, transport: str) -> None:
        try:
            identity = unix_identity(client, self._login_name)
        except OSError:
            client.close()
            return
        refusal = self.admit(transport, identity)
        if refusal is not None:
            with contextlib.suppress(OSError):  # gone already, or does not read
                client.send(session_error_frame(refusal))
            client.close()
            return
        self.enter(client, transport, identity)
