"""Devices by which a guest says that it crashed."""

from __future__ import annotations

from ..xml.convert import words
from ..xml.fields import attr
from .device import Device


class Panic(Device, change="next_boot"):
    """A device by which the guest says that it crashed."""

    model: str | None = attr("model", words("default", "pseries", "isa", "hyperv", "s390", "pvpanic"))
