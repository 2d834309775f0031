"""Comparisons of hypervisors' own formats in meaning: parsed, not as text."""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable

from mechane.hypervisors.vmx.text import VmxText


def compared(ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """Return the lines that only one side has; how often counts, the order does not."""
    mine, recorded = Counter(ours), Counter(theirs)
    lacking = [f"lacks {line}" for line in (recorded - mine).elements()]
    return lacking + [f"has {line}" for line in (mine - recorded).elements()]


def vmx(got: str, wanted: str) -> list[str]:
    """Compare .vmx files entry by entry; names and truth values without case."""

    def entries(text: str) -> list[str]:
        found = VmxText.parse(text).items()
        return [f"{name.lower()} = {value.lower() if value.lower() in ('true', 'false') else value}"
                for name, value in found]  # fmt: skip

    return compared(entries(got), entries(wanted))


def assignments(got: str, wanted: str) -> list[str]:
    """Compare `name = value` files such as xl.cfg, lists over several lines included."""

    def entries(text: str) -> list[str]:
        joined = re.sub(r"\[([^\[\]]*)\]", lambda found: "[" + " ".join(found[1].split()) + "]", text)
        pairs = (line.partition("=") for line in joined.splitlines() if "=" in line and not line.startswith("#"))
        return [f"{name.strip()} = {' '.join(value.split())}" for name, _, value in pairs]

    return compared(entries(got), entries(wanted))


def command_lines(got: str, wanted: str) -> list[str]:
    """Compare command lines word by word, continued lines joined."""

    def commands(text: str) -> list[str]:
        whole = text.replace("\\\n", " ")
        return [" ".join(sorted(shlex.split(line, comments=True))) for line in whole.splitlines() if line.strip()]

    return compared(commands(got), commands(wanted))


COMPARISONS: dict[str, Callable[[str, str], list[str]]] = {
    "vmware-vmx": vmx,
    "xen-xl": assignments,
    "lxc-tools": assignments,
    "bhyve-argv": command_lines,
}
"""Format -> how two of its texts are compared."""
