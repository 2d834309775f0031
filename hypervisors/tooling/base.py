"""The base of drivers whose guests are seen by listing them: Xen, bhyve, Virtuozzo, VirtualBox, VMware, LXC.

A driver derives from `ToolDriver`, declares kind, schemes and capabilities, and writes

    probe()                     version of the hypervisor, by a tool that is cheap
    list_native()               every guest that exists now -> [NativeGuest(uuid, name, state, …)]
    native_start(request, …)    run the tool that starts a guest; may call `spawned` early
    native_shutdown / _reboot / _destroy(target, …)
    define, undefine            of the contract, as they are

and calls tools by `await self.tool([...], target=target)`, which makes the domain
unresponsive when its tool hangs. Capabilities are plain methods; a verb that changes the
state ends with `self.changed(target, State.PAUSED, "user", "suspended", "paused")`.
Everything else of the contract is done here: facts, exits, adoption, abandoned starts, sweep.

Guarantees:
- listings drive everything: one runs at a time, whoever asks meanwhile shares the next one;
  `kick()` looks at once (call it where the hypervisor has events);
- differences become facts of the right incarnation, an exit exactly once; a listing that
  began before a verb changed a guest says nothing about that guest;
- a guest is known by its UUID alone: an id that changed is a reboot, and one that is missing
  for less than `reboot_gap_s` is not gone (xl: 2 s and more);
- a listing that fails makes the connection `down` and its guests unresponsive until one succeeds;
- guests that somebody else starts, ends or removes are noticed and shown;
- `abandon` ends only the guest of that very start (its record and our mark say so), `sweep` none.
Everything runs on the connection's loop, kill handles aside (any thread).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ...config.errors import DeadlineExceeded, MechaneError, OperationFailed, OperationInvalid, StartFailed
from ...config.record import checked
from ...config.states import State
from ..contract import Capability, Found, Handle, HypervisorInfo, Inspection, Started, StartMode, StartRequest, Target
from ..facts import FactSink, KillHandle
from .listing import Listing
from .markers import Mark
from .watched import NativeGuest, Watched
from .watching import SpawnedCall, ToolWatcher

__all__ = ["NativeGuest", "SpawnedCall", "ToolDriver", "Watched"]

HANDLE_VERSION = 1


class ToolDriver(ToolWatcher):
    """See the module."""

    # ---- the contract: connection

    async def open(self) -> HypervisorInfo:
        """Probe the hypervisor and begin to watch it."""
        info = await self.probe()
        self._poller.start()
        return info

    async def close(self) -> None:
        """Stop watching; kills under way come to their end first."""
        if self._work:
            await asyncio.wait(self._work, timeout=self.env.deadlines.destroy_grace_s + self.env.deadlines.query_s)
        await self._poller.stop()
        await self._listing.stop()
        self.watched.clear()
        await self.host.close()

    async def discover(self) -> Sequence[Found]:
        """List the guests that exist on the hypervisor."""
        native = Capability.NATIVE_DEFINITIONS in self.capabilities
        found = []
        for guest in (await self.look()).values():
            load = guest.active and guest.uuid not in self.watched and not (native and guest.persistent)
            xml = await guest.xml() if load and guest.xml is not None else None
            if guest.active or guest.persistent:
                handle = self._handle(guest.name, guest.native_id) if guest.active else None
                found.append(Found(uuid=guest.uuid, name=guest.name, state=guest.state, reason=guest.reason, xml=xml,
                                   handle=handle, persistent=guest.persistent))  # fmt: skip
        return found

    # ---- the contract: a guest's life

    async def start(self, request: StartRequest) -> Started:
        """Start a guest and wait until the hypervisor lists it; see the contract."""
        target = request.target
        there = None if target.uuid in self.watched else (await self.look()).get(target.uuid)
        if target.uuid in self.watched or (there is not None and there.active):
            raise OperationInvalid(f"{target.name} runs already", remedy="destroy it first")
        request.cancel.check()
        await request.record(self._handle(target.name, ""))
        request.cancel.check()
        watched = self._watch(target, request.facts)
        watched.starting = True
        try:
            self._marks.put(Mark(uuid=target.uuid, name=target.name))
            return await self._bring_up(request, watched)
        except BaseException:
            await self._undo(watched)
            raise

    async def _bring_up(self, request: StartRequest, watched: Watched) -> Started:
        target = request.target

        def spawned(kill: KillHandle | None = None, pid: int | None = None) -> None:
            watched.spawned(kill or self.kill_handle(watched, None), pid)

        await self.native_start(request, spawned)
        # One that is destroyed meanwhile will never be listed.
        guest = await self.until(
            target.uuid, lambda g: watched.doomed or (g is not None and g.active), self.env.deadlines.start_s
        )
        self._still(watched, request)
        assert guest is not None
        spawned(pid=guest.pid)
        handle = self._handle(target.name, guest.native_id)
        await request.record(handle)
        self._marks.put(Mark(uuid=target.uuid, name=target.name, native_id=guest.native_id))  # never before the record
        guest = (await self.look()).get(target.uuid)
        self._still(watched, request)
        if guest is None or not guest.active:
            raise StartFailed(f"{target.name} ended while it started", remedy="look at the hypervisor's own log")
        reason = {State.RUNNING: "restored" if request.mode is StartMode.RESTORE else "booted", State.PAUSED: "user"}
        watched.native_id, watched.pid = guest.native_id, guest.pid
        watched.place(guest.state, reason.get(guest.state, guest.reason))
        watched.starting = False
        self._poller.kick()
        return Started(handle=handle, state=watched.state, reason=watched.reason, pid=guest.pid, kill=watched.kill)

    def _still(self, watched: Watched, request: StartRequest) -> None:
        request.cancel.check()
        if watched.doomed:
            raise StartFailed(f"{watched.target.name} was destroyed while it started", remedy="start it again")

    async def _undo(self, watched: Watched) -> None:
        """End what a start that failed left."""
        target = watched.target
        try:
            await self.native_destroy(target, 0.0)
            await self.until(target.uuid, lambda guest: guest is None or not guest.active, self.env.deadlines.change_s)
            await self.clean(target)
        except MechaneError as error:
            watched.exited("failed", message=f"it could not be ended after a failed start: {error}")
        self._drop(watched, "destroyed" if watched.doomed else "failed")

    async def reattach(self, target: Target, handle: Handle, facts: FactSink) -> Started | None:
        """Take up a guest that runs; where guests cannot be listed now, it is taken up as unresponsive."""
        checked({"version": HANDLE_VERSION, **handle}, HANDLE_VERSION, f"the handle of {target.name}", key="version")
        guest: NativeGuest | None = None
        try:
            guest = (await self.look()).get(target.uuid)
        except (DeadlineExceeded, OperationFailed):
            state, reason, stuck = State.RUNNING, "unknown", True
        else:
            if guest is None or not guest.active:
                return None
            state, reason, stuck = guest.state, guest.reason, False
        watched = self._watch(target, facts)
        watched.native_id = guest.native_id if guest is not None else str(handle.get("native_id", ""))
        watched.place(state, reason)
        pid = guest.pid if guest is not None else None
        watched.spawned(self.kill_handle(watched, guest), pid)
        if stuck:
            watched.stick(Listing.COMMAND)
        self._poller.kick()
        return Started(handle=handle, state=state, reason=reason, pid=pid, kill=watched.kill)

    async def abandon(self, target: Target, handle: Handle) -> None:
        """End what an unfinished start of ours left."""
        mark = self._marks.get(target.uuid)
        guest = (await self.look()).get(target.uuid)
        if guest is not None and guest.active:
            told = str(handle.get("native_id", ""))
            ours = guest.native_id == told if told else mark is not None and not mark.native_id
            if not ours:
                return  # somebody started it since, and it is taken up as it was found
            await self.native_destroy(target, 0.0)
            await self.until(target.uuid, lambda now: now is None or not now.active, self.env.deadlines.change_s)
        await self.finished(target)

    async def inspect(self, target: Target) -> Inspection:
        """Return the guest's state now."""
        guest = (await self.look()).get(target.uuid)
        if guest is None:
            return Inspection(state=State.SHUTOFF, reason="unknown")
        return Inspection(state=guest.state, reason=guest.reason, pid=guest.pid)

    async def shutdown(self, target: Target, mode: str | None) -> None:
        """Ask the guest to shut down."""
        watched = self.running(target)
        watched.ends_as = "shutdown"
        await self.native_shutdown(target, mode)
        self._poller.kick()

    async def reboot(self, target: Target, mode: str | None) -> None:
        """Ask the guest to reboot."""
        self.running(target)
        await self.native_reboot(target, mode)
        self._poller.kick()

    async def destroy(self, target: Target, grace_s: float) -> None:
        """End the guest and wait until it is gone."""
        self.running(target).doomed = True
        await self.native_destroy(target, grace_s)
        await self.until(target.uuid, lambda guest: guest is None or not guest.active, self.env.deadlines.change_s)

    async def finished(self, target: Target) -> None:
        """Remove the mark, and what the run left."""
        if target.uuid not in self.watched:
            self._marks.remove(target.uuid)
            await self.clean(target)

    async def sweep(self, known: Mapping[str, Handle]) -> Sequence[str]:
        """Remove marks, and what runs left, of guests that no handle knows and that do not run."""
        removed: list[str] = []
        marks = [mark for mark in self._marks.all() if mark.uuid not in known and mark.uuid not in self.watched]
        guests = await self.look() if marks else {}
        for mark in marks:
            guest = guests.get(mark.uuid)
            if guest is None or not guest.active:
                await self.finished(Target(uuid=mark.uuid, name=mark.name))
                removed.append(mark.uuid)
        return removed

    # ---- within

    def _handle(self, name: str, native_id: str) -> Handle:
        return {"version": HANDLE_VERSION, "name": name, "native_id": native_id, "complete": bool(native_id)}
