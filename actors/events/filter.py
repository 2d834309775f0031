"""Which events a subscriber gets: by kind, domain, connection, and what it may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from ...config.errors import InvalidArgument

if TYPE_CHECKING:
    from .shelf import Trimmed

KINDS = ("lifecycle", "reboot", "watchdog", "io_error", "device", "job", "control", "connection", "gap")

May = Callable[[Mapping[str, Any]], bool]


class EventFilter:
    """Decide on events; immutable, shared between threads."""

    __slots__ = ("_connection", "_domain", "_kinds", "_may", "_name", "everything")

    def __init__(
        self,
        *,
        kinds: Iterable[str] | None = None,
        domain: str | None = None,
        connection: str | None = None,
        may: May | None = None,
    ) -> None:
        """Build a filter; what is left out lets everything through.

        Args:
            kinds: kinds of events.
            domain: UUID of the one domain.
            connection: URI of the one connection.
            may: tells whether the subscriber may see an event; called on any thread, must never wait.

        Raises: InvalidArgument for an unknown kind.
        """
        self._kinds = None if kinds is None else checked_kinds(kinds)
        self._domain = domain
        self._connection = connection
        self._may = may
        self._name: str | None = None
        self.everything = self._kinds is None and domain is None and connection is None and may is None

    def named(self, domain: str) -> EventFilter:
        """Return the same filter for events of one UUID or name alone, whether there is such a domain now or not."""
        made = copy(self)
        made._name, made.everything = domain, False
        return made

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Tell whether the subscriber gets this event. Any thread."""
        if self.everything:
            return True
        return (
            (self._kinds is None or event["kind"] in self._kinds)
            and (self._domain is None or event.get("uuid") == self._domain)
            and (self._name is None or self._name in (event.get("uuid"), event.get("name")))
            and (self._connection is None or event.get("connection") == self._connection)
            and (self._may is None or self._may(event))
        )

    def concerns(self, gone: Trimmed) -> bool:
        """Tell whether the subscriber would have got some of the events that a domain gave up. Any thread."""
        about = {"uuid": gone.uuid, "name": gone.name, "connection": gone.connection}
        return any(self.matches({**about, "kind": kind}) for kind in tuple(gone.kinds))


def checked_kinds(kinds: Iterable[str]) -> frozenset[str]:
    """Return the kinds as a set.

    Raises: InvalidArgument for one that does not exist.
    """
    wanted = frozenset(kinds)
    unknown = sorted(wanted.difference(KINDS))
    if unknown:
        raise InvalidArgument(
            f"there is no kind of event {unknown[0]!r}",
            remedy=f"kinds are {', '.join(KINDS)}",
            path="params.kinds",
            value=unknown,
            allowed=list(KINDS),
        )
    return wanted
