"""Threads for what blocks, each of which can be given up.

Guarantees, for works of any owner (a domain, or one concern of the connection itself):
- who waits never waits longer than its deadline, and may leave at any moment: a work that nobody waits for
  runs on and is no sign of a hang before its own deadline has passed;
- each owner has a share of SHARE works at once; one whose work hangs is refused more until that comes back,
  and nobody else is;
- a work that takes longer than SLOW_S leaves its place to the next, so hung ones delay healthy ones by a few
  of those at most; all of them together are bounded by MOST_THREADS;
- a clean-up is never refused and begins when no work of its owner runs any more, so that what a work did too
  late is undone, too; its owner's next works begin after it;
- the result of a work that nobody took is handed to its `undo`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...config.errors import Busy, DeadlineExceeded, Unresponsive
from ...hypervisors.contract import Itself

QUICK = 8
"""Works at once that are not slow: more would only fight for the processors."""
SHARE = 2
"""Works of one owner at once."""
SLOW_S = 0.025
"""A stat takes 0.02 ms and making a guest's folder and log 0.5 ms; on a crowded host ten times that (measured)."""
MOST_THREADS = 512
"""Works and clean-ups at once, hung ones included: a waiting thread costs about 50 KiB."""
CLEANERS = 128
"""Of those, the threads that only clean-ups may use."""
IDLE_THREADS = 8


class Work:
    """One call of a blocking function."""

    __slots__ = ("cleans", "done", "function", "hung", "share", "since", "state", "timer", "undo", "what")

    def __init__(
        self, function: Callable[[], Any], share: Share, done: asyncio.Future[Any], *, cleans: bool,
        undo: Callable[[Any], None] | None,
    ) -> None:  # fmt: skip
        self.function = function
        self.share = share
        self.done = done
        self.cleans = cleans
        self.undo = undo
        self.what = ""
        """What stays behind while a clean-up waits, for people."""
        self.state = "queued"
        self.hung = False
        self.since = 0.0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """Return the function's name, for errors."""
        function = getattr(self.function, "func", self.function)
        return str(getattr(function, "__name__", "a tool")).lstrip("_").replace("<lambda>", "a step")


class Share:
    """What one owner has queued and running. Loop's thread."""

    __slots__ = ("cleaned", "cleaning", "hung", "owner", "queued", "running")

    def __init__(self, owner: str | Itself) -> None:
        self.owner = owner
        self.queued: deque[Work] = deque()
        self.running: set[Work] = set()
        self.hung = 0
        self.cleaning = 0
        """Clean-ups that are queued or run."""
        self.cleaned: asyncio.Future[None] | None = None

    def next(self) -> Work | None:
        """Return the work that may begin now, or None."""
        if not self.queued:
            return None
        work = self.queued[0]
        if work.cleans:
            free = all(each.cleans for each in self.running)
        else:
            free = len(self.running) < SHARE and not any(each.cleans for each in self.running)
        return work if free else None


