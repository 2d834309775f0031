"""Keyboards, mice, tablets."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, words
from ..xml.fields import attr
from .device import Device, VirtioDriver
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

    type: str = attr(
        "type", words("mouse", "tablet", "keyboard", "passthrough", "evdev"), default="", required=True
    )
    bus: str | None = attr("bus", words("default", "ps2", "usb", "xen", "parallels", "virtio", "none"))
    model: str | None = attr("model", VIRTIO_MODEL)
    driver: VirtioDriver = child("driver", VirtioDriver)
    source: InputSource | None = optional("source", InputSource)
