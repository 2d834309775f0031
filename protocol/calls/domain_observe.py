"""Calls that watch a domain or carry its console; they occupy no mailbox."""

from __future__ import annotations

from ..catalogue import ConnectionRef, DomainRef, Place, call
from ..records import DomainRecord, StreamOpened


@call(on=Place.STREAM, permission="domain:read", idempotent=True, read_only=True, deadline="wait")
def domain_wait(
    domain: DomainRef, states: list[str], since_version: int | None = None, connection: ConnectionRef | None = None
) -> DomainRecord:
    """Answer when the domain is in one of `states`, at once if it already is.

    A domain that is undefined meanwhile answers no_domain, unless `states` holds
    `undefined`, which waits for just that.

    Args:
        domain: UUID, or name.
        states: state words, or undefined.
        since_version: only a state of a later version than this counts.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration


@call(on=Place.STREAM, permission="domain:open_device", libvirt=(201,), streams=True, deadline="query")
def domain_open_console(
    domain: DomainRef, device: str | None = None, force: bool = False, connection: ConnectionRef | None = None
) -> StreamOpened:
    """Open a console of a running domain as a stream of bytes both ways.

    Args:
        domain: UUID, or name.
        device: alias of a console, serial or channel device; the first console when left out.
        force: take it over from the client that holds it.
        connection: look only among this connection's domains.
    """
    raise NotImplementedError  # declaration
