"""Definitions that the hypervisor itself keeps (capability native_definitions).

They are changed by verbs of the domain's actor alone: so the clean-up after a transient domain
never takes away what was just defined under the same UUID.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...config.errors import MechaneError, NotFound
from ...hypervisors.contract import Capability
from .changing import target_of

if TYPE_CHECKING:
    from .actor import DomainActor


def kept_by_hypervisor(actor: DomainActor) -> bool:
    """Tell whether the driver keeps definitions."""
    return Capability.NATIVE_DEFINITIONS in actor.supervisor.driver.capabilities


async def register(actor: DomainActor, xml: str, *, name: str = "", transient: bool = False) -> None:
    """Have the hypervisor keep a definition; a domain that was made for it alone goes when it is refused.

    Args:
        actor: whose domain it is.
        xml: the definition.
        name: the domain's name, where it is another one than now.
        transient: whether it is only for one run.

    Raises:
        MechaneError: it was refused.
    """
    if not kept_by_hypervisor(actor) or (transient and actor.supervisor.driver.starts_undefined):
        return  # the connection had it checked already, or the start does
    try:
        target = target_of(actor)
        await actor.supervisor.driver.define(replace(target, name=name or target.name), xml)
    except MechaneError:
        if not actor.entry.visible:
            actor.supervisor.remove(actor.entry)
        raise


async def unregister(actor: DomainActor) -> None:
    """Have the hypervisor forget a transient domain that ended."""
    if kept_by_hypervisor(actor):
        try:
            await actor.supervisor.driver.undefine(target_of(actor))
        except MechaneError as error:
            actor.supervisor.log.warning("%s stays registered: %s", actor.cell.snapshot.name, error)


async def registered(actor: DomainActor) -> bool:
    """Ask the hypervisor whether it has a definition of the domain now."""
    try:
        await actor.supervisor.driver.get_definition(target_of(actor))
    except NotFound:
        return False
    return True
