"""Consoles of a connection's domains: each device is held by one client at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...config.errors import OperationInvalid
from ...hypervisors.abilities import ConsoleChannel
from ...hypervisors.contract import Target
from ..cells.directory import Entry
from ..router.pending import PendingCall

if TYPE_CHECKING:
    from .supervisor import Supervisor


class Consoles:
    """Who holds which console; used on the connection's loop, released from any thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._held: dict[tuple[str, str], tuple[int, Any]] = {}

    async def open(self, entry: Entry, target: Target, args: dict[str, Any], call: PendingCall) -> dict[str, Any]:
        """Open a console, tie it to a stream of the caller's session and answer.

        Raises:
            OperationInvalid: another client holds it and `force` was not given.
        """
        channel: ConsoleChannel = await self._supervisor.driver.open_console(target, args.get("device"))
        key = (entry.uuid, channel.device)
        held = self._held.get(key)
        if held is not None:
            if not args.get("force"):
                channel.close()
                raise OperationInvalid(
                    f"client {held[0]} holds console {channel.device} of {target.name}",
                    remedy="wait until it leaves, or take it over with force", client=held[0],
                )  # fmt: skip
            taken = OperationInvalid(f"another client took over console {channel.device}", remedy="open it again")
            held[1].abort(taken)
        client: Any = call.client
        mark = object()

        def release() -> None:
            now = self._held.get(key)
            if now is not None and now[1] is marks.get(mark):
                del self._held[key]
            channel.close()

        marks: dict[object, Any] = {}
        stream = client.open_stream(replace(channel, close=release))
        marks[mark] = stream
        self._held[key] = (client.id, stream)
        answer = {"stream": stream.id, "credit": stream.credit, "device": channel.device}
        call.reply(answer)
        stream.start()
        return answer
