"""The host's processor, as the kernel shows it (/proc/cpuinfo, proc(5)). Everything here blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .models import Processor
from .names import from_kernel

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCpu:
    """What the first processor says of itself."""

    vendor: str = ""
    name: str = ""
    microcode: str = ""
    signature: tuple[int, int, int] | None = None
    """Family, model and stepping."""
    address_bits: int = 0
    """Bits of a physical address."""
    flags: frozenset[str] = frozenset()

    def processor(self, known: frozenset[str]) -> Processor:
        """Return it in QEMU's words.

        Args:
            known: all features that QEMU has a name for.
        """
        return Processor(vendor=self.vendor, features=from_kernel(self.flags, self.vendor, known))


def read_host_cpu(path: Path = CPUINFO) -> HostCpu:
    """Return the host's processor; on other architectures than x86 all of it is empty.

    Raises:
        OSError: /proc cannot be read.
    """
    fields: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():
                break  # the next processor
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    microcode = fields.get("microcode", "")
    family, model, stepping = (fields.get(name, "") for name in ("cpu family", "model", "stepping"))
    signed = family.isdigit() and model.isdigit() and stepping.isdigit()
    bits = fields.get("address sizes", "").partition(" bits physical")[0]
    return HostCpu(
        vendor=fields.get("vendor_id", ""), name=fields.get("model name", ""),
        microcode=str(int(microcode, 16)) if microcode.startswith("0x") else microcode,
        signature=(int(family), int(model), int(stepping)) if signed else None,
        address_bits=int(bits) if bits.isdigit() else 0,
        flags=frozenset(fields.get("flags", "").split()),
    )  # fmt: skip
