"""The Hotplug protocol for QEMU: attach, detach and update devices of running guests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....config.errors import DeadlineExceeded, MonitorError, OperationFailed
from ...contract import Target
from .. import live, ownership
from ..emulators import Emulators
from ..guest import Guest
from ..host.taps import remove_links
from ..power import Power
from ..profile import Profile
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop
from . import leftovers
from .runner import Runner
from .watch import REFUSED, REMOVED

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
                plan_attach, xml, device, emulator, str(guest.folder.path), leftovers.top_number(nodes) + 1,
                tap.fds if tap is not None else None, tap.names if tap is not None else None, size=len(xml),
            )  # fmt: skip
            await self._take_files(guest, plan.files)
            await self._runner.run(guest, monitor, [*(tap.steps() if tap is not None else ()), *plan.steps])
        except BaseException:
            if tap is not None:
                await asyncio.shield(self._shop.blocking(tap.undo))
            raise
        if tap is not None:
            tap.close()
            guest.host.links += tap.links
        domain = plan.domain
        if plan.ptys:
            domain = live.complete(plan.live(), {live.CHARDEVS.name: await self._ask(monitor, live.CHARDEVS)})
        return await self.write(guest, domain, len(xml))

    async def _open_tap(self, guest: Guest, xml: str, device: str, emulator: Any) -> PluggedTap | None:
        """Make the tap device of a card that needs one."""
        from .plan import plan_tap
        from .taps import PluggedTap

        needed = await self._shop.env.pure(plan_tap, xml, device, emulator, size=len(xml))
        if needed is None:
            return None
        tap = PluggedTap(guest.target.uuid, guest.host.links)
        await self._shop.blocking(tap.open, *needed, domain=guest.target.uuid)
        return tap

    async def _emulator(self, xml: str) -> Any:
        from .plan import emulator_of

        return await self._emulators.get(await self._shop.env.pure(emulator_of, xml, size=len(xml)))

    async def _take_files(self, guest: Guest, files: Sequence[FileUse]) -> None:
        """Give a disk's file to QEMU's user; it is given back when the guest ends."""
        identity, options = self._shop.identity, self._shop.options
        if not files or not identity.drops or not options.set_ownership:
            return
        mine = [file.path for file in files if not file.read_only and file.kind in ("disk", "nvram")]

        def take() -> list[ownership.Owner]:
            owners = ownership.plan(mine, identity.uid)
            ownership.take(owners, identity.uid, identity.gid)
            return owners

        try:
            guest.owners += await self._shop.blocking(take)
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
        await self._unplug(guest, monitor, removal, first)
        await self._clear(guest, monitor, removal, first)
        return await self.write(guest, removal.domain, len(xml))

    async def _unplug(self, guest: Guest, monitor: Monitor, removal: Removal, first: int) -> None:
        alias, watch = removal.alias, self._runner.watch(guest)
        gone = watch.expect(alias)
        watch.when_removed(alias, lambda: self._went_late(guest, monitor, removal, first, gone))
        try:
            await self._change(monitor, Command("device_del", {"id": alias}))
        except MonitorError as error:
            if PENDING not in error.message:
                watch.forget(alias)
                watch.when_removed(alias, _nothing)
                raise
        try:
            outcome = await asyncio.wait_for(self._until_gone(monitor, alias, gone), self.unplug_s)
        except asyncio.CancelledError:
            watch.forget(alias)
            raise
        except TimeoutError:
            watch.forget(alias)
            raise DeadlineExceeded(
                f"{guest.target.name} was asked to let go of {alias} and has not within {self.unplug_s:g} s: "
                "its removal is pending",
                remedy="It goes when the guest lets go (an event says so), or with the guest",
                device=alias, still_running=True,
            ) from None  # fmt: skip
        if outcome == REFUSED:
            raise OperationFailed(
                f"{guest.target.name} refuses to let go of {alias}", remedy="End what uses it in the guest, then again",
                device=alias,
            )  # fmt: skip

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

    def _went_late(
        self, guest: Guest, monitor: Monitor, removal: Removal, first: int, gone: asyncio.Future[str]
    ) -> None:
        """Clear up behind a device that went after its detach had given up waiting."""
        if not gone.done():
            self._shop.later(self._clear(guest, monitor, removal, first))

    async def _clear(self, guest: Guest, monitor: Monitor, removal: Removal, first: int) -> None:
        nodes, chardevs, objects = await monitor.execute_all(
            (leftovers.NODES, leftovers.CHARDEVS, leftovers.OBJECTS), kind=CommandKind.QUERY,
            deadline_s=self._shop.env.deadlines.query_s,
        )  # fmt: skip
        alias = removal.alias
        commands = [Command("netdev_del", {"id": f"host{alias}"})] if removal.tag == "interface" else []
        commands += leftovers.node_commands(first, removal.images, nodes)
        commands += leftovers.object_commands(alias, first, removal.images, chardevs, objects)
        for problem in await self._runner.clear(monitor, commands):
            self._shop.log.warning("after %s of %s: %s", alias, guest.target.name, problem.message)
        await self._give_back(guest, removal.files)
        if removal.link in guest.host.links:
            guest.host.links.remove(removal.link)
            for failed in await self._shop.blocking(remove_links, [removal.link]):
                self._shop.log.warning("after %s of %s: %s", alias, guest.target.name, failed)

    async def _give_back(self, guest: Guest, files: Sequence[str]) -> None:
        mine = [owner for owner in guest.owners if owner[0] in files]
        if mine:
            guest.owners = [owner for owner in guest.owners if owner not in mine]
            for problem in await self._shop.blocking(ownership.restore, mine, self._shop.identity.uid):
                self._shop.log.warning("after a disk of %s: %s", guest.target.name, problem)

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
            plan_update, xml, device, emulator, str(guest.folder.path), leftovers.top_number(nodes) + 1, blocks,
            size=len(xml),
        )  # fmt: skip
        await self._take_files(guest, plan.files)
        await self._run_update(guest, monitor, plan)
        if plan.images:
            await self._runner.clear(monitor, leftovers.node_commands(plan.first, plan.images, nodes))
            await self._give_back(guest, plan.left)
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
        watch = self._runner.watch(guest)
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
        from ....config.domain.domain import Domain
        from .plan import Removal

        await self._unplug(guest, monitor, Removal(domain=Domain(), alias=alias, tag="vcpu"), 0)

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
        from .plan import write

        guest.profile = Profile.of(domain)
        number = guest.target.id if guest.target.id is not None else domain.id or 0
        text: str = await self._shop.env.pure(write, domain, number, size=size)
        return text


def _nothing() -> None:
    """Do nothing about a device that goes: nobody asked for it."""
