"""The client for asyncio: `connect_async()` and `AsyncClient`.

One client may be shared by any number of tasks of one loop; each waits only for its own answer.
"""

from __future__ import annotations

import asyncio
import socket as sockets
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...config.errors import AuthenticationFailed, ConnectionLost, MechaneError
from .address import reachable, refused, socket_path
from .aio_link import Answer, AsyncLink
from .deadlines import Deadlines, may_resend
from .link import LinkLostError
from .methods_async import ConnectionCalls, DomainCalls, EventsCalls, NodeCalls, SessionCalls
from .outcomes import gone, late, program_name, result_of
from .waiters import LOST, Reply, Sink, Sinks

if TYPE_CHECKING:
    from pathlib import Path

    from ..records import Hello
    from .aio_events import AsyncEventStream
    from .aio_streams import AsyncStream
    from .tls import Tls

CONNECT_TIMEOUT_S = 10.0
IN_FLIGHT = 256
"""Calls of one pipeline in flight at a time."""


class AsyncEventsGroup(EventsCalls):
    """`client.events(…)` iterates over events; its methods are the raw calls."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
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
    ) -> AsyncEventStream:
        """Iterate over events, from now on or from a cursor.

        The subscription is made by `async with`, by `start`, or by the first step.

        Args:
            since: the cursor of the last event seen; left out: from now on.
            kinds: only these kinds; all when left out.
            domain: only this domain's, by UUID or name.
            connection: only this connection's.
            timeout_s: end the iteration when no event comes for so long; never when left out.
            patience_s: how long to try to reach a node that went away.
        """
        from .aio_events import AsyncEventStream

        given = {"since": since, "kinds": kinds and list(kinds), "domain": domain, "connection": connection}
        params = {name: value for name, value in given.items() if value is not None}
        return AsyncEventStream(self._client, params, timeout_s, patience_s)


class AsyncClient:
    """A node, seen from an asyncio program; used on one loop."""

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
        self._link: AsyncLink | None = None
        self._hello: _HelloAnswer | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self.session = SessionCalls(self)
        self.node = NodeCalls(self)
        self.connection = ConnectionCalls(self)
        self.domain = DomainCalls(self)
        self.events = AsyncEventsGroup(self)

    async def call(
        self, method: str, params: Mapping[str, Any] | None = None, deadline_s: float | None = None
    ) -> Any:
        """Call `method` with named arguments and return its result.

        Cancelling the task cancels the call at the node.

        Args:
            method: wire name, such as domain.get_state.
            params: named arguments.
            deadline_s: seconds for the node to answer; its default when left out.

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
        link = self._link
        if link is None or link.broken is not None:
            link = await self._connected()
        try:
            reply = await link.request(method, given, timeout_s)
        except LinkLostError as lost:
            if self._closed or (lost.sent and not may_resend(method)):
                raise gone(method, lost, link.last_error) from lost
            link = await self._connected()
            try:
                reply = await link.request(method, given, timeout_s)
            except LinkLostError as again:
                raise gone(method, again, link.last_error) from again
        if reply is None:
            raise late(method, timeout_s)
        return result_of(reply)

    async def pipeline(
        self,
        calls: Iterable[tuple[str, Mapping[str, Any]]],
        *,
        deadline_s: float | None = None,
        raise_errors: bool = True,
    ) -> list[Any]:
        """Make many calls, many in flight at a time, and return the results in order.

        Args:
            calls: pairs of wire name and named arguments.
            deadline_s: seconds for each call; defaults as in `call`.
            raise_errors: raise the first error after all answers came; otherwise errors
                stand in the list in place of results.
        """
        todo = list(calls)
        results: list[Any] = []
        for start in range(0, len(todo), IN_FLIGHT):
            batch = todo[start : start + IN_FLIGHT]
            tasks = [self.call(method, params, deadline_s) for method, params in batch]
            results += await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and (raise_errors or not isinstance(result, MechaneError)):
                raise result
        return results

    async def open_stream(
        self, method: str, params: dict[str, Any], deadline_s: float | None = None
    ) -> AsyncStream:
        """Call `method`, which opens a stream, and return the stream."""
        from .aio_streams import AsyncStream

        answer, stream = await self.open(method, params, "stream", AsyncStream, deadline_s)
        assert isinstance(stream, AsyncStream)
        stream.opened(answer)
        return stream

    async def hello(self) -> Hello:
        """Return what the node said of itself when the connection was made."""
        link = await self._connected()
        assert self._hello is not None
        async with asyncio.timeout(self._timeout_s):
            reply = await asyncio.shield(self._hello.future)
        if reply is LOST:
            raise gone("session.hello", LinkLostError(link.broken or "", sent=True), link.last_error)
        told: Hello = result_of(reply)
        return told

    async def close(self) -> None:
        """Close the connection; calls that wait in other tasks fail."""
        self._closed = True
        if self._link is not None:
            self._link.fail("closed by this client")
            await asyncio.sleep(0)  # the transport gives its descriptor back in the loop's next turn

    async def __aenter__(self) -> AsyncClient:
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The connection

    async def open(
        self,
        method: str,
        params: dict[str, Any],
        key: str,
        make: Callable[[AsyncLink], Sink],
        deadline_s: float | None,
    ) -> tuple[Any, Sink]:
        """Call `method`, whose answer opens something numbered under `key`; it is never resent."""
        given = params if deadline_s is None else {**params, "deadline_s": deadline_s}
        timeout_s = self._deadlines.of(method, deadline_s)
        link = await self._connected()
        sink = make(link)
        answer = _OpeningAnswer(key, sink, link.sinks)
        try:
            reply = await link.finish(link.post(method, given, answer), answer, timeout_s)
        except LinkLostError as lost:
            raise gone(method, lost, link.last_error) from lost
        if reply is None:
            raise late(method, timeout_s)
        return result_of(reply), sink

    async def _connected(self) -> AsyncLink:
        """Return the connection, made anew where it is broken."""
        async with self._connecting:
            if self._closed:
                raise ConnectionLost("this client is closed", remedy="connect again", sent=False)
            link = self._link
            if link is None or link.broken is not None:
                link = self._link = await self._open()
                self._hello = _HelloAnswer(self._deadlines)
                name = {"client": self._name or program_name()}
                link.post("session.hello", name, self._hello)
            return link

    async def _open(self) -> AsyncLink:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await (self._open_unix() if self._tls is None else self._open_tls(self._tls))
        except ssl.SSLError as error:
            raise AuthenticationFailed(
                f"TLS failed: {error.reason or error}",
                remedy="see that both sides trust each other's authority, and the host's name",
            ) from error
        except OSError as error:  # TimeoutError is one
            where = self.address if self._tls is None else f"{self._tls.host}:{self._tls.port}"
            raise refused(where, error) from error

    async def _open_unix(self) -> AsyncLink:
        loop = asyncio.get_running_loop()
        sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            sock.setblocking(False)
            with reachable(self.address) as short:
                await loop.sock_connect(sock, short)
            _, link = await loop.create_unix_connection(AsyncLink, sock=sock)
        except BaseException:
            sock.close()
            raise
        return link

    async def _open_tls(self, tls: Tls) -> AsyncLink:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(AsyncLink, tls.host, tls.port, ssl=tls.context())
        return link


