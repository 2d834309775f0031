"""Statistics that many ask for at once: one order for all of them in a domain's mailbox, taken back when nobody waits.

A domain that a long job holds answers no order; each poll that left one of its own filled the mailbox, and those who
administer were refused.

Guarantees: of all polls together at most one order waits in a mailbox, for the groups that anybody asked for; whoever
gives up is not waited for, and an order that nobody waits for any more is taken back. Node's loop only.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from ...config.errors import MechaneError
from ..cells.directory import Entry
from ..domain.orders import Order


class _Poll:
    """An order that waits or runs, and who waits for it."""

    __slots__ = ("groups", "order", "read_only", "waiters")

    def __init__(self, groups: frozenset[str], *, read_only: bool) -> None:
        self.groups = groups
        self.read_only = read_only
        self.waiters: set[asyncio.Future[Any]] = set()
        self.order: Order | None = None


class Polls:
    """See the module."""

    def __init__(self) -> None:
        self._polls: dict[Entry, _Poll] = {}

    def ask(self, entry: Entry, groups: frozenset[str], limit_s: float, *, read_only: bool) -> asyncio.Future[Any]:
        """Return the future of a domain's statistics, or of an error; cancel it to give up.

        Args:
            entry: the domain.
            groups: what is asked for; more may come, where others ask for more.
            limit_s: how long the hypervisor may take, once the order has begun.
            read_only: it is for a client of the read-only socket.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        poll = self._polls.get(entry)
        if poll is None or not groups <= poll.groups:
            begun = poll is None or poll.order is None or not entry.mailbox.remove(poll.order)
            if poll is None or begun:
                poll = self._polls[entry] = _Poll(groups, read_only=read_only)
            poll.groups |= groups  # one that has not begun is asked for both
        poll.read_only = poll.read_only and read_only
        poll.waiters.add(future)
        future.add_done_callback(partial(self._left, entry, poll))
        if poll.order is None or poll.order.args["groups"] != poll.groups:
            self._offer(entry, poll, limit_s)
        return future

    def _offer(self, entry: Entry, poll: _Poll, limit_s: float) -> None:
        loop = asyncio.get_running_loop()

        def done(outcome: Any) -> None:
            loop.call_soon_threadsafe(self._settle, entry, poll, outcome)

        poll.order = Order(verb="stats", args={"groups": poll.groups, "deadline_s": limit_s}, done=done)
        try:
            entry.mailbox.offer(poll.order, read_only=poll.read_only)
        except MechaneError as error:
            self._settle(entry, poll, error)

    def _settle(self, entry: Entry, poll: _Poll, outcome: Any) -> None:
        """Give all who wait the outcome of the order."""
        self._forget(entry, poll)
        for waiter in tuple(poll.waiters):
            if not waiter.done():
                waiter.set_result(outcome)

    def _left(self, entry: Entry, poll: _Poll, future: asyncio.Future[Any]) -> None:
        """Take the order back when the last one gave up."""
        poll.waiters.discard(future)
        if future.cancelled() and not poll.waiters and poll.order is not None and entry.mailbox.remove(poll.order):
            self._forget(entry, poll)

    def _forget(self, entry: Entry, poll: _Poll) -> None:
        if self._polls.get(entry) is poll:
            del self._polls[entry]
