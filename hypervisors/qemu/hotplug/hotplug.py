"""The Hotplug protocol for QEMU: attach, detach and update devices of running guests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....config.errors import DeadlineExceeded, MonitorError, OperationFailed
from ...contract import Target
from .. import live, ownership
from ..cleanup import give_back
from ..emulators import Emulators
from ..guest import Guest
from ..host.taps import links_of, remove_links
from ..power import Power
from ..profile import Profile
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop, own_files
from . import leftovers
from .mending import Mending, Note, commands, packed
from .runner import Runner
from .watch import REFUSED, REMOVED, watch_of

if TYPE_CHECKING:
    from ....config.domain.domain import Domain
    from ..argv.records import FileUse
    from .plan import AttachPlan, Removal
    from .recorder import Step
    from .taps import PluggedTap
    from .updates import UpdatePlan

UNPLUG_S = 20.0
"""Seconds that a guest has to let go of a device; Linux under emulation takes 0.1 to 6 s (measured)."""
TRAY_S = 5.0
"""Seconds that a guest has to open a drive that it has locked."""
TRAY_TRIES = 3
TRAY_CLOSED = "is not open"
"""What QEMU 7.2 says of a drive whose tray must be open (blockdev-insert-medium; measured)."""
LOOK_S = 1.0
PENDING = "already in the process of unplug"


class Hotplugging:
    """Changes the devices of the guests of one connection. Loop's thread."""

    def __init__(self, shop: Workshop, power: Power, emulators: Emulators) -> None:
        self._shop = shop
        self._power = power
        self._emulators = emulators
        self._runner = Runner(shop)
        self.mending = Mending(shop, self._runner, self)
        self.unplug_s = UNPLUG_S

    # ---- attach

    async def attach(self, target: Target, xml: str, device: str) -> str:
        """Plug a device; see `Hotplug.attach_device`."""
        from .plan import plan_attach

        guest, monitor = self._power.guest(target), self._power.monitor(target)
        emulator = await self._emulator(xml)
        nodes = await self._ask(monitor, leftovers.NODES)
        tap = await self._open_tap(guest, xml, device, emulator)
        try:
            plan: AttachPlan = await self._shop.env.pure(
                plan_attach, xml, device, emulator, str(guest.folder.own), leftovers.top_number(nodes) + 1,
                tap.fds if tap is not None else None, tap.names if tap is not None else None, size=len(xml),
            )  # fmt: skip
            owners = await self._owners(guest, plan.files)
            await self._shop.env.intend(target.uuid, await self._attach_note(guest, plan, nodes, owners, tap))
            await self._take_files(guest, owners)
            await self._runner.run(guest, monitor, [*(tap.steps() if tap is not None else ()), *plan.steps])
        except BaseException:
            if tap is not None:
                await asyncio.shield(self._shop.blocking(tap.undo, domain=own_files(guest.target.uuid)))
            raise
        if tap is not None:
            tap.close()
            guest.host.links += tap.links
        domain = plan.domain
        if plan.ptys:
            domain = live.complete(plan.live(), {live.CHARDEVS.name: await self._ask(monitor, live.CHARDEVS)})
        return await self.write(guest, domain, len(xml))

    async def _attach_note(
        self, guest: Guest, plan: AttachPlan, nodes: Any, owners: Sequence[ownership.Owner], tap: PluggedTap | None
    ) -> dict[str, Any]:
        """Return what is kept until the device is recorded: to have it, or to be rid of it."""
        aliases = [step.plugs for step in plan.steps if step.plugs]
        return {
            **attach_note(plan.alias, aliases, leftovers.top_number(nodes) + 1), "target": plan.disk,
            "owners": [list(owner) for owner in owners], "ptys": [list(pair) for pair in plan.ptys],
            "links": list(tap.links) if tap is not None else [],
            "fds": [str(step.command.arguments["fdname"]) for step in tap.steps()] if tap is not None else [],
            "after": packed(await self._text(guest, plan.domain)),
        }  # fmt: skip

    async def _open_tap(self, guest: Guest, xml: str, device: str, emulator: Any) -> PluggedTap | None:
        """Make the tap device of a card that needs one."""
        from .plan import plan_tap
        from .taps import PluggedTap

        needed = await self._shop.env.pure(plan_tap, xml, device, emulator, size=len(xml))
        if needed is None:
            return None
        tap = PluggedTap(guest.target.uuid, guest.host.links)
        await self._shop.env.intend(guest.target.uuid, attach_note("", (), 0))
        await self._shop.blocking(
            tap.open, *needed, domain=own_files(guest.target.uuid), undo=lambda _: tap.undo()
        )
        return tap

    async def _emulator(self, xml: str) -> Any:
        from .plan import emulator_of

        return await self._emulators.get(await self._shop.env.pure(emulator_of, xml, size=len(xml)))

    async def _owners(self, guest: Guest, files: Sequence[FileUse]) -> list[ownership.Owner]:
        """Return whose files must be given to QEMU's user for a device."""
        identity, options = self._shop.identity, self._shop.options
        mine = [file.path for file in files if not file.read_only and file.kind in ("disk", "nvram")]
        if not mine or not identity.drops or not options.set_ownership:
            return []
        found: list[ownership.Owner] = await self._shop.blocking(
            ownership.plan, mine, identity.uid, domain=guest.target.uuid
        )
        return found

    async def _take_files(self, guest: Guest, owners: Sequence[ownership.Owner]) -> None:
        """Give files to QEMU's user; they are given back when the device goes, or the guest ends."""
        if not owners:
            return
        identity = self._shop.identity
        guest.owners += owners
        try:
            await self._shop.unbroken(self._shop.blocking(
                ownership.take, owners, identity.uid, identity.gid, domain=guest.target.uuid
            ))  # fmt: skip
        except OSError as error:
            raise OperationFailed(
                f"{error.filename} cannot be given to {identity.user}: {error.strerror}",
                remedy="give it yourself and set `set_ownership = false` in the settings' section [qemu]",
            ) from error

    # ---- detach

    async def detach(self, target: Target, xml: str, device: str) -> str:
        """Unplug a device once its guest lets go; see `Hotplug.detach_device`.

        Raises:
            DeadlineExceeded: the guest has not let go yet; it stays in the XML until it does.
            OperationFailed: the guest refuses.
        """
        from .plan import plan_detach

        guest, monitor = self._power.guest(target), self._power.monitor(target)
        removal: Removal = await self._shop.env.pure(plan_detach, xml, device, size=len(xml))
        first = 0
        if removal.tag == "disk":
            first = leftovers.number_of(removal.alias, await self._ask(monitor, leftovers.BLOCKS))
        note = {
            "kind": "detach", "alias": removal.alias, "tag": removal.tag, "first": first, "images": removal.images,
            "files": list(removal.files), "link": removal.link,
        }  # fmt: skip
        after = packed(await self._text(guest, removal.domain))
        await self._shop.env.intend(target.uuid, {**note, "after": after})
        await self._unplug(guest, monitor, note)
        await self.clear_behind(guest, monitor, note)
        return await self.write(guest, removal.domain, len(xml))

    def clear_late(self, guest: Guest, monitor: Monitor, note: Note) -> None:
        """Have what a device leaves behind cleared when it goes and nobody waits for that."""
        alias, watch = note["alias"], watch_of(guest)
        watch.forget(alias)
        guest.leaving[alias] = {name: value for name, value in note.items() if name != "after"}
        watch.when_removed(alias, lambda: self._shop.later(self.clear_behind(guest, monitor, note)))

    async def _unplug(self, guest: Guest, monitor: Monitor, note: Note) -> None:
        alias, watch = note["alias"], watch_of(guest)
        self.clear_late(guest, monitor, note)
        gone = watch.expect(alias)
        try:
            await self._ask_to_go(guest, monitor, alias)
            outcome = await asyncio.wait_for(self._until_gone(monitor, alias, gone), self.unplug_s)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{guest.target.name} was asked to let go of {alias} and has not within {self.unplug_s:g} s: "
                "its removal is pending",
                remedy="It goes when the guest lets go (an event says so), or with the guest",
                device=alias, still_running=True,
            ) from None  # fmt: skip
        finally:
            watch.forget(alias)
        if outcome == REFUSED:
            raise OperationFailed(
                f"{guest.target.name} refuses to let go of {alias}", remedy="End what uses it in the guest, then again",
                device=alias,
            )  # fmt: skip

    async def _ask_to_go(self, guest: Guest, monitor: Monitor, alias: str) -> None:
        try:
            await self._change(monitor, Command("device_del", {"id": alias}))
        except MonitorError as error:
            if PENDING not in error.message:
                watch_of(guest).when_removed(alias, _nothing)
                guest.leaving.pop(alias, None)
                raise

    async def _until_gone(self, monitor: Monitor, alias: str, gone: asyncio.Future[str]) -> str:
        """Wait for the event, and look now and then: QEMU 7.2 sends none for xHCI controllers (measured)."""
        while True:
            done, _ = await asyncio.wait({gone}, timeout=LOOK_S)
            if done:
                return gone.result()
            with suppress(DeadlineExceeded):  # busy with something else: look again later
                devices = await self._ask(monitor, leftovers.DEVICES)
                if not any(item["name"] == alias for item in devices):
                    return REMOVED

    async def clear_behind(self, guest: Guest, monitor: Monitor, note: Note) -> None:
        """Take away what a device that went has left: nodes, backends, files, links."""
        nodes, chardevs, objects = await monitor.execute_all(
            (leftovers.NODES, leftovers.CHARDEVS, leftovers.OBJECTS), kind=CommandKind.QUERY,
            deadline_s=self._shop.env.deadlines.query_s,
        )  # fmt: skip
        alias, first, images = note["alias"], note["first"], note["images"]
        commands = [Command("netdev_del", {"id": f"host{alias}"})] if note["tag"] == "interface" else []
        commands += leftovers.node_commands(first, images, nodes)
        commands += leftovers.object_commands(alias, first, images, chardevs, objects)
        for problem in await self._runner.clear(monitor, commands):
            self._shop.log.warning("after %s of %s: %s", alias, guest.target.name, problem.message)
        await self.give_back(guest, note["files"])
        if note["link"] in guest.host.links:
            guest.host.links.remove(note["link"])
            for failed in await self._shop.blocking(
                remove_links, [note["link"]], domain=own_files(guest.target.uuid)
            ):
                self._shop.log.warning("after %s of %s: %s", alias, guest.target.name, failed)
        guest.leaving.pop(alias, None)

    async def remove_links_but(self, guest: Guest, unwanted: Sequence[str]) -> None:
        """Remove the guest's links that no card of it has: those that were made for one that it did not get."""
        guest.host.links = [link for link in guest.host.links if link not in unwanted]
        mine = own_files(guest.target.uuid)
        strange = set(await self._shop.blocking(links_of, guest.target.uuid, domain=mine)) - set(guest.host.links)
        for failed in await self._shop.blocking(remove_links, sorted(strange), domain=mine):
            self._shop.log.warning("after a card of %s: %s", guest.target.name, failed)

    async def give_back(self, guest: Guest, files: Sequence[str]) -> None:
        """Give files back to whom they belonged before the guest got them."""
        if not guest.owners or not files:
            return
        reals: frozenset[str] = await self._shop.blocking(
            ownership.reals, files, domain=guest.target.uuid
        )
        mine = [owner for owner in guest.owners if owner[0] in reals]
        if mine:
            await self._shop.unbroken(give_back(self._shop, guest.target.uuid, mine))
            guest.owners = [owner for owner in guest.owners if owner not in mine]

    # ---- update

    async def update(self, target: Target, xml: str, device: str) -> str:
        """Change a device; see `Hotplug.update_device`."""
        from .updates import plan_update

        guest, monitor = self._power.guest(target), self._power.monitor(target)
        emulator = await self._emulator(xml)
        nodes, blocks = await monitor.execute_all(
            (leftovers.NODES, leftovers.BLOCKS), kind=CommandKind.QUERY, deadline_s=self._shop.env.deadlines.query_s
        )
        plan: UpdatePlan = await self._shop.env.pure(
            plan_update, xml, device, emulator, str(guest.folder.own), leftovers.top_number(nodes) + 1, blocks,
            size=len(xml),
        )  # fmt: skip
        owners = await self._owners(guest, plan.files)
        await self._shop.env.intend(target.uuid, {
            "kind": "update", "tray": plan.tray, "node": plan.node, "old": plan.first, "images": plan.images,
            "number": leftovers.top_number(nodes) + 1, "left": list(plan.left), "redo": commands(plan.others),
            "undo": commands([step.undo for step in reversed(plan.reversible) if step.undo is not None]),
            "owners": [list(owner) for owner in owners], "after": packed(await self._text(guest, plan.domain)),
        })  # fmt: skip
        await self._take_files(guest, owners)
        await self._run_update(guest, monitor, plan)
        if plan.images:
            await self._runner.clear(monitor, leftovers.node_commands(plan.first, plan.images, nodes))
            await self.give_back(guest, plan.left)
        return await self.write(guest, plan.domain, len(xml))

    async def _run_update(self, guest: Guest, monitor: Monitor, plan: UpdatePlan) -> None:
        """Run the steps of an update, anew when the guest (its firmware looks for a disc) closes the tray meanwhile."""
        for tries_left in reversed(range(TRAY_TRIES)):
            if plan.tray:
                await self._open(guest, monitor, plan.tray)
            try:
                await self._runner.run(guest, monitor, plan.steps)
                return
            except MonitorError as error:
                if not (plan.tray and tries_left and TRAY_CLOSED in error.message):
                    raise

    async def _open(self, guest: Guest, monitor: Monitor, alias: str) -> None:
        """Open the tray of a drive; a guest that has locked it is asked to let go.

        Raises:
            OperationFailed: it keeps it locked.
        """
        watch = watch_of(guest)
        opened = watch.expect_tray(alias)
        try:
            await self._change(monitor, Command("blockdev-open-tray", {"id": alias, "force": False}))
        except MonitorError as error:
            if "locked" not in error.message:
                raise
            try:
                await asyncio.wait_for(opened, TRAY_S)
            except TimeoutError:
                raise OperationFailed(
                    f"{guest.target.name} keeps the drive {alias} locked", remedy="Unmount its medium in the guest",
                    device=alias,
                ) from error  # fmt: skip
        finally:
            watch.forget(alias)

    # ---- shared

    async def run(self, guest: Guest, monitor: Monitor, steps: Sequence[Step]) -> None:
        """Run steps, all or none."""
        await self._runner.run(guest, monitor, steps)

    async def unplug_alias(self, guest: Guest, monitor: Monitor, alias: str) -> None:
        """Unplug what has nothing but a name: a processor.

        Raises:
            As `detach`.
        """
        await self._unplug(guest, monitor, {"alias": alias, "tag": "vcpu", "first": 0, "images": 0, "files": [],
                                            "link": ""})  # fmt: skip
        guest.leaving.pop(alias, None)

    async def _ask(self, monitor: Monitor, command: Command) -> Any:
        return await monitor.execute(
            command.name, command.arguments, kind=CommandKind.QUERY, deadline_s=self._shop.env.deadlines.query_s
        )

    async def _change(self, monitor: Monitor, command: Command) -> None:
        await monitor.execute(
            command.name, command.arguments, kind=CommandKind.CHANGE, deadline_s=self._shop.env.deadlines.change_s
        )

    async def write(self, guest: Guest, domain: Domain, size: int) -> str:
        """Return the XML of a guest whose devices changed, and remember what statistics need of it."""
        guest.profile = Profile.of(domain)
        return await self._text(guest, domain, size)

    async def _text(self, guest: Guest, domain: Domain, size: int = 0) -> str:
        from .plan import write

        number = guest.target.id if guest.target.id is not None else domain.id or 0
        text: str = await self._shop.env.pure(write, domain, number, size=size)
        return text


def attach_note(alias: str, aliases: Sequence[str], number: int) -> dict[str, Any]:
    """Return the note of a device that is to come, as far as it is known at first: its card's host end comes early."""
    return {"kind": "attach", "alias": alias, "aliases": list(aliases), "number": number, "target": "", "owners": [],
            "ptys": [], "links": [], "fds": [], "after": b""}  # fmt: skip


def _nothing() -> None:
    """Do nothing about a device that goes: nobody asked for it."""
