"""Guests whose memory the host cannot read."""

from __future__ import annotations

from ..xml.binding import Element
from ..xml.children import children
from ..xml.convert import ON_OFF, UINT32, YES_NO, based, words
from ..xml.fields import attr, text


class LaunchSecurity(Element):
    """How the guest's memory is protected."""

    type: str = attr("type", words("sev", "s390-pv", "sev-snp"), default="", required=True)
    kernel_hashes: bool | None = attr("kernelHashes", YES_NO)
    cbitpos: int | None = text("cbitpos", UINT32)
    reduced_phys_bits: int | None = text("reducedPhysBits", UINT32)
    policy: int | None = text("policy", based(4, 2**64 - 1))
    handle: int | None = text("handle", UINT32, live_only=True)
    dh_cert: str | None = text("dhCert", free=True)
    session: str | None = text("session", free=True)


class KeyWrapCipher(Element):
    """A cipher of key wrapping on s390."""

    name: str | None = attr("name", words("aes", "dea"))
    state: bool | None = attr("state", ON_OFF)


class Keywrap(Element):
    """Key wrapping on s390."""

    ciphers: list[KeyWrapCipher] = children("cipher", KeyWrapCipher)
