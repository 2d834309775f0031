"""The part of domain capabilities that tells which firmware a domain may ask for, from its descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .argv.firmware import matches
from .capabilities import EmulatorCapabilities, MachineType


def firmware_facts(
    descriptors: Iterable[Mapping[str, Any]], emulator: EmulatorCapabilities, machine: MachineType
) -> dict[str, Any]:
    """Return loaders and what may be said of them, as a map.

    Args:
        descriptors: the installed firmware, in its order (firmware.py).
        emulator: for whose architecture.
        machine: for which machine type.
    """
    fitting = [item for item in descriptors if _fits(item, emulator, machine)]
    secure = any("secure-boot" in item.get("features", ()) for item in fitting)
    return {
        "firmware": ["efi"] if fitting else [],
        "loaders": list(dict.fromkeys(_executables(fitting))),
        "type": ["rom", "pflash"],
        "readonly": ["yes", "no"],
        "secure": ["yes", "no"] if secure else ["no"],
    }


def _fits(item: Mapping[str, Any], emulator: EmulatorCapabilities, machine: MachineType) -> bool:
    if "uefi" not in item.get("interface-types", ()) or item.get("mapping", {}).get("device") != "flash":
        return False
    return any(
        target.get("architecture") == emulator.arch
        and any(matches(machine.name, pattern) for pattern in target.get("machines", ()))
        for target in item.get("targets", ())
    )


def _executables(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for item in items:
        name = item["mapping"].get("executable", {}).get("filename")
        if name:
            yield str(name)
