"""Work out what a definition leaves open, so that it stays the same from one start to the next."""

from __future__ import annotations

from .....config.domain.completion import complete
from .....config.domain.domain import Domain
from .....config.domain.filling import seeded
from ..records import Emulator
from .aliases import assign_aliases
from .controllers import (
    add_default_controllers,
    add_needed_controllers,
    check_controllers,
    fill_models,
    sort_controllers,
)
from .defaults import fill_defaults
from .drives import place_disks, place_scsi_hostdevs
from .machine import resolve_machine
from .modules import place_modules
from .pci import PciPlanner
from .ports import SerialPlanner, choose_ports
from .usb import UsbPlanner


def plan_devices(domain: Domain, capabilities: Emulator, *, live: bool = False, running: bool = False) -> Domain:
    """Return a copy of a definition with all filled in that libvirt works out by itself.

    Pure: the same definition and emulator give the same result, and a result plans to itself.

    Args:
        domain: what the user wrote.
        capabilities: the probed emulator.
        live: name the devices too (aliases are those of a running guest).
        running: the guest runs already, so its PCI buses are those that it has.

    Raises:
        ConfigUnsupported: something in it cannot be had; `path` names it.
    """
    planned = complete(domain, random=seeded(f"{domain.uuid}{domain.name}".encode()))
    return plan_completed(planned, capabilities, live=live, running=running)


def plan_completed(planned: Domain, capabilities: Emulator, *, live: bool = False, running: bool = False) -> Domain:
    """As `plan_devices`, of a definition that `complete` made and that nobody else has: it is changed and returned.

    Raises:
        ConfigUnsupported: something in it cannot be had; `path` names it.
    """
    resolve_machine(planned, capabilities)
    check_controllers(planned)
    sort_controllers(planned)
    fill_defaults(planned, capabilities)
    add_default_controllers(planned, capabilities)
    place_disks(planned)
    place_scsi_hostdevs(planned)
    choose_ports(planned)
    add_needed_controllers(planned)
    fill_models(planned, capabilities)
    SerialPlanner(planned).plan()
    pci = PciPlanner(planned, capabilities)
    if running:
        pci.plan_free()
    else:
        pci.plan()
    UsbPlanner(planned).plan()
    place_modules(planned)
    sort_controllers(planned)  # those that were added stand where a reader of the result puts them
    if live:
        assign_aliases(planned)
    return planned
