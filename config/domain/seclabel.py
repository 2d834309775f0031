"""Labels of the host's security modules."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.convert import YES_NO, words
from ..xml.fields import attr, text


class Seclabel(Element):
    """The label of the guest's process and its images."""

    type: str | None = attr("type", words("dynamic", "static", "none"))
    model: str | None = attr("model")
    relabel: bool | None = attr("relabel", YES_NO)
    label: str | None = text("label")
    imagelabel: str | None = text("imagelabel", live_only=True)
    baselabel: str | None = text("baselabel")


class DeviceSeclabel(Element, change="re-create"):
    """The label of one image or socket."""

    model: str | None = attr("model")
    relabel: bool | None = attr("relabel", YES_NO)
    labelskip: bool | None = attr("labelskip", YES_NO)
    label: str | None = text("label")
