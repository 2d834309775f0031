"""Names of x86 processor features: QEMU's, libvirt's, and the kernel's in /proc/cpuinfo.

Inside, all features have QEMU's canonical names (the property names that a static expansion gives); libvirt's
are read and written in XML. Sources: QEMU's target/i386/cpu.c (feature_word_info and its property aliases),
Linux's arch/x86/include/asm/cpufeatures.h.
"""

from __future__ import annotations

from collections.abc import Iterable

TO_LIBVIRT = {
    "cmp-legacy": "cmp_legacy", "ds-cpl": "ds_cpl", "fxsr-opt": "fxsr_opt", "lahf-lm": "lahf_lm",
    "nodeid-msr": "nodeid_msr", "pclmulqdq": "pclmuldq", "perfctr-core": "perfctr_core",
    "perfctr-nb": "perfctr_nb", "tsc-adjust": "tsc_adjust", "kvm-pv-eoi": "kvm_pv_eoi",
    "kvm-pv-unhalt": "kvm_pv_unhalt",
}  # fmt: skip
"""Where libvirt's name differs."""
ALIASES = {
    "pclmuldq": "pclmulqdq", "sse3": "pni", "sse4-1": "sse4.1", "sse4-2": "sse4.2", "xd": "nx", "ffxsr": "fxsr-opt",
    "i64": "lm",
}  # fmt: skip
"""Other names that QEMU takes, and its own; beside those `_` counts as `-`."""
FROM_KERNEL = {
    "sse4_1": "sse4.1", "sse4_2": "sse4.2", "cr8_legacy": "cr8legacy", "tsc_deadline_timer": "tsc-deadline",
    "avx512_vbmi2": "avx512vbmi2", "avx512_vnni": "avx512vnni", "avx512_bitalg": "avx512bitalg", "dts": "ds",
    "pausefilter": "pause-filter", "tsxldtrk": "tsx-ldtrk", "sgx_lc": "sgxlc", "nonstop_tsc": "invtsc",
}  # fmt: skip
"""Flags of /proc/cpuinfo whose name is not QEMU's with `_` for `-`."""
SPECULATION = {
    "GenuineIntel": {"ibrs": "spec-ctrl", "ibpb": "spec-ctrl", "stibp": "stibp", "ssbd": "ssbd"},
    "AuthenticAMD": {"ibrs": "ibrs", "ibpb": "ibpb", "stibp": "amd-stibp", "ssbd": "amd-ssbd"},
    "HygonGenuine": {"ibrs": "ibrs", "ibpb": "ibpb", "stibp": "amd-stibp", "ssbd": "amd-ssbd"},
}
"""Flags that the kernel shows for either vendor, while each vendor has bits of its own."""
VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "VIA"}
"""Vendors as the processor says it, and libvirt's names."""
UNMIGRATABLE = frozenset({"invtsc"})
"""Features with which QEMU does not migrate (unmigratable_flags of FEAT_8000_0007_EDX)."""


def canonical(name: str) -> str:
    """Return QEMU's own name of a feature that may be in libvirt's or another spelling."""
    plain = name.replace("_", "-")
    return ALIASES.get(plain, plain)


def shown(name: str) -> str:
    """Return libvirt's name of a feature."""
    return TO_LIBVIRT.get(name, name)


def shown_all(names: Iterable[str]) -> list[str]:
    """Return libvirt's names of features, sorted."""
    return sorted(shown(name) for name in names)


def vendor_shown(vendor: str) -> str:
    """Return libvirt's name of a vendor, or `unknown`."""
    return VENDORS.get(vendor, "unknown")


def vendor_meant(name: str) -> str:
    """Return what the processor of a vendor says, by libvirt's name or its own; '' where it is unknown."""
    by_name = {shown: own for own, shown in VENDORS.items()}
    return by_name.get(name, name if name in VENDORS else "")


def from_kernel(flags: Iterable[str], vendor: str, known: frozenset[str]) -> frozenset[str]:
    """Return the features of flags of /proc/cpuinfo; what QEMU has no name for is left out.

    Args:
        flags: the kernel's words.
        vendor: what the processor says of its vendor.
        known: all features that QEMU knows.
    """
    own = SPECULATION.get(vendor, {})
    found = {own.get(flag) or FROM_KERNEL.get(flag) or canonical(flag) for flag in flags}
    return frozenset(found & known)
