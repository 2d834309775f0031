"""The actor of one domain: one verb at a time, on its connection's event loop.

Guarantees:
- calls run in the order in which they came; each gets exactly one answer;
- a call that waits answers `deadline_exceeded`, naming what holds the domain, at its own
  deadline; one that runs answers `deadline_exceeded` with `still_running` and its verb is
  ended as the table in legality.py says;
- exits are cleaned up before the next call begins;
- what is being made durable is never given up half known: see `unbroken`;
- a change that was broken off is settled before another begins: see undertaking.py;
- a bug in a verb answers that call `internal_error`, ends this actor and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...config.errors import (
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    MechaneError,
    OperationFailed,
    OperationInvalid,
)
from ..cells.directory import Entry
from ..router.pending import PendingCall
from ..router.router import cancelled, incident, too_late
from ..runtime.asker import work_for
from ..runtime.loop_actor import LoopActor
from . import legality
from .legality import Interruption
from .orders import DestroyByDriver, Guestless, Holder, Interrupt, Order
from .undertaking import BESIDE, settle_first
from .verbs import VERBS

if TYPE_CHECKING:
    from ..connection.supervisor import Supervisor


WANTED_ENDS = ("saved", "from_snapshot")
"""Reasons of shutoff that a verb brings about itself: it has something left to do, and ends on its own."""


class DomainActor(LoopActor):
    """See the module."""

    def __init__(self, supervisor: Supervisor, entry: Entry) -> None:
        super().__init__(supervisor.home, entry.mailbox)
        self.supervisor = supervisor
        self.entry = entry
        self.cell = entry.cell
        self._current: PendingCall | None = None
        self._rule: legality.Rule | None = None
        self._verb_task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._unbroken = 0
        self._settling = False

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Let no interruption end the verb meanwhile, for steps that must not stay half known, such as a commit.

        A group that was submitted to the store takes effect whoever waits for it. A verb that was cancelled there
        never learns the version, and no later change of the domain would be accepted. Loop's thread.
        """
        self._unbroken += 1
        try:
            yield
        finally:
            self._unbroken -= 1

    @property
    def breakable(self) -> bool:
        """Whether the running verb may be ended now."""
        return not self._unbroken

    async def on_call(self, item: PendingCall | Order) -> None:
        """Run one verb and answer."""
        call = item if isinstance(item, PendingCall) else item.call
        verb = item.spec.name if isinstance(item, PendingCall) else item.verb
        args = item.args
        if call is not None:
            if not self._may_begin(call):
                return
            work_for(call.client)
        self._hold(verb, call)
        bug: Exception | None = None
        outcome: Any
        try:
            rule = legality.check(verb, self.cell.snapshot)
            self._rule = rule
            await self.supervisor.settled()
            legality.check(verb, self.cell.snapshot)  # again: waiting for the driver may have taken a while
            self.supervisor.need(rule.capability, verb)
            outcome = await self._run_verb(verb, args, call)
        except ConnectionLost as error:  # of the driver to its monitor; a client would take it for its own
            outcome = OperationFailed(error.message, remedy=error.remedy, **error.details)
        except MechaneError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the actor's edge: answer this call, then crash
            bug, outcome = error, incident(verb, error)
        finally:
            self._release(call)
        self._answer(item, outcome)
        if bug is not None:
            raise bug

    async def _run_verb(self, verb: str, args: dict[str, Any], call: PendingCall | None) -> Any:
        """Run the verb; an interruption ends it and not the actor. In this very task: another costs two turns."""
        self._verb_task, self._interrupted = asyncio.current_task(), False
        try:
            if self.entry.work is not None and verb not in BESIDE:
                await self._settle_first(verb)
            return await VERBS[verb](self, args, call)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            name = self.cell.snapshot.name
            if self.cell.snapshot.active:
                raise Cancelled(f"{verb} of domain {name} was interrupted") from None
            raise OperationInvalid(
                f"domain {name} stopped while {verb} was under way", remedy="start it first",
                state=self.cell.snapshot.state.value,
            ) from None  # fmt: skip
        finally:
            self._verb_task = None

    async def _settle_first(self, verb: str) -> None:
        """Settle a change that was broken off; whatever the verb's own rule is, this may be interrupted."""
        self._settling = True
        try:
            await settle_first(self)
        finally:
            self._settling = False
        legality.check(verb, self.cell.snapshot)

    def _may_begin(self, call: PendingCall) -> bool:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if call.done:
            return False
        if call.cancelled:
            call.fail(cancelled(call))
            return False
        if self.home.loop.time() >= call.deadline_at:
            call.fail(too_late(call, "waited in the domain's mailbox", **self._held_by()))
            return False
        return True

    def _hold(self, verb: str, call: PendingCall | None) -> None:
        now = self.home.loop.time()
        self.entry.holder = Holder(
            verb=verb, since=now, wall=self.supervisor.services.wall_clock(),
            deadline_s=call.deadline_s if call else 0.0,
            client=call.client.id if call else None, request_id=call.request_id if call else "",
        )  # fmt: skip
        self._current = call
        if call is not None:
            call.timer = self.home.loop.call_at(call.deadline_at, self._overdue, call)
            call.on_cancel = lambda: self.mailbox.post(Interrupt(call=call, error=cancelled(call)))

    def _release(self, call: PendingCall | None) -> None:
        self.entry.holder = None
        self._current = None
        self._rule = None
        if call is not None:
            call.on_cancel = None
            if call.timer is not None:
                call.timer.cancel()
                call.timer = None

    def _answer(self, item: PendingCall | Order, outcome: Any) -> None:
        if isinstance(item, Order) and item.done is not None:
            item.done(outcome)
        call = item if isinstance(item, PendingCall) else item.call
        if call is None:
            return
        if isinstance(outcome, MechaneError):
            call.fail(outcome)
        elif isinstance(outcome, bytes):
            call.reply_packed(outcome)
        else:
            call.reply(outcome)

    def _overdue(self, call: PendingCall) -> None:
        """The running call's deadline passed."""
        call.timer = None
        snapshot = self.cell.snapshot
        details: dict[str, Any] = {"still_running": True, "uuid": snapshot.uuid}
        if snapshot.stuck is not None:
            details |= {"command": snapshot.stuck.command, "since": snapshot.stuck.since}
        self._interrupt(
            call,
            DeadlineExceeded(
                f"{call.spec.name} of domain {snapshot.name} was not done after {call.deadline_s:g} s",
                remedy="look at the domain before trying again", **details,
            ),
        )  # fmt: skip

    def _interrupt(self, call: PendingCall, error: MechaneError) -> None:
        if call is not self._current:
            if self.mailbox.remove(call):
                call.fail(error)
            return
        interruption = self._interruption()
        if isinstance(error, Cancelled) and interruption is Interruption.NONE:
            return  # it cannot be taken back: its own answer will come
        call.fail(error)
        if interruption is Interruption.FLAG:
            self.cell.cancel_start(error.message)
            handle = self.cell.kill_handle
            if handle is not None:
                handle.kill(0.0)
        else:
            self._end_verb()

    def on_control(self, message: Any) -> None:
        """Handle exits, interruptions and destroys without a kill handle, at once."""
        if isinstance(message, Guestless):
            if self.cell.snapshot.reason not in WANTED_ENDS:
                self._end_verb()
            self.mailbox.urge(Order(verb="clean", args={"incarnation": message.incarnation}))
        elif isinstance(message, Interrupt):
            self._interrupt(message.call, message.error)
        elif isinstance(message, DestroyByDriver):
            self._end_verb()
            self.home.spawn(self.supervisor.destroy_by_driver(self.entry, message), "destroy")
        else:
            super().on_control(message)

    def _end_verb(self) -> None:
        """End a verb that waits, where its rule allows that and nothing of it is being made durable."""
        if self._verb_task is not None and self._interruption() is Interruption.CANCEL:
            self._interrupted = True
            self._verb_task.cancel()

    def _interruption(self) -> Interruption:
        """Return how the running verb may be ended now."""
        if self._unbroken or self._rule is None:
            return Interruption.NONE
        return Interruption.CANCEL if self._settling else self._rule.interruption

    def on_waiting(self) -> None:
        """Give each waiting call a timer for its own deadline."""
        loop = self.home.loop
        for item in self.mailbox.waiting():
            call = item if isinstance(item, PendingCall) else item.call
            if call is not None and call.timer is None:
                call.timer = loop.call_at(call.deadline_at, self._expired, item, call)

    def _expired(self, item: Any, call: PendingCall) -> None:
        call.timer = None
        if self.mailbox.remove(item):
            error = too_late(call, "waited in the domain's mailbox", **self._held_by())
            call.fail(error)
            if isinstance(item, Order) and item.done is not None:
                item.done(error)

    def _held_by(self) -> dict[str, Any]:
        held: dict[str, Any] = {}
        holder = self.entry.holder
        if holder is not None:
            held["holder"] = holder.describe(self.home.loop.time())
        stuck = self.cell.snapshot.stuck
        if stuck is not None:
            held["holder"] = {**held.get("holder", {}), "command": stuck.command, "since": stuck.since}
        return held

    def on_crash(self, error: Exception) -> None:
        """Let the supervisor restart this domain's actor, or quarantine the domain."""
        self.supervisor.domain_crashed(self.entry, error)
