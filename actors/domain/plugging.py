"""Verbs that change devices: of the running guest, of the definition, or of both, all or nothing.

Both new documents are made and checked first; the live change comes next, since it alone can be refused by the
guest; both documents are stored together, last. What breaks that off is settled by `undertaking.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ...config.errors import MechaneError, OperationInvalid
from ...hypervisors.contract import Capability, Target
from ..router.pending import PendingCall
from . import reaching
from .changing import target_of
from .orders import Order
from .reaching import Record
from .registering import kept_by_hypervisor, register
from .undertaking import commit, run_of, settle, settle_later, undertaken

if TYPE_CHECKING:
    from .actor import DomainActor

Edit = Callable[[str, str], bytes]


class Resize(Protocol):
    """Changes a number in XML, or its maximum."""

    def __call__(self, xml: str, number: int, /, *, maximum: bool) -> bytes: ...


async def attach(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Add a device."""
    from ...config import domain as model

    return await _change(actor, args, model.attach_device, "attach_device", call)


async def detach(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Remove a device."""
    from ...config import domain as model

    return await _change(actor, args, model.detach_device, "detach_device", call)


async def update(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> bytes:
    """Change a device."""
    from ...config import domain as model

    return await _change(actor, args, model.update_device, "update_device", call)


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


async def _change(
    actor: DomainActor, args: dict[str, Any], edit: Edit, verb: str, call: PendingCall | None
) -> bytes:
    live, config = _where(actor, args)
    supervisor, device = actor.supervisor, args["device"]
    changed, reach = "", reaching.record_of(actor)
    if live and config and verb == "attach_device":
        device = _settled(await supervisor.definition(actor.entry), device)
    if config:
        changed = edit(await supervisor.definition(actor.entry), device).decode()
        reach = await reaching.changed(actor, call, changed)
        changed = await _checked(actor, changed)
    if live and verb != "detach_device":
        await reaching.plugged(actor, call, device)
    await _both(actor, verb, Capability.HOTPLUG, device if live else None, changed, reach)
    return actor.cell.packed_record()


async def _checked(actor: DomainActor, changed: str) -> str:
    """Return a changed definition as it is to be stored; one that the hypervisor keeps is checked when it gets it."""
    if kept_by_hypervisor(actor):
        return changed
    snapshot = actor.cell.snapshot
    text: str | None = await actor.supervisor.driver.define(Target(uuid=snapshot.uuid, name=snapshot.name), changed)
    return text or changed


async def _both(
    actor: DomainActor, verb: str, capability: Capability, wanted: str | int | None, changed: str, reach: Record | None
) -> None:
    """Change the running guest, where something is wanted of it, and the definition: both or neither."""
    if wanted is None:
        await register(actor, changed)
        await commit(actor, config=changed, reach=reach)
        return
    supervisor = actor.supervisor
    supervisor.need(capability, f"domain.{verb}")
    run = await run_of(supervisor.services, actor.entry)
    if run is None:
        raise OperationInvalid(f"domain {actor.cell.snapshot.name} does not run", remedy="start it first")
    now = run.live_xml or run.xml or await supervisor.definition(actor.entry)
    target = target_of(actor)
    before = await supervisor.definition(actor.entry) if changed and kept_by_hypervisor(actor) else ""
    async with undertaken(actor, verb, config=changed, before=before, reach=reach):
        live_xml: str = await getattr(supervisor.driver, verb)(target, now, wanted)
        if changed:
            await register(actor, changed)
        handle = supervisor.driver.changed_handle(target, run.handle)
        await commit(actor, live_xml=live_xml, config=changed, handle=handle, reach=reach)


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
    supervisor = actor.supervisor
    changed = ""
    if config:
        edited = edit(await supervisor.definition(actor.entry), number, maximum=maximum)
        changed = await _checked(actor, edited.decode())
    await _both(actor, verb, capability, number if live else None, changed, reaching.record_of(actor))
    return actor.cell.packed_record()


def _settled(xml: str, device: str) -> str:
    """Return the device with what is made up at random, so that both documents get the same."""
    from ...config import domain as model

    return model.settle_device(xml, device)


async def unplugged(actor: DomainActor, args: dict[str, Any], call: PendingCall | None) -> None:
    """Take a device out of the live XML that went when nobody waited for it any more."""
    from ...config import domain as model

    if actor.entry.work is not None:
        try:
            await settle(actor)
        except MechaneError:
            settle_later(actor, Order(verb="unplugged", args=args))
            return
    alias = args["alias"]
    run = await run_of(actor.supervisor.services, actor.entry)
    if run is None or run.incarnation != args["incarnation"] or f"<alias name='{alias}'/>" not in run.live_xml:
        return
    left = model.forget_device(run.live_xml, alias)
    if left is None:
        return
    handle = actor.supervisor.driver.changed_handle(target_of(actor), run.handle)
    await commit(actor, live_xml=left.decode(), handle=handle)
