"""Watchdogs: what happens when the guest no longer answers one."""

from __future__ import annotations

from ..xml.convert import words
from ..xml.fields import attr
from .device import Device
from .filling import Filling

ACTIONS = ("reset", "shutdown", "poweroff", "pause", "dump", "none", "inject-nmi")


class Watchdog(Device, change="re-create"):
    """A watchdog."""

    model: str = attr("model", words("i6300esb", "ib700", "diag288", "itco"), default="", required=True)
    action: str | None = attr("action", words(*ACTIONS), change="live")

    def fill(self, filling: Filling) -> None:
        """A watchdog resets the guest unless told otherwise."""
        self.action = self.action or "reset"
