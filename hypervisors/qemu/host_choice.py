"""Which emulator, machine and kind of virtualisation a client's question is about."""

from __future__ import annotations

import re

from ...config.errors import ConfigUnsupported, InvalidArgument
from .capabilities import EmulatorCapabilities, MachineType
from .emulators import Emulators
from .kvm import KvmProbe

ARCHITECTURE = re.compile(r"[a-z0-9_]{1,32}\Z")
BINARIES = {"i686": "i386"}
"""Architectures whose emulator has another name."""


class HostChoice:
    """Finds what a question leaves open. Loop's thread."""

    def __init__(self, emulators: Emulators, kvm: KvmProbe, default: str) -> None:
        self._emulators = emulators
        self._kvm = kvm
        self._default = default

    def path(self, emulator: str | None, arch: str | None) -> str:
        """Return the emulator's path: the given one, the architecture's, or the host's own.

        Raises:
            InvalidArgument: that is no name of an architecture.
        """
        if emulator:
            return emulator
        if arch and not ARCHITECTURE.match(arch):
            raise InvalidArgument(f"{arch[:40]!r} is no architecture", remedy="use a name such as x86_64",
                                  path="params.arch", value=arch[:40])  # fmt: skip
        return f"/usr/bin/qemu-system-{BINARIES.get(arch, arch)}" if arch else self._default

    async def choose(
        self, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> tuple[EmulatorCapabilities, MachineType, str]:
        """Return the emulator, the machine type, and kvm or qemu (TCG).

        Raises:
            ConfigUnsupported: no such emulator or machine type, or KVM cannot be used.
            InvalidArgument: an unknown kind of virtualisation.
        """
        path = self.path(emulator, arch)
        found = await self._emulators.get(path)
        kvm = await self._kvm.verdict(path)
        kind = virttype or ("kvm" if kvm.usable else "qemu")
        if kind not in ("qemu", "kvm"):
            raise InvalidArgument(
                f"QEMU has no virtualisation {kind!r}", remedy="use kvm or qemu", path="params.virttype", value=kind,
                allowed=["kvm", "qemu"],
            )  # fmt: skip
        if kind == "kvm" and not kvm.usable:
            raise ConfigUnsupported(
                f"KVM cannot be used on this host: {kvm.reason}", remedy="ask for virttype qemu",
                path="params.virttype", value=kind, allowed=["qemu"],
            )  # fmt: skip
        return found, _machine(found, machine), kind


def _machine(emulator: EmulatorCapabilities, name: str | None) -> MachineType:
    if name is not None:
        chosen = emulator.machine(name)
    else:
        chosen = next((item for item in emulator.machines if item.default), None) or emulator.machines[0]
    if chosen is None:
        raise ConfigUnsupported(
            f"{emulator.key.path} has no machine type {name!r}", remedy="use one of `allowed`",
            path="params.machine", value=name, allowed=[item.name for item in emulator.machines],
        )  # fmt: skip
    return chosen
