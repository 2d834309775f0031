"""The client for threads: `connect()` and `Client`.

One client may be shared by any number of threads; each waits only for its own answer
(see `link`). Nothing runs in the background: no thread is started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...config.errors import ConnectionLost, MechaneError, from_wire
from .address import open_unix, socket_path
from .deadlines import Deadlines, may_resend
from .link import Link, LinkLostError
from .methods_sync import ConnectionCalls, DomainCalls, EventsCalls, NodeCalls, SessionCalls
from .outcomes import gone, late, program_name, result_of
from .waiters import BatchWaiter, OpeningWaiter, Reply, Sink, Waiter

if TYPE_CHECKING:
    from pathlib import Path

    from ..records import Hello
    from .domain import Domain
    from .events import EventStream
    from .streams import Stream
    from .tls import Tls

CONNECT_TIMEOUT_S = 10.0
BATCH_CALLS = 128
"""Calls of one write of a pipeline; two batches are in flight."""
Call = tuple[str, Mapping[str, Any]]


class EventsGroup(EventsCalls):
    """`client.events(…)` iterates over events; its methods are the raw calls."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._client = client

    def __call__(
        self,
        *,
        since: str | None = None,
        kinds: Sequence[str] | None = None,
        domain: str | None = None,
        connection: str | None = None,
        timeout_s: float | None = None,
        patience_s: float = 300.0,
    ) -> EventStream:
        """Iterate over events, from now on or from a cursor.

        Args:
            since: the cursor of the last event seen; left out: from now on.
            kinds: only these kinds; all when left out.
            domain: only this domain's, by UUID or name.
            connection: only this connection's.
            timeout_s: end the iteration when no event comes for so long; never when left out.
            patience_s: how long to try to reach a node that went away.
        """
        from .events import EventStream

        given = {"since": since, "kinds": kinds and list(kinds), "domain": domain, "connection": connection}
        params = {name: value for name, value in given.items() if value is not None}
        return EventStream(self._client, params, timeout_s, patience_s)


