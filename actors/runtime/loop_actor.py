"""Actors that live on an event loop instead of a thread.

`LoopActor` is pykka's `Actor` with its own runtime: messages are handled on the
supervisor's asyncio loop, and the actor is scheduled only while it has mail, so an idle
one costs memory only. Guarantees:

- control messages are handled as soon as the loop is free, also while a call is awaited;
- calls are handled one at a time, in order, as coroutines;
- a bug in a call ends this actor only: `on_crash` is told, the mailbox stays;
- messages told through pykka (`ref.tell`) travel in the control lane, so the rules of
  pykka (stop, ask) hold; nothing here ever blocks the loop.

pykka traps covered (each by a test): unthreaded actors are garbage-collected unless owned
(the directory entry owns them); a BaseException in pykka's own loop would stop all actors
(our loop never runs pykka's); the registry is linear (we never look up through it).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Self

import pykka
from pykka import messages
from pykka._envelope import Envelope

from . import guards
from .loop_thread import LoopThread
from .mailbox import Mailbox

_log = logging.getLogger("mechane.actor")


class _Inbox:
    """What pykka puts envelopes into: the control lane of our mailbox."""

    __slots__ = ("mailbox",)

    def __init__(self) -> None:
        self.mailbox: Mailbox[Any] | None = None

    def put(self, envelope: Envelope[Any]) -> None:
        assert self.mailbox is not None
        if envelope.reply_to is not None:
            guards.about_to_wait("an actor's answer")
        self.mailbox.post(envelope)

    def get(self) -> Envelope[Any]:
        raise RuntimeError("a LoopActor's inbox is drained by its loop")

    def empty(self) -> bool:
        return self.mailbox is None or len(self.mailbox) == 0


class LoopActor(pykka.Actor):
    """An actor on a `LoopThread`; subclasses write `on_control`, `on_call` and `on_crash`."""

    def __init__(self, home: LoopThread, mailbox: Mailbox[Any]) -> None:
        super().__init__()
        self.home = home
        self.mailbox = mailbox
        inbox: Any = self.actor_inbox
        inbox.mailbox = mailbox
        self._scheduled = False
        self._running: asyncio.Task[Any] | None = None
        self._dead = False

    def launch(self) -> Self:
        """Register and start this actor; the caller keeps the object, pykka's ref is weak."""
        pykka.ActorRegistry.register(self.actor_ref)
        self._start_actor_loop()
        return self

    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Inbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self.home.call(self._begin)

    def _begin(self) -> None:
        try:
            self.on_start()
        except Exception as error:  # noqa: BLE001 - an actor's edge: its own failure only
            self._crash(error)
            return
        self.mailbox.connect(self._wake)

    def _wake(self) -> None:
        """Any thread: schedule the actor unless it is scheduled already."""
        if not self._scheduled:
            self._scheduled = True
            self.home.call(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        self._take_controls()
        if self.dead:
            return
        if self._running is None:
            if len(self.mailbox):
                self._running = self.home.spawn(self._run(), "call")
        elif len(self.mailbox):
            self.on_waiting()

    def _take_controls(self) -> None:
        while not self.dead and (message := self.mailbox.take_control()) is not None:
            self._control(message)

    def _control(self, message: Any) -> None:
        envelope = message if isinstance(message, Envelope) else None
        try:
            if envelope is None:
                self.on_control(message)
                return
            result = self._handle_receive(envelope.message)
            if envelope.reply_to is not None:
                envelope.reply_to.set(result)
        except Exception as error:  # noqa: BLE001 - an actor's edge: its own failure only
            if envelope is not None and envelope.reply_to is not None:
                envelope.reply_to.set_exception()
            else:
                self._crash(error)

    async def _run(self) -> None:
        """Take the next call and handle it.

        A task begins a turn after it was made: what arrived in between (an exit, and the clean-up that it asks for)
        comes first, so the call is taken here and not before.
        """
        crash: Exception | None = None
        try:
            self._take_controls()
            call = None if self.dead else self.mailbox.take_call()
            if call is not None:
                await self.on_call(call)
        except Exception as error:  # noqa: BLE001 - an actor's edge: its own failure only
            crash = error
        finally:
            self._running = None
        if crash is not None:
            self._crash(crash)
        elif len(self.mailbox) and not self._dead:
            self._wake_here()  # what comes from now on wakes us itself

    def _wake_here(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.home.loop.call_soon(self._drain)

    def _crash(self, error: Exception) -> None:
        self._end()
        try:
            self.on_crash(error)
        except Exception:  # noqa: BLE001 - the last edge: nothing above could do better than log
            _log.exception("on_crash of %s failed", self)

    def _end(self) -> None:
        if not self._dead:
            self._dead = True
            self.mailbox.connect(None)
            pykka.ActorRegistry.unregister(self.actor_ref)
            self.actor_stopped.set()

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, messages._ActorStop):
            self._end()
            self.on_stop()
            return None
        return super()._handle_receive(message)

    @property
    def dead(self) -> bool:
        """Whether this actor ended; its mailbox may live on."""
        return self._dead

    @property
    def busy(self) -> bool:
        """Whether a call is being handled; the loop's thread."""
        return self._running is not None

    def on_control(self, message: Any) -> None:
        """Handle a control message at once; must not wait. Loop's thread."""
        raise NotImplementedError

    async def on_call(self, call: Any) -> None:
        """Handle one call to its end. Loop's thread."""
        raise NotImplementedError

    def on_waiting(self) -> None:
        """Look at calls that wait behind the one that runs (deadlines). Loop's thread."""

    def on_crash(self, error: Exception) -> None:
        """Learn that this actor died of a bug. Loop's thread."""
        _log.error("%s crashed", self, exc_info=error)
