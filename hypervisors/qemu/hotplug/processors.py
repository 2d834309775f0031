"""Virtual processors that come to and leave a running guest.

Which ones there can be, and how each is plugged, QEMU says itself (query-hotpluggable-cpus); those that the
guest was started with have no name and stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....config.errors import InvalidArgument, MonitorError, OperationInvalid, Unsupported
from ...contract import Outcome, Target
from .. import live
from ..guest import Guest
from ..host import tuning
from ..host.groups import LimitError
from ..power import Power
from ..qmp import Command, CommandKind, Monitor
from ..workshop import Workshop
from .mending import packed, unpacked
from .plan import type_of, with_processors
from .recorder import Step

if TYPE_CHECKING:
    from ....config.domain.domain import Domain
    from .hotplug import Hotplugging

SLOTS = Command("query-hotpluggable-cpus")
PERIPHERAL = "/machine/peripheral/"


class Processors:
    """Plugs processors of one connection's guests. Loop's thread."""

    def __init__(self, shop: Workshop, power: Power, plugging: Hotplugging) -> None:
        self._shop = shop
        self._power = power
        self._plugging = plugging

    async def set_vcpus(self, target: Target, xml: str, count: int) -> str:
        """Give a running guest so many processors; see `Vcpus.set_vcpus`.

        Raises:
            InvalidArgument: the machine has no room for so many.
            OperationInvalid: some that would have to go were there from the start.
            DeadlineExceeded: the guest has not let go of one yet; those before it are gone.
        """
        guest, monitor = self._power.guest(target), self._power.monitor(target)
        query_s = self._shop.env.deadlines.query_s
        slots = in_order(await monitor.execute(SLOTS.name, kind=CommandKind.QUERY, deadline_s=query_s))
        there = [number for number, slot in enumerate(slots) if "qom-path" in slot]
        free = [number for number, slot in enumerate(slots) if "qom-path" not in slot]
        if not 1 <= count <= len(slots):
            raise InvalidArgument(
                f"{target.name} cannot have {count} processors while it runs", path="params.count", value=count,
                remedy=f"Give it 1 to {len(slots)}, or raise the maximum in its definition",
                allowed=f"1 to {len(slots)}",
            )  # fmt: skip
        if count < len(there) and await self._shop.env.pure(type_of, xml, size=len(xml)) == "qemu":
            raise Unsupported(
                "an emulated guest keeps its processors: QEMU 7.2 crashes when one comes after another went (measured)",
                remedy="Run the domain with type='kvm', or change its definition (--config)",
            )
        going = _to_go(target.name, there, slots, len(there) - count)
        note = {"kind": "vcpus", "count": count, "before": len(there), "xml": packed(xml)}
        await self._shop.env.intend(target.uuid, note)
        if count > len(there):
            steps = [_plug(number, slots[number]) for number in free[: count - len(there)]]
            await self._plugging.run(guest, monitor, steps)
        for number in going:
            await self._plugging.unplug_alias(guest, monitor, name_of(slots[number]))
        return await self._write(guest, monitor, xml)

    async def mend(self, guest: Guest, monitor: Monitor, note: Mapping[str, Any]) -> Outcome:
        """Settle a change of the number of processors that was broken off: what has begun is done to its end.

        Processors that were to come come; one that the guest has not let go of stays.
        """
        query_s = self._shop.env.deadlines.query_s
        slots = in_order(await monitor.execute(SLOTS.name, kind=CommandKind.QUERY, deadline_s=query_s))
        there = sum("qom-path" in slot for slot in slots)
        if there == note["before"]:
            return Outcome(done=False)
        if there < note["count"] > note["before"]:
            free = [number for number, slot in enumerate(slots) if "qom-path" not in slot]
            with suppress(MonitorError):  # then it has those that came
                steps = [_plug(number, slots[number]) for number in free[: note["count"] - there]]
                await self._plugging.run(guest, monitor, steps)
                there = note["count"]
        return Outcome(done=there == note["count"], xml=await self._write(guest, monitor, unpacked(note["xml"])))

    async def _write(self, guest: Guest, monitor: Monitor, xml: str) -> str:
        query_s = self._shop.env.deadlines.query_s
        known = await monitor.execute(live.CPUS.name, kind=CommandKind.QUERY, deadline_s=query_s)
        guest.threads = live.threads({live.CPUS.name: known})
        slots = in_order(await monitor.execute(SLOTS.name, kind=CommandKind.QUERY, deadline_s=query_s))
        there = [number for number, slot in enumerate(slots) if "qom-path" in slot]
        plugged = [number for number in there if name_of(slots[number])]
        domain = await self._shop.env.pure(with_processors, xml, there, plugged, size=len(xml))
        await self._place(guest, domain)
        return await self._plugging.write(guest, domain, len(xml))

    async def _place(self, guest: Guest, domain: Domain) -> None:
        """Give the processors that came their places on the host; they run already, whatever the host says."""
        shares = tuning.wanted(domain)
        if not shares:
            return
        try:
            await self._shop.blocking(
                tuning.place_vcpus, shares, guest.target.uuid, guest.threads, domain=guest.target.uuid
            )
        except LimitError as error:
            self._shop.log.warning("processors of %s are not where they shall be: %s", guest.target.name, error)


def in_order(slots: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return slots by socket, die, core and thread: QEMU lists them from the last one."""
    names = ("socket-id", "die-id", "core-id", "thread-id")
    return sorted(slots, key=lambda slot: tuple(slot["props"].get(name, 0) for name in names))


def name_of(slot: Mapping[str, Any]) -> str:
    """Return the id of a processor that was plugged; '' for one that was there from the start."""
    path = str(slot.get("qom-path", ""))
    return path.removeprefix(PERIPHERAL) if path.startswith(PERIPHERAL) else ""


def _plug(number: int, slot: Mapping[str, Any]) -> Step:
    name = f"vcpu{number}"
    return Step(command=Command("device_add", {"driver": slot["type"], "id": name, **slot["props"]}),
                undo=Command("device_del", {"id": name}))


def _to_go(domain: str, there: Sequence[int], slots: Sequence[Mapping[str, Any]], count: int) -> list[int]:
    """Return which processors go, the last first.

    Raises:
        OperationInvalid: fewer can go than shall.
    """
    if count <= 0:
        return []
    named = [number for number in reversed(there) if name_of(slots[number])]
    if len(named) < count:
        raise OperationInvalid(
            f"{domain} was started with {len(there) - len(named)} processors, which stay",
            remedy="Change the definition (--config): it takes effect when the domain is started next",
        )
    return named[:count]
