"""Devices by which a guest says that it crashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.domain.address import IsaAddress

if TYPE_CHECKING:
    from .context import Build

PORT = 0x505
"""The I/O port of pvpanic (docs/specs/pvpanic.txt of QEMU)."""


def add_panics(build: Build) -> None:
    """Add all panic devices; Hyper-V's is a feature of the processor (cpu.py)."""
    seen = set()
    for item in build.domain.devices.panics:
        model = item.model or "isa"
        if model in seen:
            raise build.refuse(item, "@model", f"there can be only one panic device of model {model}")
        seen.add(model)
        if model == "isa":
            port = PORT
            if isinstance(item.address, IsaAddress) and item.address.iobase is not None:
                port = item.address.iobase
            build.device(item, {"driver": "pvpanic", "ioport": port})
        elif model == "pvpanic":
            build.device(item, {"driver": "pvpanic-pci", **build.pci(item)})
        elif model == "hyperv":
            if item.address is not None:
                raise build.refuse(item, "address", "this panic device has no address")
        else:
            raise build.refuse(item, "@model", f"x86 machines have no panic device of model {model}")
