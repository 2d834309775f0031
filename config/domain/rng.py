"""Random number generators."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import UINT32, words
from ..xml.fields import attr, body
from .chardev import TYPES, ChardevSource, Protocol
from .device import Device, VirtioDriver
from .words import VIRTIO_MODEL


class RngRate(Element, change="re-create"):
    """At most `bytes` in each `period` of milliseconds."""

    bytes: int | None = attr("bytes", UINT32)
    period: int | None = attr("period", UINT32)


class RngBackend(Element, change="re-create"):
    """Where the numbers come from; the body is the path of a file for model `random`."""

    model: str = attr("model", words("random", "egd", "builtin"), default="", required=True)
    type: str | None = attr("type", words(*TYPES))
    path: str | None = body()
    sources: list[ChardevSource] = children("source", ChardevSource)
    protocol: Protocol | None = optional("protocol", Protocol)


class Rng(Device, change="re-create"):
    """A source of random numbers for the guest."""

    model: str = attr("model", VIRTIO_MODEL, default="", required=True)
    rate: RngRate | None = optional("rate", RngRate)
    backend: RngBackend = child("backend", RngBackend, required=True)
    driver: VirtioDriver = child("driver", VirtioDriver)
