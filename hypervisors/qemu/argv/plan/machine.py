"""Machine types: which chipset a name means, and what the chipset brings."""

from __future__ import annotations

from .....config.domain.domain import Domain
from ..records import Emulator
from ..refusal import refuse

PC = "pc"
Q35 = "q35"
ISAPC = "isapc"
MICROVM = "microvm"
OTHER = "other"

X86 = ("x86_64", "i686")


def chipset_of(domain: Domain) -> str:
    """Return which family of machine types the domain's one belongs to."""
    name = domain.os.type.machine or "pc"
    if name == "pc" or name.startswith(("pc-i440fx-", "pc-0.", "pc-1.", "rhel6")):
        return PC
    if name == "q35" or name.startswith("pc-q35-"):
        return Q35
    if name == "isapc" or name == "microvm":
        return name
    return OTHER


def has_pcie_root(domain: Domain) -> bool:
    """Tell whether bus 0 is PCI Express."""
    return chipset_of(domain) == Q35


def resolve_machine(domain: Domain, emulator: Emulator) -> None:
    """Replace an alias (pc, q35) by the versioned name, which keeps the guest's hardware as it is.

    Raises:
        ConfigUnsupported: the emulator has no such machine type, or is not of this architecture.
    """
    if domain.type not in ("qemu", "kvm"):
        raise refuse(domain, domain, "@type", f"QEMU runs no {domain.type} guests on Linux", remedy="Use kvm or qemu")
    kind = domain.os.type
    if kind.name != "hvm":
        raise refuse(domain, kind, "", f"QEMU runs no guests of type {kind.name}", remedy="Use hvm")
    arch = kind.arch or "x86_64"
    if arch not in X86:
        raise refuse(domain, kind, "@arch", f"guests of architecture {arch} cannot be built yet")
    name = kind.machine or "pc"
    canonical = emulator.canonical_machine(name)
    if canonical is None:
        raise refuse(domain, kind, "@machine", f"the emulator has no machine type {name!r}",
                     remedy="Use one that `domain capabilities` lists, or the alias pc or q35")
    kind.arch = arch
    kind.machine = canonical
    if chipset_of(domain) == OTHER:
        raise refuse(domain, kind, "@machine", f"machine type {name!r} cannot be built yet",
                     remedy="Use pc or q35")
