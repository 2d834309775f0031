"""Random number generators."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, children, optional
from ..xml.convert import UINT32, words
from ..xml.extra import Problem
from ..xml.fields import attr, body
from .chardev import TYPES, ChardevLog, ChardevSource, Protocol
from .device import Device, VirtioDriver
from .filling import Filling
from .words import VIRTIO_MODEL


class RngRate(Element, change="re-create"):
    """At most `bytes` in each `period` of milliseconds."""

    bytes: int | None = attr("bytes", UINT32)
    period: int | None = attr("period", UINT32)

    def problems(self) -> Iterator[Problem]:
        """A rate needs its bytes."""
        if not self.bytes:
            yield Problem("@bytes", self.bytes, "a rate needs bytes above 0")


class RngBackend(Element, change="re-create"):
    """Where the numbers come from; the body is the path of a file for model `random`."""

    model: str = attr("model", words("random", "egd", "builtin"), default="", required=True)
    type: str | None = attr("type", words(*TYPES))
    path: str | None = body()
    sources: list[ChardevSource] = children("source", ChardevSource)
    protocol: Protocol | None = optional("protocol", Protocol)
    log: ChardevLog | None = optional("log", ChardevLog)

    def fill(self, filling: Filling) -> None:
        """Random numbers come from the host's own source unless another file is named."""
        if self.model == "random" and not self.path:
            self.path = "/dev/random"  # since Linux 5.6 it no more waits than /dev/urandom does
        if self.type != "tcp" and self.given("protocol"):
            self.protocol = None

    def problems(self) -> Iterator[Problem]:
        """A daemon needs to be named."""
        if self.model == "egd" and (not self.type or not self.sources):
            yield Problem("source", None, "a backend of model egd needs type and source")


class Rng(Device, change="re-create"):
    """A source of random numbers for the guest."""

    model: str = attr("model", VIRTIO_MODEL, default="", required=True)
    rate: RngRate | None = optional("rate", RngRate)
    backend: RngBackend = child("backend", RngBackend, required=True)
    driver: VirtioDriver = child("driver", VirtioDriver)
