"""Graphics cards."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import UINT32, YES_NO, words
from ..xml.fields import attr
from .device import Device, VirtioDriver
from .filling import Filling

TYPES = (
    "default", "vga", "cirrus", "vmvga", "xen", "vbox", "qxl", "parallels", "virtio", "gop", "none", "bochs",
    "ramfb",
)  # fmt: skip


class VideoDriver(VirtioDriver, change="next_boot"):
    """What draws."""

    name: str | None = attr("name", words("qemu", "vhostuser"))
    vgaconf: str | None = attr("vgaconf", words("io", "on", "off"))


class Acceleration(Element, change="next_boot"):
    """Which drawing the host's card does."""

    accel3d: bool | None = attr("accel3d", YES_NO)
    accel2d: bool | None = attr("accel2d", YES_NO)
    rendernode: str | None = attr("rendernode")


class Resolution(Element, change="next_boot"):
    """The screen's size in pixels."""

    x: int | None = attr("x", UINT32)
    y: int | None = attr("y", UINT32)


class VideoModel(Element, change="next_boot"):
    """The emulated card; memory in KiB."""

    type: str = attr("type", words(*TYPES), default="default")
    ram: int | None = attr("ram", UINT32)
    vram: int | None = attr("vram", UINT32)
    vram64: int | None = attr("vram64", UINT32)
    vgamem: int | None = attr("vgamem", UINT32)
    heads: int | None = attr("heads", UINT32)
    primary: bool | None = attr("primary", YES_NO)
    blob: str | None = attr("blob", words("on", "off"))
    acceleration: Acceleration | None = optional("acceleration", Acceleration)
    resolution: Resolution | None = optional("resolution", Resolution)

    def fill(self, filling: Filling) -> None:
        """Only the first card is said to be it."""
        if self.primary is False:
            self.primary = None


class Video(Device, change="next_boot"):
    """A graphics card."""

    driver: VideoDriver = child("driver", VideoDriver)
    model: VideoModel = child("model", VideoModel)
