"""Watchdogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import as_keys, whole
from .plan.machine import Q35

if TYPE_CHECKING:
    from .context import Build

ACTIONS = {"dump": "pause"}
"""What QEMU does so that the driver can do the rest: it pauses, the driver dumps the guest's memory."""


def add_watchdogs(build: Build) -> None:
    """Add all watchdogs, and what happens when one barks."""
    actions = set()
    for item in build.domain.devices.watchdogs:
        if item.model not in ("i6300esb", "ib700", "itco"):
            raise build.refuse(item, "@model", f"x86 machines have no watchdog {item.model}")
        actions.add(item.action or "reset")
        if item.model == "itco":
            if build.chipset != Q35:
                raise build.refuse(item, "@model", "only machine type q35 has it")
            # part of the chipset, which only has to be let
            build.option("-global", as_keys("", {"ICH9-LPC.noreboot": False}))
            continue
        properties: dict[str, Any] = {"driver": item.model, "id": build.alias(item)}
        if item.model == "i6300esb":
            properties |= build.pci(item)
        build.device(item, properties, below="@model")
    if len(actions) > 1:
        raise build.refuse(build.domain.devices.watchdogs[1], "@action", "all watchdogs must have one action")
    for action in actions:
        build.option("-watchdog-action", whole(ACTIONS.get(action, action)))
