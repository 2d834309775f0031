"""The balloon: memory that the guest gives back."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import ON_OFF, UINT32, words
from ..xml.fields import attr
from .device import Device, VirtioDriver


class BalloonStats(Element, change="live"):
    """How often the guest's own memory statistics are fetched, in seconds."""

    period: int | None = attr("period", UINT32)


class Memballoon(Device, change="next_boot"):
    """A balloon device."""

    model: str = attr(
        "model",
        words("virtio", "virtio-transitional", "virtio-non-transitional", "xen", "none"),
        default="",
        required=True,
    )
    autodeflate: bool | None = attr("autodeflate", ON_OFF)
    free_page_reporting: bool | None = attr("freePageReporting", ON_OFF)
    stats: BalloonStats | None = optional("stats", BalloonStats, change="live")
    driver: VirtioDriver = child("driver", VirtioDriver)
