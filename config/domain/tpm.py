"""Trusted platform modules."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.binding import Element
from ..xml.children import child, optional
from ..xml.convert import UUID, YES_NO, words
from ..xml.extra import Problem
from ..xml.fields import attr, flag, text
from .device import Device
from .filling import Filling


class TpmDevice(Element, change="next_boot"):
    """The host's module."""

    path: str | None = attr("path")


class TpmEncryption(Element, change="next_boot"):
    """The secret that encrypts the state."""

    secret: str | None = attr("secret", UUID)


class TpmSource(Element, change="next_boot"):
    """Socket of an emulator, or file or folder of its state."""

    type: str | None = attr("type", words("unix", "file", "dir"))
    path: str | None = attr("path")
    mode: str | None = attr("mode", words("connect", "bind"))


class PcrBanks(Element, change="next_boot"):
    """The banks of registers that are switched on."""

    sha1: bool = flag("sha1")
    sha256: bool = flag("sha256")
    sha384: bool = flag("sha384")
    sha512: bool = flag("sha512")


class TpmBackend(Element, change="next_boot"):
    """What does the work."""

    type: str = attr("type", words("passthrough", "emulator", "external"), default="", required=True)
    version: str | None = attr("version", words("1.2", "2.0"))
    persistent_state: bool | None = attr("persistent_state", YES_NO)
    debug: str | None = attr("debug")
    encryption: TpmEncryption | None = optional("encryption", TpmEncryption)
    device: TpmDevice | None = optional("device", TpmDevice)
    source: TpmSource | None = optional("source", TpmSource)
    active_pcr_banks: PcrBanks | None = optional("active_pcr_banks", PcrBanks)
    profile: str | None = text("profile")

    def problems(self) -> Iterator[Problem]:
        """An emulator that someone else runs must be named."""
        if self.type == "external" and (self.source is None or not self.source.path):
            yield Problem("source/@path", None, "an external module needs the path of its socket")


    def fill(self, filling: Filling) -> None:
        """Only an emulator has a version to choose."""
        if self.type != "emulator":
            self.version = None


class Tpm(Device, change="next_boot"):
    """A trusted platform module."""

    model: str | None = attr("model", words("tpm-tis", "tpm-crb", "tpm-spapr", "spapr-tpm-proxy"))
    backend: TpmBackend = child("backend", TpmBackend, required=True)
