"""Calls about the session itself."""

from __future__ import annotations

from typing import Any

from ..catalogue import Place, Priority, call
from ..records import Hello


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="none", libvirt=(1, 66),
      idempotent=True, read_only=True)  # fmt: skip
def session_hello(client: str = "", protocol: int = 1) -> Hello:
    """Say who is calling, and learn the node's name, version, identity seen and all limits.

    Args:
        client: name and version of the client program, for the list of clients.
        protocol: the protocol version the client speaks.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="none", idempotent=True, read_only=True)
def session_ping(data: str = "") -> str:
    """Answer `data` at once: whether the node is alive, and how far away.

    Args:
        data: any text of at most 4096 characters.
    """
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="none", libvirt=(157,),
      idempotent=True, read_only=True)  # fmt: skip
def session_get_version() -> dict[str, Any]:
    """Return the versions of mechane, of its protocol and of Python."""
    raise NotImplementedError  # declaration


@call(on=Place.PUBLISHED, priority=Priority.HIGH, permission="none", idempotent=True, read_only=True)
def session_list_calls(prefix: str = "") -> list[dict[str, Any]]:
    """List the calls of this node: name, place, priority, permission, arguments, summary.

    Args:
        prefix: only calls whose name starts with this text.
    """
    raise NotImplementedError  # declaration
