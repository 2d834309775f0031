"""Keyboards, mice, tablets."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, words
from ..xml.extra import Problem
from ..xml.fields import attr
from .device import Device, VirtioDriver
from .filling import Filling
from .words import VIRTIO_MODEL


class InputSource(Element, change="re-create"):
    """The host's device that is handed on."""

    evdev: str | None = attr("evdev")
    dev: str | None = attr("dev")
    grab: str | None = attr("grab", words("all"))
    grab_toggle: str | None = attr(
        "grabToggle",
        words("ctrl-ctrl", "alt-alt", "shift-shift", "meta-meta", "scrolllock", "ctrl-scrolllock"),
    )
    repeat: bool | None = attr("repeat", ON_OFF)


class Input(Device, change="re-create"):
    """An input device."""

    type: str = attr("type", words("mouse", "tablet", "keyboard", "passthrough", "evdev"), default="", required=True)
    bus: str | None = attr("bus", words("ps2", "usb", "xen", "parallels", "virtio", "none"))
    model: str | None = attr("model", VIRTIO_MODEL)
    driver: VirtioDriver = child("driver", VirtioDriver)
    source: InputSource | None = optional("source", InputSource)

    def fill(self, filling: Filling) -> None:
        """Keyboard and mouse of a PC are PS/2, others USB."""
        if self.bus is None and self.type in ("mouse", "keyboard", "tablet"):
            pc = filling.arch in ("", "x86_64", "i686") and self.type != "tablet"
            self.bus = "ps2" if pc else "usb"
        elif self.bus is None and self.type == "passthrough":
            self.bus = "virtio"

    def problems(self) -> Iterator[Problem]:
        """Check bus and source against the type."""
        if self.model is not None and self.bus != "virtio":
            yield Problem("@model", self.model, "only input devices on bus virtio have a model")
        if self.bus == "ps2" and self.type not in ("mouse", "keyboard"):
            yield Problem("@bus", self.bus, f"no bus for a {self.type}", ("usb", "virtio"))
        name = {"evdev": "dev", "passthrough": "evdev"}.get(self.type)
        if name and (self.source is None or not getattr(self.source, name)):
            yield Problem(f"source/@{name}", None, f"an input device of type {self.type} needs it")
