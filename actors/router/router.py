"""The router: from a decoded request to an inline answer or to a mailbox.

Guarantees:
- `call` runs on the gateway's thread, waits for nothing and never raises;
- a PUBLISHED call is answered inline, from the cells, unless the client has another one in the HIGH
  mailbox (then in order, behind it); what others have there does not matter: an answer from the cells
  costs less than queueing it, and a long list of one client must not make all others queue;
- everything else gets a `PendingCall` (once-only sink, deadline) and goes to the mailbox
  of its class; executors hand it on to a mailbox, a loop or a kill handle and leave;
- what the caller may not see is `no_domain`; an undeclared capability is `unsupported`
  before anything is queued.
"""

from __future__ import annotations

import logging
import time
import uuid as uuids
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...config.errors import (
    Cancelled,
    InternalError,
    InvalidArgument,
    MechaneError,
    NoCall,
    PermissionDenied,
    Unsupported,
)
from ...protocol.catalogue import RESERVED_ARGUMENTS, CallSpec, Catalogue, Place, Priority
from ...protocol.limits import Limits
from ...protocol.validation import compile_call, split_reserved
from ...protocol.wire import error_frame, response_frame
from ..cells.directory import Directory, Entry, no_domain
from ..runtime import guards
from .executors import Executors
from .pending import Client, PendingCall

_log = logging.getLogger("mechane.router")
_RESERVED = frozenset(RESERVED_ARGUMENTS)
_NO_REFERENCE = frozenset({"events.subscribe", "node.reattach"})
"""Calls whose `domain` argument is looked at by the handler."""

_SCANS = frozenset({"connection.list", "connection.get_info"})
FEW_DOMAINS = 200
"""So many can be looked at on the gateway's thread, in 0.2 ms."""
_INTO_A_MAILBOX = frozenset({Place.DOMAIN, Place.CONNECTION})

LONGEST_GUESSED = 64
"""Characters of an unknown call for which a near one is looked for: 0.3 ms; with 60,000 it were 5 ms (measured)."""

Published = Callable[[Any, Client, dict[str, Any]], bytes | list[bytes]]
"""Returns the packed result, or its parts when it is long."""
Hand = Callable[[PendingCall], None]


@dataclass(frozen=True, slots=True)
class Route:
    """All that the hot path needs of a call."""

    spec: CallSpec
    check: Callable[[dict[str, Any]], dict[str, Any]]
    published: Published | None
    hand: Hand | None
    names_domain: bool
    inline_below: int
    """Answer inline while the node has fewer domains than this."""
    scans: bool
    """Whether it looks at each domain for a client that may not see all of them."""


