"""Slots of memory modules."""

from __future__ import annotations

from .....config.domain.address import DimmAddress
from .....config.domain.domain import Domain
from ..refusal import refuse

PLUGGED = ("dimm", "nvdimm", "sgx-epc")


def place_modules(domain: Domain) -> None:
    """Give each memory module a slot.

    Raises:
        ConfigUnsupported: more modules than slots, or one slot twice.
    """
    modules = [item for item in domain.devices.memories if item.model in ("dimm", "nvdimm")]
    slots = domain.max_memory.slots if domain.max_memory is not None else None
    taken: set[int] = set()
    for item in modules:
        if isinstance(item.address, DimmAddress) and item.address.slot is not None:
            if item.address.slot in taken:
                raise refuse(domain, item, "address/@slot", "another module has this slot")
            taken.add(item.address.slot)
    for item in modules:
        if item.address is None or (isinstance(item.address, DimmAddress) and item.address.slot is None):
            slot = next(number for number in range(len(modules) + 1) if number not in taken)
            taken.add(slot)
            if isinstance(item.address, DimmAddress):
                item.address.slot = slot
            else:
                item.address = DimmAddress(slot=slot)
        if slots is not None and isinstance(item.address, DimmAddress) and (item.address.slot or 0) >= slots:
            raise refuse(domain, item, "", f"the guest has only {slots} slots for memory modules",
                         remedy="Raise the slots of <maxMemory>")
