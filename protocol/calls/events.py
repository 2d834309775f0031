"""Calls about the stream of events."""

from __future__ import annotations

from typing import Any

from ..catalogue import ConnectionRef, DomainRef, Place, Priority, call
from ..records import Event, Subscription


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="connect:search_domains", filter="domain:getattr",
      libvirt=(105, 167, 316, 107, 169, 171, 172, 195, 224, 311, 318, 319, 321, 322, 324, 325, 333, 354, 363),
      read_only=True)  # fmt: skip
def events_subscribe(
    since: str | None = None,
    kinds: list[str] | None = None,
    domain: DomainRef | None = None,
    connection: ConnectionRef | None = None,
) -> Subscription:
    """Receive events as notifications `events.event`, from now on or from a cursor.

    What happened since the cursor comes first. Where the journal no longer reaches back
    to it (overflow, or the node was killed), the first event has kind `gap` and says why.
    A gap `share` names one domain that made more events than its share of the journal:
    only its own are missing, those of others follow. An event with `folded` in its data
    stands for so many more like it, which are not told one by one.

    Args:
        since: the cursor of the last event seen; left out: from now on.
        kinds: lifecycle, reboot, watchdog, io_error, device, job, control, connection, gap;
            all when left out.
        domain: only events of this domain.
        connection: only events of this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="none", libvirt=(106, 168, 317), read_only=True)
def events_unsubscribe(subscription: int) -> dict[str, Any]:
    """End a subscription of this client.

    Args:
        subscription: the number that `events.subscribe` answered.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="connect:search_domains", filter="domain:getattr",
      idempotent=True, read_only=True)  # fmt: skip
def events_list(
    since: str | None = None,
    kinds: list[str] | None = None,
    limit: int = 1000,
    newest: bool = False,
    name: str | None = None,
    connection: ConnectionRef | None = None,
) -> list[Event]:
    """Return events of the journal after a cursor, oldest first; a gap comes as an event.

    Args:
        since: the cursor of the last event seen; left out: the oldest kept.
        kinds: only these kinds of events.
        limit: at most this many, 1 to 10000.
        newest: where there are more than that, the last ones in place of the first.
        name: only events of the domain with this name or UUID, also of one that is gone.
        connection: only events of this connection's domains.
    """
    raise NotImplementedError  # declaration