class Router:
    """Implements the gateway's CallHandler."""

    def __init__(
        self, catalogue: Catalogue, directory: Directory, view: Any, executors: Executors, *,
        published: Mapping[str, Published], hand_of: Callable[[CallSpec], Hand],
        deadline_of: Callable[[str], float], needs: Callable[[CallSpec, Entry | None, dict[str, Any]], None],
        closed: Callable[[Any], None], slow_high_s: float = guards.SLOW_HIGH_S,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._view = view
        self._executors = executors
        self._deadline_of = deadline_of
        self._needs = needs
        self._closed = closed
        self.slow = guards.SlowHighCount(slow_high_s)
        self._routes: dict[str, Route] = {}
        self._catalogue = catalogue
        self._published = published
        self._hand_of = hand_of
        self.compile(limits)

    def compile(self, limits: Limits | None) -> None:
        """Prepare the hot path of each call; again when limits changed. Any thread.

        Raises:
            TypeError: a call has no handler.
        """
        routes: dict[str, Route] = {}
        published, hand_of = self._published, self._hand_of
        for spec in self._catalogue:
            routes[spec.name] = Route(
                spec=spec,
                check=compile_call(spec, limits),
                published=published.get(spec.name),
                hand=None if spec.name in published else hand_of(spec),
                names_domain="domain" in spec.arguments and spec.name not in _NO_REFERENCE,
                inline_below=_inline_below(spec),
                scans=spec.name in _SCANS,
            )
        self._routes = routes

    def call(self, session: Client, msgid: int, method: str, params: dict[str, Any]) -> bytes | None:
        """Answer a request now (the whole frame), or later through the session (None)."""
        try:
            route = self._routes.get(method)
            if route is None:
                raise self._unknown(method)
            published = route.published
            if (
                published is not None
                and len(self._directory) < route.inline_below
                and not self._executors.high.holds(session.id)
                and _RESERVED.isdisjoint(params)
                and not (route.scans and self._scans(session))
            ):
                began = time.perf_counter()
                args = route.check(params)
                if not session.grants.everything:
                    self._permit(session, route, args)
                packed = published(self._view, session, args)
                took = time.perf_counter() - began
                if took > self.slow.limit_s:
                    self.slow.note(method, took)
                return response_frame(msgid, packed if isinstance(packed, bytes) else b"".join(packed))
            self._queue(session, msgid, route, params)
            return None
        except MechaneError as error:
            session.in_flight.pop(msgid, None)
            return error_frame(msgid, error)
        except Exception as error:  # noqa: BLE001 - the gateway's edge: a bug answers this call only
            session.in_flight.pop(msgid, None)
            return error_frame(msgid, incident(method, error))

    def _scans(self, session: Client) -> bool:
        return len(self._directory) >= FEW_DOMAINS and not session.grants.everywhere("domain:getattr")

    def _unknown(self, method: str) -> NoCall:
        near: list[str] = []
        if len(method) <= LONGEST_GUESSED:
            import difflib

            near = difflib.get_close_matches(method, self._routes, 1)
        return NoCall(
            f"there is no call {method[:100]!r}",
            remedy=f"did you mean {near[0]}?" if near else "session.list_calls lists them",
        )

    def _queue(self, session: Client, msgid: int, route: Route, params: dict[str, Any]) -> None:
        spec = route.spec
        own, reserved = split_reserved(params)
        args = route.check(own)
        if reserved.node is not None and reserved.node != self._view.node:
            raise InvalidArgument(
                f"this node is {self._view.node}, and it forwards to no other", path="params.node", value=reserved.node,
                remedy="leave node out, or ask that node itself", allowed=self._view.node,
            )  # fmt: skip
        if reserved.on_behalf_of is not None:
            raise PermissionDenied("on_behalf_of is for nodes only", remedy="leave it out")
        if not session.grants.everything:
            self._permit(session, route, args)
        deadline_s = reserved.deadline_s or self._deadline_of(spec.deadline)
        if spec.name == "domain.destroy" and reserved.deadline_s is None:
            deadline_s += args.get("grace_s") or 0.0
        call = PendingCall(session, msgid, spec, args, deadline_s, reserved.request_id or "")
        if route.names_domain:
            call.entry = self._resolve(session, spec, args)
        self._needs(spec, call.entry, args)
        session.in_flight[msgid] = call
        executors = self._executors
        if spec.priority is Priority.HIGH:
            executors.submit_high(call)
        elif spec.on in _INTO_A_MAILBOX and not executors.low.busy:
            self.handle(call)  # into the actor's mailbox: all that an executor would do, without a thread's turn
        else:
            executors.submit_low(call)

    def _permit(self, session: Client, route: Route, args: dict[str, Any]) -> None:
        spec, grants = route.spec, session.grants
        for permission in _wanted(spec, args):
            if permission != "none" and not grants.somewhere(permission):
                raise PermissionDenied(
                    f"{spec.name} needs the permission {permission}",
                    remedy="ask for a grant, or use the administration socket", permission=permission,
                )  # fmt: skip
        if route.names_domain and route.published is not None:
            self._resolve(session, spec, args)

    def _resolve(self, session: Client, spec: CallSpec, args: dict[str, Any]) -> Entry:
        entry = self._directory.find(args["domain"], args.get("connection"))
        grants = session.grants
        if grants.everything:
            return entry
        snapshot = entry.cell.snapshot
        if not grants.may("domain:getattr", snapshot.connection, snapshot.name):
            raise no_domain(args["domain"])
        for permission in _wanted(spec, args):
            if not grants.may(permission, snapshot.connection, snapshot.name):
                raise PermissionDenied(
                    f"{spec.name} on {snapshot.name} needs the permission {permission}",
                    remedy="ask for a grant", permission=permission,
                )  # fmt: skip
        return entry

    def handle(self, call: PendingCall) -> None:
        """Hand a call on (executor's thread); whatever goes wrong answers the call."""
        route = self._routes[call.spec.name]
        try:
            if time.monotonic() >= call.deadline_at:
                raise too_late(call, "waited for an executor")
            if call.spec.priority is Priority.HIGH:
                self._handle_high(route, call)
            else:
                assert route.hand is not None
                route.hand(call)
        except MechaneError as error:
            call.fail(error)
        except Exception as error:  # noqa: BLE001 - an executor's edge: a bug answers this call only
            call.fail(incident(call.spec.name, error))

    def _handle_high(self, route: Route, call: PendingCall) -> None:
        began = time.perf_counter()
        with guards.waits_for_nothing(call.spec.name):
            if route.published is not None:
                packed = route.published(self._view, call.client, call.args)
                if isinstance(packed, bytes):
                    call.reply_packed(packed)
                else:
                    call.reply_parts(packed)
            else:
                assert route.hand is not None
                route.hand(call)
        took = time.perf_counter() - began
        if took > self.slow.limit_s:
            self.slow.note(call.spec.name, took)

    def cancel(self, session: Any, msgid: int) -> None:
        """Cancel a call in flight (gateway's thread)."""
        call = session.in_flight.get(msgid)
        if call is not None:
            call.cancel("by its client")

    def closed(self, session: Any) -> None:
        """Forget a client: its queued reads are dropped, accepted changes run on."""
        for call in list(session.in_flight.values()):
            if call.spec.idempotent or call.spec.on is Place.STREAM:
                call.cancel("its client is gone")
                call.drop()
        self._closed(session)


def _wanted(spec: CallSpec, args: dict[str, Any]) -> list[str]:
    """Return the permissions that a call needs with these arguments."""
    return [spec.permission, *(c.permission for c in spec.conditions if args.get(c.argument))]


def _inline_below(spec: CallSpec) -> int:
    if spec.name == "events.list":
        return 0  # it looks at each event of the journal: 10 ms
    return FEW_DOMAINS if spec.name == "domain.list" else 1 << 62


def too_late(call: PendingCall, why: str, **details: Any) -> MechaneError:
    """Return the error of a call whose deadline passed while it waited."""
    from ...config.errors import DeadlineExceeded

    return DeadlineExceeded(
        f"{call.spec.name} did not begin within {call.deadline_s:g} s: it {why}",
        remedy="give it a longer deadline_s, or look with domain.get_control_info at what holds the domain",
        still_running=False, **details,
    )  # fmt: skip


def incident(what: str, error: Exception) -> InternalError:
    """Log a bug once with its trace and return the error that answers the call."""
    number = uuids.uuid4().hex[:12]
    _log.error("incident %s in %s", number, what, exc_info=error)
    return InternalError(
        f"{what} failed of a bug in mechane: {type(error).__name__}", remedy=f"see incident {number} in the log",
        incident=number,
    )  # fmt: skip


def unsupported(what: str, connection: str, capability: str, others: list[str]) -> Unsupported:
    """Return the error for an ability that a driver does not declare."""
    has = f"; {', '.join(others)} can" if others else ""
    return Unsupported(
        f"{what} is not supported by {connection}{has}", remedy="see docs/drivers.md", capability=capability
    )


def cancelled(call: PendingCall) -> Cancelled:
    """Return the error that answers a cancelled call."""
    return Cancelled(f"{call.spec.name} was cancelled: {call.cancelled}")
