"""Settle changes of devices that were broken off: the note says what was meant, QEMU what came of it.

- A device that QEMU has was plugged: what is left of the change is done, and it goes into the XML. To take it back
  would need the guest, which may never let go. One that QEMU has not is taken back: nodes, backends, files and links.
- A device that was to go and is gone was unplugged; one that is still there stays, until the guest lets go.
- A changed device gets its old settings back, unless its drive holds the new medium already.

All of it may be done again and again. Loop's thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....config.errors import MonitorError
from ...contract import Outcome, Target
from .. import live
from ..cleanup import give_back
from ..guest import Guest
from ..host.taps import links_of, remove_links
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop, own_files
from . import leftovers
from .runner import Runner

if TYPE_CHECKING:
    from .hotplug import Hotplugging

Note = Mapping[str, Any]
MOST_IMAGES = 64
"""More block nodes than one device ever brings; names that are not there are not asked for."""


def packed(text: str) -> bytes:
    """Return a document as a note holds it."""
    return zlib.compress(text.encode(), 1)


def unpacked(data: bytes) -> str:
    """Return the document of a note."""
    return zlib.decompress(data).decode()


def commands(found: Sequence[Command]) -> list[list[Any]]:
    """Return commands as a note holds them; none with a descriptor."""
    return [[command.name, dict(command.arguments)] for command in found]


class Mending:
    """Settles changes of devices of one connection's guests."""

    def __init__(self, shop: Workshop, runner: Runner, plugging: Hotplugging) -> None:
        self._shop = shop
        self._runner = runner
        self._plugging = plugging

    async def attach(self, guest: Guest, monitor: Monitor, note: Note) -> Outcome:
        """Settle a device that was being plugged in."""
        self._own(guest, note)
        there = await self.names(monitor)
        missing = [alias for alias in note["aliases"] if alias not in there]
        if not note["alias"] or note["alias"] in missing:
            await self._clear(guest, monitor, note, [alias for alias in (note["alias"], *missing) if alias])
            await self._plugging.give_back(guest, [path for path, _, _ in note["owners"]])
            await self._plugging.remove_links_but(guest, note["links"])
            if not note["alias"] or len(missing) == len(note["aliases"]):
                return Outcome(done=False)
        text = unpacked(note["after"])
        domain = await self._shop.env.pure(_without, text, tuple(missing), size=len(text))
        if note["ptys"] and not missing:
            known = await self._ask(monitor, live.CHARDEVS)
            domain = await self._shop.env.pure(_with_ptys, domain, note["ptys"], known, size=len(text))
        xml = await self._plugging.write(guest, domain, len(text))
        return Outcome(done=not missing, xml=xml)

    def _own(self, guest: Guest, note: Note) -> None:
        """Remember what a device brought along, so that it goes with it or with the guest."""
        known = {owner[0] for owner in guest.owners}
        guest.owners += [(path, uid, gid) for path, uid, gid in note["owners"] if path not in known]
        guest.host.links += [link for link in note.get("links", ()) if link not in guest.host.links]

    async def _clear(self, guest: Guest, monitor: Monitor, note: Note, aliases: Sequence[str]) -> None:
        nodes, chardevs, objects = await monitor.execute_all(
            (leftovers.NODES, leftovers.CHARDEVS, leftovers.OBJECTS), kind=CommandKind.QUERY,
            deadline_s=self._shop.env.deadlines.query_s,
        )  # fmt: skip
        first = note["number"]
        found = leftovers.node_commands(first, MOST_IMAGES, nodes, note["target"])
        for alias in aliases:
            found.append(Command("netdev_del", {"id": f"host{alias}"}))
            found += leftovers.object_commands(alias, first, MOST_IMAGES, chardevs, objects)
        found += [Command("closefd", {"fdname": name}) for name in note["fds"]]
        for problem in await self._runner.clear(monitor, found):
            self._shop.log.warning("after %s of %s: %s", note["alias"], guest.target.name, problem.message)

    async def detach(self, guest: Guest, monitor: Monitor, note: Note) -> Outcome:
        """Settle a device that was asked to go."""
        if note["alias"] in await self.names(monitor):
            self._plugging.clear_late(guest, monitor, note)
            return Outcome(done=False)
        await self._plugging.clear_behind(guest, monitor, note)
        text = unpacked(note["after"])
        domain = await self._shop.env.pure(_without, text, (), size=len(text))
        return Outcome(done=True, xml=await self._plugging.write(guest, domain, len(text)))

    async def update(self, guest: Guest, monitor: Monitor, note: Note) -> Outcome:
        """Settle a change of a device."""
        forward = False
        if note["tray"]:
            forward = await self._medium(guest, monitor, note)
        for name, arguments in note["redo" if forward else "undo"]:
            await self._tolerant(guest, monitor, Command(name, arguments))
        await self._nodes(monitor, note, forward=forward)
        gone = note["left"] if forward else [path for path, _, _ in note["owners"]]
        self._own(guest, note)
        await self._plugging.give_back(guest, gone)
        if not forward:
            return Outcome(done=False)
        text = unpacked(note["after"])
        domain = await self._shop.env.pure(_without, text, (), size=len(text))
        return Outcome(done=True, xml=await self._plugging.write(guest, domain, len(text)))

    async def _medium(self, guest: Guest, monitor: Monitor, note: Note) -> bool:
        """Put the old medium back, unless the new one is in; returns whether it is."""
        now = leftovers.number_of(note["tray"], await self._ask(monitor, leftovers.BLOCKS))
        drive, new = {"id": note["tray"]}, bool(note["node"])
        if (new and now >= note["number"]) or (not new and not now):
            if new:
                await self._tolerant(guest, monitor, Command("blockdev-close-tray", drive))
            return True
        if note["old"]:
            if not now:
                await self._tolerant(guest, monitor, Command("blockdev-open-tray", {**drive, "force": True}))
                back = {**drive, "node-name": f"libvirt-{note['old']}-format"}
                await self._tolerant(guest, monitor, Command("blockdev-insert-medium", back))
            await self._tolerant(guest, monitor, Command("blockdev-close-tray", drive))
        return False

    async def _nodes(self, monitor: Monitor, note: Note, *, forward: bool) -> None:
        nodes = await self._ask(monitor, leftovers.NODES)
        first, count = (note["old"], note["images"]) if forward else (note["number"], MOST_IMAGES)
        await self._runner.clear(monitor, leftovers.node_commands(first, count, nodes))

    async def names(self, monitor: Monitor) -> set[str]:
        """Return the names of the devices that QEMU has."""
        return {str(item["name"]) for item in await self._ask(monitor, leftovers.DEVICES)}

    async def _tolerant(self, guest: Guest, monitor: Monitor, command: Command) -> None:
        try:
            await monitor.execute(
                command.name, command.arguments, kind=CommandKind.CHANGE,
                deadline_s=self._shop.env.deadlines.change_s,
            )  # fmt: skip
        except MonitorError as error:
            self._shop.log.warning("while a change of %s is settled: %s", guest.target.name, error.message)

    async def _ask(self, monitor: Monitor, command: Command) -> Any:
        return await monitor.execute(
            command.name, command.arguments, kind=CommandKind.QUERY, deadline_s=self._shop.env.deadlines.query_s
        )

    # ---- what guests are still letting go of

    async def look_after(self, guest: Guest, monitor: Monitor) -> None:
        """Find out which devices an adopted guest has let go of meanwhile, and wait for the others."""
        there = await self.names(monitor)
        for alias, note in list(guest.leaving.items()):
            self._plugging.clear_late(guest, monitor, note)
            if alias not in there:
                guest.on_event("DEVICE_DELETED", {"device": alias})

    async def give_back_all(self, target: Target, note: Note) -> None:
        """Give back what was taken for a guest that has ended."""
        owners = [(path, uid, gid) for path, uid, gid in note.get("owners", ())]
        await give_back(self._shop, target.uuid, owners)
        problems: list[str] = []
        if note.get("kind") == "attach":
            problems += await self._shop.blocking(
                lambda: remove_links(links_of(target.uuid)), domain=own_files(target.uuid)
            )
        for problem in problems:
            self._shop.log.warning("after a device of %s: %s", target.name, problem)


def _without(text: str, aliases: Sequence[str]) -> Any:
    from ....config.domain.device_edit import forget_device
    from ....config.domain.document import parse

    for alias in aliases:
        text = (forget_device(text, alias) or text.encode()).decode()
    return parse(text)


def _with_ptys(domain: Any, ptys: Sequence[Sequence[str]], known: Any) -> Any:
    from ..argv.records import LiveDevices

    found = LiveDevices(domain=domain, ptys=tuple((alias, name) for alias, name in ptys))
    return live.complete(found, {live.CHARDEVS.name: known})
