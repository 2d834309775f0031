"""Verbs that change devices: of the running guest, of the definition, or of both, all or nothing.

Both new documents are made and checked first; the live change comes next, since it alone
can be refused by the guest; what is stored comes last and undoes nothing that happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import OperationInvalid
from ...hypervisors.contract import Capability, Target
from ..cells import facts
from ..cells.snapshot import Size
from ..router.pending import PendingCall
from ..stores.aio import apply, fetch
from ..stores.interface import Put
from .changing import target_of
from .defining import save, size_of, stored
from .stored import RUN, StoredRun

if TYPE_CHECKING:
    from .actor import DomainActor

Edit = Callable[[str, str], bytes]


class Resize(Protocol):
    """Changes a number in XML, or its maximum."""

    def __call__(self, xml: str, number: int, /, *, maximum: bool) -> bytes: ...


async def attach(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Add a device."""
    from ...config import domain as model

    return await _change(actor, args, model.attach_device, "attach_device")


async def detach(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Remove a device."""
    from ...config import domain as model

    return await _change(actor, args, model.detach_device, "detach_device")


async def update(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Change a device."""
    from ...config import domain as model

    return await _change(actor, args, model.update_device, "update_device")


def _where(actor: DomainActor, args: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the live guest and the definition are meant."""
    snapshot = actor.cell.snapshot
    live, config = bool(args["live"]), bool(args["config"])
    if not live and not config:
        live, config = snapshot.active, not snapshot.active
    if live and not snapshot.active:
        raise OperationInvalid(f"domain {snapshot.name} is not running", remedy="use config", uuid=snapshot.uuid)
    if config and not snapshot.persistent:
        raise OperationInvalid(f"domain {snapshot.name} is transient", remedy="use live", uuid=snapshot.uuid)
    return live, config


async def _change(actor: DomainActor, args: dict[str, Any], edit: Edit, verb: str) -> bytes:
    live, config = _where(actor, args)
    supervisor, snapshot, device = actor.supervisor, actor.cell.snapshot, args["device"]
    changed = ""
    if live and config and verb == "attach_device":
        device = _settled(await supervisor.definition(actor.entry), device)
    if config:
        changed = edit(await supervisor.definition(actor.entry), device).decode()
        changed = await supervisor.driver.define(Target(uuid=snapshot.uuid, name=snapshot.name), changed) or changed
    if live:
        supervisor.need(Capability.HOTPLUG, f"domain.{verb}")
        await _change_live(actor, device, verb)
    if changed:
        await _store(actor, changed)
    return actor.cell.packed_record()


async def _store(actor: DomainActor, changed: str) -> None:
    """Make a changed definition durable, with the size that it describes."""
    size = described(changed)
    await save(actor, replace(stored(actor), size=size), changed)
    actor.cell.put(facts.Resized(defined=size))


def described(xml: str) -> Size:
    """Return the size that a definition describes."""
    from ...config import domain as model

    return size_of(dict(model.summary_of(model.parse(xml)).to_map()))


async def set_vcpus(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Change how many processors there are."""
    from ...config import domain as model

    return await _resize(actor, args, "set_vcpus", args["count"], model.set_vcpus, Capability.VCPUS)


async def set_memory(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Change how much memory there is."""
    from ...config import domain as model

    return await _resize(actor, args, "set_memory", args["memory_kib"], model.set_memory, Capability.MEMORY)


async def _resize(
    actor: DomainActor, args: dict[str, Any], verb: str, number: int, edit: Resize, capability: Capability
) -> bytes:
    """Change a number of the guest, of its definition, or of both; a maximum of the definition alone."""
    maximum = args["maximum"]
    if maximum and args["live"]:
        raise OperationInvalid("a running guest's maximum stays as it is", remedy="use config alone")
    live, config = _where(actor, {**args, "config": True} if maximum else args)
    supervisor, snapshot = actor.supervisor, actor.cell.snapshot
    changed = ""
    if config:
        changed = edit(await supervisor.definition(actor.entry), number, maximum=maximum).decode()
        changed = await supervisor.driver.define(Target(uuid=snapshot.uuid, name=snapshot.name), changed) or changed
    if live:
        supervisor.need(capability, f"domain.{verb}")
        await _change_live(actor, number, verb)
    if changed:
        await _store(actor, changed)
    return actor.cell.packed_record()


def _settled(xml: str, device: str) -> str:
    """Return the device with what is made up at random, so that both documents get the same."""
    from ...config import domain as model

    return model.settle_device(xml, device)


async def _change_live(actor: DomainActor, device: str | int, verb: str) -> None:
    services, uuid = actor.supervisor.services, actor.entry.uuid
    found = await fetch(services.runtime, RUN + uuid)
    if found is None:
        raise OperationInvalid(f"domain {actor.cell.snapshot.name} does not run", remedy="start it first")
    run = StoredRun.unpack(found.value)
    change = getattr(actor.supervisor.driver, verb)
    now = run.live_xml or run.xml or await actor.supervisor.definition(actor.entry)
    target = target_of(actor)
    live_xml: str = await change(target, now, device)
    handle = actor.supervisor.driver.changed_handle(target, run.handle)
    kept = run.xml
    if not actor.cell.snapshot.persistent:
        kept = live_xml
    size = described(live_xml)
    changed = replace(run, live_xml=live_xml, xml=kept, handle=handle, size=asdict(size))
    with actor.unbroken():
        await apply(services.runtime, [Put(RUN + uuid, changed.pack())])
    actor.cell.put(facts.Resized(live=size))


async def unplugged(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Take a device out of the live XML that went when nobody waited for it any more."""
    from ...config import domain as model

    services, uuid, alias = actor.supervisor.services, actor.entry.uuid, args["alias"]
    found = await fetch(services.runtime, RUN + uuid)
    run = StoredRun.unpack(found.value) if found is not None else None
    if run is None or run.incarnation != args["incarnation"] or f"<alias name='{alias}'/>" not in run.live_xml:
        return
    left = model.forget_device(run.live_xml, alias)
    if left is None:
        return
    kept = left.decode() if not actor.cell.snapshot.persistent else run.xml
    await apply(services.runtime, [Put(RUN + uuid, replace(run, live_xml=left.decode(), xml=kept).pack())])
