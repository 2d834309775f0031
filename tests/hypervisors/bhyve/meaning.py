"""What two scripts that run a guest of bhyve differ in: options by their meaning, whatever their order.

The samples' names of tap devices and of the folder of firmware are those of the host that recorded them; `ahci-hd,F`
and `ahci,hd:F` are one drive in two spellings; `dummy` stands in the samples for no loader at all.
"""

import os.path
import re

from mechane.config.errors import InvalidArgument
from mechane.hypervisors.bhyve.parse import SWITCHES, TAKES_VALUE, commands, options


def meaning(text: str) -> list[list[str]]:
    """Return what each command says, sorted."""
    found = [words for words in commands(text) if words != ["dummy"]]
    return [_bhyve(words) if os.path.basename(words[0]) == "bhyve" else words for words in found]


def _bhyve(words: list[str]) -> list[str]:
    try:
        found, rest = options(words[1:], TAKES_VALUE, SWITCHES)
    except InvalidArgument:  # arguments of the user's own
        return sorted(words)
    return sorted([*(f"-{letter} {_plain(value)}" for letter, value in found), *rest])


def _plain(value: str) -> str:
    value = re.sub(r"(virtio-net|e1000),[^,]+", r"\1,TAP", value)
    value = re.sub(r",ahci-(hd|cd),", r",ahci,\1:", value)
    value = re.sub(r"^bootrom,.*/", "bootrom,", value) if "BHYVE_UEFI" in value else value
    return ",".join(sorted(value.split(",")))


def differences(got: str, wanted: str) -> list[str]:
    """Return each word that differs."""
    ours, theirs = meaning(got), meaning(wanted)
    if len(ours) != len(theirs):
        return [f"{len(ours)} commands instead of {len(theirs)}"]
    out = []
    for mine, recorded in zip(ours, theirs, strict=True):
        out += [f"lacks {each}" for each in recorded if each not in mine]
        out += [f"has {each}" for each in mine if each not in recorded]
    return out