class _HelloAnswer(Answer):
    """Takes the answer to hello, and learns the node's deadlines from it."""

    __slots__ = ("_deadlines",)

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__(asyncio.get_running_loop())
        self._deadlines = deadlines

    def deliver(self, reply: Reply) -> None:
        if reply and reply[2] is None:
            self._deadlines.learn(reply[3].get("limits") or {})
        super().deliver(reply)


class _OpeningAnswer(Answer):
    """Registers the sink before the next message is looked at."""

    __slots__ = ("_key", "_sink", "_sinks")

    def __init__(self, key: str, sink: Sink, sinks: Sinks) -> None:
        super().__init__(asyncio.get_running_loop())
        self._key = key
        self._sink = sink
        self._sinks = sinks

    def deliver(self, reply: Reply) -> None:
        if reply and reply[2] is None:
            self._sinks.add((self._key, reply[3][self._key]), self._sink)
        super().deliver(reply)


async def connect_async(
    socket: str | Path | None = None,
    *,
    read_only: bool = False,
    tls: Tls | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
    name: str = "",
) -> AsyncClient:
    """Connect to a node; the arguments are those of `connect`.

    Raises:
        ConnectionLost: no node answers there.
        PermissionDenied: the socket may not be opened.
    """
    client = AsyncClient(socket, read_only=read_only, tls=tls, timeout_s=timeout_s, name=name)
    await client._connected()
    return client
