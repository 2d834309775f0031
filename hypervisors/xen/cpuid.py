"""Processor features in the short form of xl's `cpuid`: host,htt=0,sse3=x.

Source: xl.cfg(5) of Xen 4.17, CPUID: 1 forces a feature on, 0 off, x leaves it to the policy, k and s pass
the host's through.  Some names differ from libvirt's (libxl_cpuid.c of Xen 4.17 against cpu_map of libvirt).
"""

from __future__ import annotations

from ...config.domain.cpu import Cpu, CpuFeature
from ...config.domain.cpu_features import is_feature_name
from ...config.errors import ConfigUnsupported, InvalidArgument

NAMES = {
    "cmpxchg16": "cx16", "cntxid": "cid", "dscpl": "ds_cpl", "pclmulqdq": "pclmuldq", "sse3": "pni",
    "htt": "ht", "psn": "pn", "clfsh": "clflush", "sysenter": "sep", "cmpxchg8": "cx8",
    "nodeid": "nodeid_msr", "altmovcr8": "cr8legacy", "lahfsahf": "lahf_lm", "cmplegacy": "cmp_legacy",
    "ffxsr": "fxsr_opt", "page1gb": "pdpe1gb",
}  # fmt: skip
"""Name of xl -> name of domain XML, where they differ."""
_POLICIES = {"1": "force", "0": "disable", "x": "optional", "k": "optional", "s": "optional"}
_VALUES = {"force": "1", "require": "1", "optional": "x", "disable": "0", "forbid": "0"}
NESTED = ("vmx", "svm")
"""Whether the guest has these follows from `nestedhvm`, not from `cpuid`."""


def xml_feature(word: str) -> CpuFeature | None:
    """Return the feature that a word of `cpuid` names; None for the leading `host` and for numbers.

    Raises: InvalidArgument for a value that xl does not have.
    """
    name, sign, value = word.strip().partition("=")
    if not sign or name in ("procpkg", "family", "model", "stepping", "brandid", "clflush", "localapicid",
                            "maxleaf", "maxhvleaf", "nc", "physaddr", "apicidsize", "proccount"):  # fmt: skip
        return None
    if value not in _POLICIES:
        raise InvalidArgument(f"xl.cfg: cpuid has {word!r}", remedy="a feature is 0, 1, x, k or s", value=word)
    return CpuFeature(name=NAMES.get(name, name), policy=_POLICIES[value])


def cpuid_of(cpu: Cpu) -> str:
    """Return `cpuid` for the features of a processor, '' where it needs none."""
    back = {xml: xl for xl, xml in NAMES.items()}
    for each in cpu.features:
        if not is_feature_name(each.name):
            raise ConfigUnsupported(f"{each.name[:100]!r} is no name of a feature", remedy="remove it",
                                    path="/domain/cpu/feature/@name", value=each.name[:100])  # fmt: skip
    words = [f"{back.get(each.name, each.name)}={_VALUES[each.policy or 'require']}"
             for each in cpu.features if each.name not in NESTED]  # fmt: skip
    return ",".join(["host", *words]) if words else ""


def has_nested(cpu: Cpu) -> bool:
    """Tell whether guests of the guest are allowed: neither vmx nor svm is taken away."""
    return not any(each.name in NESTED and each.policy in ("disable", "forbid") for each in cpu.features)
