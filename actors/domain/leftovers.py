"""What a guest leaves behind where its storage does not answer, and starts that wait for such storage.

A start that is cancelled ends soon: whoever waits for storage is let go at once, and whatever else the driver waits
for is cancelled END_S later. What was begun is undone by the driver's clean-up, which waits for the storage in the
background (`DriverEnv.clean_up`); until that has ended the run's record is kept, so that a restarted node goes on with
it, and the domain is refused a new start. Everything here runs on the connection's loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...config.errors import Cancelled, Unresponsive
from ...hypervisors.contract import Started, StartRequest
from ..cells import facts
from .orders import Order

if TYPE_CHECKING:
    from .actor import DomainActor

END_S = 1.0
"""Seconds after which what a cancelled start waits for is cancelled: its process may not die."""
AGAIN_S = 0.1


async def start_in_time(actor: DomainActor, request: StartRequest) -> Started:
    """Have the driver start a guest; a start that is cancelled ends soon, whatever the driver waits for.

    Raises:
        Cancelled: it was cancelled, and did not notice.
        MechaneError: as the driver says.
    """
    task, loop = asyncio.current_task(), actor.home.loop
    assert task is not None
    timer: asyncio.TimerHandle | None = None
    ended = False

    def was_cancelled() -> Cancelled:
        return Cancelled(f"the start of {request.target.name} was cancelled: {request.cancel.reason}")

    def cancelled() -> None:
        nonlocal timer
        if timer is None and not ended:
            actor.supervisor.env.give_up(request.target.uuid, was_cancelled())
            timer = loop.call_later(END_S, end)

    def end() -> None:
        nonlocal timer, ended
        if not actor.breakable:
            timer = loop.call_later(AGAIN_S, end)
            return
        ended = True
        task.cancel()

    request.cancel.listen(lambda: actor.home.call(cancelled))
    try:
        started: Started = await actor.supervisor.driver.start(request)
    except asyncio.CancelledError:
        if not ended:
            raise
        task.uncancel()
        raise was_cancelled() from None
    finally:
        ended = True
        request.cancel.listen(None)
        if timer is not None:
            timer.cancel()
    return started


def tell(actor: DomainActor) -> None:
    """Publish what the clean-up after the last guest has not given back, or that nothing is left."""
    left = actor.supervisor.env.left(actor.entry.uuid)
    actor.cell.put(facts.LeftBehind(what=left) if left else facts.CleanedUp())


def wait(actor: DomainActor, incarnation: int) -> bool:
    """Tell whether something is left of a run; its clean-up is then finished when the storage answers."""
    tell(actor)
    ended = actor.supervisor.env.cleaning(actor.entry.uuid)
    if ended is None:
        return False
    order = Order(verb="clean", args={"incarnation": incarnation})
    ended.add_done_callback(lambda _: actor.mailbox.urge(order))
    return True


def refuse(actor: DomainActor) -> None:
    """Refuse a start while something is left of the guest before.

    Raises:
        Unresponsive: its storage does not answer yet.
    """
    left = actor.supervisor.env.left(actor.entry.uuid)
    if left:
        raise Unresponsive(
            f"the clean-up after the last run of {actor.cell.snapshot.name} still waits for {left}",
            remedy="mend the storage; the domain can be started as soon as it answers", domain=actor.entry.uuid,
        )  # fmt: skip