class Client:
    """A node, seen from a program with threads.

    `client.domain.start("web")` and the like are the calls of the catalogue; `call` is the
    raw form. The connection is made when first needed, and made again after it broke.
    """

    def __init__(
        self,
        socket: str | Path | None = None,
        *,
        read_only: bool = False,
        tls: Tls | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
        name: str = "",
    ) -> None:
        self.address = "" if tls else socket_path(socket, read_only)
        self._tls = tls
        self._timeout_s = timeout_s
        self._name = name
        self._deadlines = Deadlines()
        self._link: Link | None = None
        self._hello: Waiter | None = None
        self._connecting = threading.Lock()
        self._closed = False
        self.session = SessionCalls(self)
        self.node = NodeCalls(self)
        self.connection = ConnectionCalls(self)
        self.domain = DomainCalls(self)
        self.events = EventsGroup(self)

    # Calls

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, deadline_s: float | None = None
    ) -> Any:
        """Call `method` with named arguments and return its result.

        Args:
            method: wire name, such as domain.get_state.
            params: named arguments.
            deadline_s: seconds for the node to answer; the node's default for the kind of
                call when left out.

        Any thread. An interrupt (Ctrl-C) cancels the call at the node.

        Raises:
            MechaneError: what the node answered.
            DeadlineExceeded: no answer in time; the node was told to cancel.
            ConnectionLost: the node cannot be reached; the call was not run.
            OutcomeUnknown: the connection broke after the call was sent.
        """
        given: Mapping[str, Any] = params or {}
        if deadline_s is not None:
            given = {**given, "deadline_s": deadline_s}
        timeout_s = self._deadlines.of(method, deadline_s)
        deadline = monotonic() + timeout_s
        link = self._link
        if link is None or link.broken is not None:
            link = self._connected(deadline)
        waiter = Waiter()
        try:
            answered = link.request(method, given, deadline, waiter)
        except LinkLostError as lost:
            waiter, answered = self._again(method, given, deadline, link, lost)
        if not answered:
            raise late(method, timeout_s)
        return result_of(waiter.reply)

    def pipeline(
        self, calls: Iterable[Call], *, deadline_s: float | None = None, raise_errors: bool = True
    ) -> list[Any]:
        """Make many calls on the one connection, many in flight at a time.

        Args:
            calls: pairs of wire name and named arguments.
            deadline_s: seconds for each batch of calls; defaults as in `call`.
            raise_errors: raise the first error after all answers came; otherwise errors
                stand in the list in place of results.

        Returns the results in the order of the calls. The node may run calls on different
        domains in any order. Any thread.

        Raises: as `call`.
        """
        todo = list(calls)
        results: list[Any] = []
        in_flight: list[tuple[BatchWaiter, list[int], list[Call], Link, float]] = []
        for start in range(0, len(todo), BATCH_CALLS):
            in_flight.append(self._send_batch(todo[start : start + BATCH_CALLS], deadline_s))
            if len(in_flight) == 2:
                results += self._receive_batch(*in_flight.pop(0))
        for batch in in_flight:
            results += self._receive_batch(*batch)
        if raise_errors:
            for result in results:
                if isinstance(result, MechaneError):
                    raise result
        return results

    def open_stream(self, method: str, params: dict[str, Any], deadline_s: float | None = None) -> Stream:
        """Call `method`, which opens a stream, and return the stream."""
        from .streams import Stream

        answer, stream, _ = self.open(method, params, "stream", Stream, deadline_s)
        assert isinstance(stream, Stream)
        stream.opened(answer)
        return stream

    def domains(self, **filters: Any) -> list[Domain]:
        """Return handles of the domains that `domain.list` finds with these arguments."""
        from .domain import Domain

        return [Domain(self.domain, record) for record in self.domain.list(**filters)]

    def lookup(self, domain: str, connection: str | None = None) -> Domain:
        """Return a handle of one domain, by UUID or name.

        Raises:
            NoDomain: there is none.
        """
        from .domain import Domain

        return Domain(self.domain, self.domain.lookup(domain, connection))

    @property
    def hello(self) -> Hello:
        """Return what the node said of itself when the connection was made."""
        self._connected(monotonic() + self._timeout_s)
        waiter = self._hello
        if waiter is not None and waiter.reply:
            told: Hello = result_of(waiter.reply)
            return told
        # A waiter is for one thread: ask once more rather than wait for that answer.
        return self.session.hello(self._name or program_name())

    def close(self) -> None:
        """Close the connection; calls that wait in other threads fail. Any thread."""
        self._closed = True
        with self._connecting:
            if self._link is not None:
                self._link.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The connection

    def open(
        self,
        method: str,
        params: dict[str, Any],
        key: str,
        make: Callable[[Link], Sink],
        deadline_s: float | None,
    ) -> tuple[Any, Sink, Link]:
        """Call `method`, whose answer opens something numbered under `key`; it is never resent."""
        given = params if deadline_s is None else {**params, "deadline_s": deadline_s}
        timeout_s = self._deadlines.of(method, deadline_s)
        deadline = monotonic() + timeout_s
        for attempt in (1, 2):
            link = self._connected(deadline)
            sink = make(link)
            waiter = OpeningWaiter(key, sink, link.sinks)
            try:
                answered = link.request(method, given, deadline, waiter)
            except LinkLostError as lost:
                if lost.sent or attempt == 2:
                    raise gone(method, lost, link.last_error) from lost
                continue
            if not answered:
                raise late(method, timeout_s)
            return result_of(waiter.reply), sink, link
        raise AssertionError("the second attempt returns or raises")

    def _connected(self, deadline: float) -> Link:
        """Return the connection, made anew where it is broken."""
        with self._connecting:
            link = self._link
            if self._closed:
                raise ConnectionLost("this client is closed", remedy="connect again", sent=False)
            if link is None or link.broken is not None:
                if link is not None:
                    link.close()
                link = self._link = self._open(max(0.001, min(self._timeout_s, deadline - monotonic())))
            return link

    def _open(self, timeout_s: float) -> Link:
        """Open a connection and say hello, without waiting for the answer."""
        if self._tls is None:
            link = Link(open_unix(self.address, timeout_s))
        else:
            from .tls import open_tls

            link = Link(open_tls(self._tls, timeout_s))
        self._hello = _HelloWaiter(self._deadlines)
        try:
            link.post("session.hello", {"client": self._name or program_name()}, self._hello)
        except LinkLostError as lost:
            link.close()
            raise ConnectionLost(f"the node at {self.address} hung up ({lost.cause})", sent=False) from lost
        return link

    def _again(
        self, method: str, params: Mapping[str, Any], deadline: float, link: Link, lost: LinkLostError
    ) -> tuple[Waiter, bool]:
        """Send a call once more on a new connection, if that is safe."""
        if self._closed or (lost.sent and not may_resend(method)):
            raise gone(method, lost, link.last_error) from lost
        fresh = self._connected(deadline)
        waiter = Waiter()
        try:
            return waiter, fresh.request(method, params, deadline, waiter)
        except LinkLostError as again:
            raise gone(method, again, fresh.last_error) from again

    # Pipelines

    def _send_batch(
        self, calls: list[Call], deadline_s: float | None
    ) -> tuple[BatchWaiter, list[int], list[Call], Link, float]:
        longest_s = max(self._deadlines.of(method, deadline_s) for method, _ in calls)
        deadline = monotonic() + longest_s
        if deadline_s is not None:
            calls = [(method, {**params, "deadline_s": deadline_s}) for method, params in calls]
        link = self._connected(deadline)
        waiter = BatchWaiter(len(calls))
        try:
            msgids = link.post_batch(calls, waiter)
        except LinkLostError as lost:
            waiter.deliver([])
            if lost.sent and not all(may_resend(method) for method, _ in calls):
                raise gone(calls[0][0], lost, link.last_error) from lost
            msgids = []
        return waiter, msgids, calls, link, deadline

    def _receive_batch(
        self, waiter: BatchWaiter, msgids: list[int], calls: list[Call], link: Link, deadline: float
    ) -> list[Any]:
        """Wait for a batch and return its results and errors, in order."""
        try:
            in_time = link.wait(waiter, deadline)
        except BaseException:
            for msgid in msgids:
                link.abandon(msgid)
            raise
        if not in_time:
            for msgid in msgids:
                link.abandon(msgid)
        replies = waiter.replies
        results: list[Any] = []
        for index, (method, params) in enumerate(calls):
            reply = replies.get(msgids[index]) if msgids else None
            if reply is not None:
                results.append(reply[3] if reply[2] is None else from_wire(reply[2]))
            elif not in_time:
                results.append(late(method, self._deadlines.of(method, params.get("deadline_s"))))
            else:
                results.append(self._resent(method, params, link, sent=bool(msgids)))
        return results

    def _resent(self, method: str, params: Mapping[str, Any], link: Link, *, sent: bool) -> Any:
        """Return the result of a batch's call whose connection broke: sent again, or the error."""
        if sent and not may_resend(method):
            return gone(method, LinkLostError(link.broken or "", sent=True), link.last_error)
        try:
            return self.call(method, params)
        except MechaneError as error:
            return error


class _HelloWaiter(Waiter):
    """Takes the answer to hello, and learns the node's deadlines from it."""

    __slots__ = ("_deadlines",)

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__()
        self._deadlines = deadlines

    def deliver(self, reply: Reply) -> None:
        if reply and reply[2] is None:
            self._deadlines.learn(reply[3].get("limits") or {})
        super().deliver(reply)


def connect(
    socket: str | Path | None = None,
    *,
    read_only: bool = False,
    tls: Tls | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
    name: str = "",
) -> Client:
    """Connect to a node.

    Args:
        socket: path of its Unix socket; left out: MECHANE_SOCKET, the user's own node, or
            the system's.
        read_only: use the read-only socket beside it.
        tls: reach it over TLS instead.
        timeout_s: seconds to wait for the connection.
        name: what the node shall call this client; the program's name when left out.

    Raises:
        ConnectionLost: no node answers there.
        PermissionDenied: the socket may not be opened.
    """
    client = Client(socket, read_only=read_only, tls=tls, timeout_s=timeout_s, name=name)
    client._connected(monotonic() + timeout_s)
    return client
