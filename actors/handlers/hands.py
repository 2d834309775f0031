"""How an executor hands a LOW or KILL call to whoever does it, and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...config.errors import MechaneError
from ...protocol.catalogue import CallSpec, Place
from ..router.pending import PendingCall
from ..router.router import cancelled, incident, too_late
from ..runtime.asker import work_for
from .admin import ADMIN
from .gathering import GATHERING
from .kills import KILLS
from .objects import OBJECTS
from .observing import OBSERVING
from .published import PUBLISHED, find_connection

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor
    from ..node.node import Node

DOMAIN_CALLS = frozenset(
    {
        "domain.start", "domain.suspend", "domain.resume", "domain.shutdown", "domain.reboot", "domain.reset",
        "domain.monitor_command", "domain.get_stats", "domain.undefine", "domain.set_autostart",
        "domain.set_metadata", "domain.rename", "domain.open_console", "domain.open_exec", "domain.save",
        "domain.restore",
        "domain.snapshot_list", "domain.snapshot_create", "domain.snapshot_revert", "domain.snapshot_delete",
        "domain.attach_device", "domain.detach_device", "domain.update_device", "domain.set_vcpus",
        "domain.set_memory",
    }
)  # fmt: skip
VERB_S = 0.001
"""What a verb costs its connection's loop, about: statistics of a guest of QEMU (measured)."""
PROBE_S = 0.02
"""What a question about a hypervisor's abilities costs the threads of its connection's pool, at most (measured)."""
CONNECTION_CALLS = frozenset({"domain.define_xml", "domain.create_xml"})
Hand = Callable[[PendingCall], None]


def handled() -> list[str]:
    """Return the names of all calls that have a handler, each as often as it has one."""
    groups: list[Any] = [PUBLISHED, KILLS, OBSERVING, OBJECTS, GATHERING, ADMIN, DOMAIN_CALLS, CONNECTION_CALLS]
    return [name for group in groups for name in group]


class Hands:
    """Chooses the hand of a call by its place; built once for a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def of(self, spec: CallSpec) -> Hand:
        """Return what hands this call on.

        Raises:
            TypeError: the call has no handler.
        """
        name, node = spec.name, self._node
        direct = KILLS.get(name) or OBSERVING.get(name)
        if direct is not None:
            return lambda call: direct(node, call)
        if name in ADMIN:
            return lambda call: _administer(ADMIN[name], node, call)
        if name in GATHERING:
            return lambda call: self._gather(GATHERING[name], call)
        if name in OBJECTS:
            return lambda call: self._object(OBJECTS[name], call)
        if name in DOMAIN_CALLS and spec.on in (Place.DOMAIN, Place.STREAM):
            return self._domain
        if name in CONNECTION_CALLS and spec.on is Place.CONNECTION:
            return self._connection
        raise TypeError(f"call {name} has no handler")

    def _domain(self, call: PendingCall) -> None:
        if not call.client.read_only:
            call.entry.mailbox.offer(call)
            return
        supervisor = self._node.connections[call.entry.connection]
        supervisor.home.spawn_threadsafe(lambda: _offer_in_turn(supervisor, call), call.spec.name)

    def _connection(self, call: PendingCall) -> None:
        find_connection(self._node.view, call.args["connection"]).mailbox.offer(call)

    def _gather(self, handler: Any, call: PendingCall) -> None:
        node = self._node
        work = partial(_in_turn, handler) if call.client.read_only else handler
        node.home.spawn_threadsafe(lambda: answer(work(node, call), call, node.home), call.spec.name)

    def _object(self, handler: Any, call: PendingCall) -> None:
        uri = call.entry.connection if call.entry is not None else call.args.get("connection")
        supervisor = find_connection(self._node.view, uri)
        work = partial(_in_turn, handler) if call.client.read_only else handler
        supervisor.home.spawn_threadsafe(
            lambda: answer(work(supervisor, call), call, supervisor.home), call.spec.name
        )


async def _in_turn(handler: Any, place: Node | Supervisor, call: PendingCall) -> Any:
    """Run a handler when it is the turn of its client, who reads only: all of them share a part of the loop."""
    probes = call.spec.on is Place.OBJECT and call.entry is None  # goes on in the pool when its client gave up
    async with place.readers.turn(call.client.id, cost_s=PROBE_S if probes else 0.0):
        return await handler(place, call)


async def _offer_in_turn(supervisor: Supervisor, call: PendingCall) -> None:
    """Put a reader's call into its domain's mailbox when it is its client's turn; it costs the loop later."""
    try:
        async with asyncio.timeout_at(call.deadline_at), supervisor.readers.turn(call.client.id, cost_s=VERB_S):
            if not call.done:
                call.entry.mailbox.offer(call, read_only=True)
    except TimeoutError:
        call.fail(too_late(call, "waited for the turn of its client"))
    except MechaneError as error:
        call.fail(error)


def _administer(handler: Any, node: Node, call: PendingCall) -> None:
    call.reply(handler(node, call))


async def answer(work: Any, call: PendingCall, home: Any) -> None:
    """Run a handler's coroutine under the call's deadline and answer the call."""
    from ...config.errors import DeadlineExceeded

    work_for(call.client)
    task = asyncio.ensure_future(work)
    call.on_cancel = lambda: home.call(_cancel, task, call)
    try:
        left_s = call.deadline_at - home.loop.time()
        call.reply(await asyncio.wait_for(task, max(left_s, 0.0)))
    except TimeoutError:
        call.fail(
            DeadlineExceeded(
                f"{call.spec.name} was not done after {call.deadline_s:g} s", remedy="give it a longer deadline_s",
                still_running=False,
            )
        )  # fmt: skip
    except asyncio.CancelledError:
        call.fail(cancelled(call))
    except MechaneError as error:
        call.fail(error)
    except Exception as error:  # noqa: BLE001 - the edge of what runs for this call
        call.fail(incident(call.spec.name, error))


def _cancel(task: Any, call: PendingCall) -> None:
    call.fail(cancelled(call))
    task.cancel()