class Workers:
    """See the module. All methods but `_serve` belong to the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        self._shares: dict[str | Itself, Share] = {}
        self._ready: deque[Work] = deque()
        self._cleaners: deque[Work] = deque()
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._quick: dict[Work, None] = {}
        self._hurry: asyncio.TimerHandle | None = None
        self._closed = False

    # ---- for the environment

    async def run(
        self, function: Callable[[], Any], owner: str | Itself, deadline_s: float,
        undo: Callable[[Any], None] | None = None,
    ) -> Any:  # fmt: skip
        """Run a function on a thread and return what it returns.

        Args:
            function: what blocks.
            owner: whose share it takes.
            deadline_s: seconds after which it counts as hung.
            undo: takes its result where nobody waits for it any more; on a thread, too.

        Raises:
            Unresponsive: an earlier work of this owner hangs.
            Busy: too much hangs.
            DeadlineExceeded: it did not end.
        """
        known = self._shares.get(owner)
        if known is not None and known.hung:
            raise _unresponsive(owner)
        if self._busy >= MOST_THREADS - CLEANERS:
            raise Busy("too many storage and tool calls of this connection hang",
                       remedy="mend the storage they wait for", what="tool threads",
                       limit=MOST_THREADS - CLEANERS)  # fmt: skip
        work = Work(function, self._share(owner), self._loop.create_future(), cleans=False, undo=undo)
        return await self._wait(work, deadline_s)

    async def clean(self, function: Callable[[], Any], owner: str | Itself, deadline_s: float, what: str = "") -> Any:
        """Run a clean-up after all that its owner has running; it goes on where the deadline passes.

        Args:
            function: what cleans up.
            owner: after whom.
            deadline_s: seconds that the caller waits.
            what: what is left until it has ended.

        Raises:
            DeadlineExceeded: it still waits, or runs; `cleaning` says when it has ended.
        """
        share = self._share(owner)
        share.cleaning += 1
        work = Work(function, share, self._loop.create_future(), cleans=True, undo=None)
        work.what = what
        return await self._wait(work, deadline_s)

    def left(self, owner: str | Itself) -> str:
        """Say what the clean-ups of an owner have not given back yet; "" where none is left."""
        share = self._shares.get(owner)
        if share is None or not share.cleaning:
            return ""
        works = [work for work in (*share.running, *share.queued) if work.cleans]
        return ", ".join(dict.fromkeys(work.what for work in works if work.what)) or "what was made for it"

    def cleaning(self, owner: str | Itself) -> asyncio.Future[None] | None:
        """Return what is done when the clean-ups of an owner have ended, or None where none is left."""
        share = self._shares.get(owner)
        if share is None or not share.cleaning:
            return None
        if share.cleaned is None:
            share.cleaned = self._loop.create_future()
        return share.cleaned

    def give_up(self, owner: str | Itself, error: Exception) -> None:
        """Let everybody who waits for works of an owner go with an error; clean-ups are waited for."""
        share = self._shares.get(owner)
        if share is None:
            return
        for work in [*share.queued, *share.running]:
            if not work.cleans and not work.done.done():
                work.done.set_exception(error)
                self._leave(work)

    def close(self) -> None:
        """Let idle threads end; those that hang end with the process."""
        self._closed = True
        for _ in range(self._threads):
            self._inbox.put(None)
        if self._hurry is not None:
            self._hurry.cancel()

    # ---- queueing

    def _share(self, owner: str | Itself) -> Share:
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = Share(owner)
        return share

    async def _wait(self, work: Work, deadline_s: float) -> Any:
        work.share.queued.append(work)
        work.timer = self._loop.call_later(deadline_s, self._overdue, work, deadline_s)
        self._advance(work.share)
        try:
            return await work.done
        except asyncio.CancelledError:
            self._leave(work)
            if work.done.done() and not work.done.cancelled() and work.done.exception() is None:
                self._undo(work, work.done.result())  # it came, and its caller was cancelled before it could take it
                self._advance(work.share)
            raise

    def _leave(self, work: Work) -> None:
        """Nobody waits for a work any more: one that has not begun never begins, but a clean-up."""
        if work.state == "queued" and not work.cleans:
            self._drop(work)

    def _drop(self, work: Work) -> None:
        work.state = "dropped"
        if work.timer is not None:
            work.timer.cancel()
        with suppress(ValueError):
            work.share.queued.remove(work)
        with suppress(ValueError):
            self._ready.remove(work)
        if work in work.share.running:
            work.share.running.discard(work)
        self._advance(work.share)

    def _overdue(self, work: Work, deadline_s: float) -> None:
        work.timer = None
        begun = work.state == "running"
        if not work.done.done():
            work.done.set_exception(DeadlineExceeded(
                f"{work.name} did not end within {deadline_s:g} s", remedy="look at the storage or tool it waits for",
                still_running=begun or work.cleans,
            ))  # fmt: skip
        self._leave(work)
        if begun or work.cleans:
            work.hung = True
            work.share.hung += 1

    def _advance(self, share: Share) -> None:
        """Hand on what may begin of a share, and forget a share that has nothing."""
        while (work := share.next()) is not None:
            share.queued.popleft()
            share.running.add(work)
            (self._cleaners if work.cleans else self._ready).append(work)
        if not share.cleaning and share.cleaned is not None:
            share.cleaned.set_result(None)
            share.cleaned = None
        if not share.queued and not share.running and self._shares.get(share.owner) is share:
            del self._shares[share.owner]
        self._begin()

    def _begin(self) -> None:
        while (line := self._line()) is not None:
            if len(self._quick) >= QUICK and not self._make_room():
                return
            self._hand(line.popleft())

    def _line(self) -> deque[Work] | None:
        """Return whose turn it is, clean-ups first; None where nobody waits, or no thread may be had."""
        if self._cleaners and self._busy < MOST_THREADS:
            return self._cleaners
        if self._ready and self._busy < MOST_THREADS - CLEANERS:
            return self._ready
        return None

    def _make_room(self) -> bool:
        """Take the oldest quick work for a slow one; where none is yet, look again when it would be."""
        oldest = next(iter(self._quick))
        age_s = self._loop.time() - oldest.since
        if age_s >= SLOW_S:
            del self._quick[oldest]
            return True
        if self._hurry is None:
            self._hurry = self._loop.call_later(SLOW_S - age_s, self._look_again)
        return False

    def _look_again(self) -> None:
        self._hurry = None
        self._begin()

    # ---- threads

    def _hand(self, work: Work) -> None:
        work.state = "running"
        work.since = self._loop.time()
        self._quick[work] = None
        self._busy += 1
        if self._busy > self._threads:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._inbox.put(work)

    def _serve(self) -> None:
        while (work := self._inbox.get()) is not None:
            result, error = None, None
            try:
                result = work.function()
            except BaseException as caught:  # noqa: BLE001 - a thread's edge: it goes to who waits
                error = caught
            try:
                self._loop.call_soon_threadsafe(self._ended, work, result, error)
            except RuntimeError:  # the loop is closed: the node is stopping
                return
            del work, result, error

    def _ended(self, work: Work, result: Any, error: BaseException | None) -> None:
        if work.timer is not None:
            work.timer.cancel()
        self._busy -= 1
        self._quick.pop(work, None)
        share = work.share
        share.running.discard(work)
        share.hung -= work.hung
        share.cleaning -= work.cleans
        if not work.done.done():
            if error is None:
                work.done.set_result(result)
            else:
                work.done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        elif error is None:
            self._undo(work, result)
        self._advance(share)
        if self._threads - self._busy > IDLE_THREADS and not self._closed:
            self._threads -= 1
            self._inbox.put(None)

    def _undo(self, work: Work, result: Any) -> None:
        """Have what nobody took undone, before the owner's clean-ups."""
        undo, work.undo = work.undo, None
        if undo is None:
            return
        share = work.share
        self._shares.setdefault(share.owner, share)
        share.cleaning += 1
        share.queued.appendleft(Work(lambda: undo(result), share, _unheard(self._loop), cleans=True, undo=None))


def _unheard(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """Return a future that nobody waits for, and whose failure is nobody's news."""
    future: asyncio.Future[Any] = loop.create_future()
    future.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    return future


def _unresponsive(owner: str | Itself) -> Unresponsive:
    if isinstance(owner, Itself):
        return Unresponsive(f"an earlier look at {owner.what} still hangs", remedy="mend the storage it lies on")
    return Unresponsive(
        "an earlier command of this domain, or the clean-up after it, still hangs in its storage",
        remedy="mend the storage; the domain can be used as soon as it answers", domain=owner,
    )  # fmt: skip
