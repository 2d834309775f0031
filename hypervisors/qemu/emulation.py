"""Which emulator and which accelerator a definition asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.errors import ConfigUnsupported

if TYPE_CHECKING:
    from ...config.domain.domain import Domain

TYPES = {"qemu": "tcg", "kvm": "kvm"}
"""Kinds of domains, and the accelerator of each."""


def default_emulator(domain: Domain) -> str:
    """Return the emulator of a definition that names none (Debian's place for it)."""
    return f"/usr/bin/qemu-system-{domain.os.type.arch or 'x86_64'}"


def accelerator_of(domain: Domain) -> str:
    """Return the accelerator of a definition.

    Raises:
        ConfigUnsupported: it is no domain of QEMU.
    """
    if domain.type not in TYPES:
        raise ConfigUnsupported(
            f"QEMU runs no domains of type {domain.type!r}", remedy="use qemu (emulation) or kvm",
            path="/domain/@type", value=domain.type, allowed=list(TYPES),
        )  # fmt: skip
    return TYPES[domain.type]
