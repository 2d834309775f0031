"""Definitions by families of the format: what QEMU takes, and what is refused for the reason that libvirt has.

Each file of families/ holds blocks: `## name [key=value …] taken` or `## name [key=value …] refused PATH`, then
devices; lines with `#a ` stand above the devices, `#o ` in <os>, `#f ` in <features>, `#m ` for the memory.
What is said of each was observed: libvirt 9.0 (qemu:///embed) and QEMU 7.2 were asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mechane.tests.hypervisors.qemu_argv.definitions import UUID

FOLDER = Path(__file__).parent / "families"
MEMORY = "<memory unit='MiB'>1024</memory>"
_CARD = re.compile(r"(<interface [^>]*?)(/?)>(?!\s*<mac)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One definition; `path` is that of its refusal, '' where it is taken."""

    name: str
    xml: str
    path: str


def cases() -> Iterator[Case]:
    """Yield all definitions."""
    for file in sorted(FOLDER.glob("*.txt")):
        for block in file.read_text().split("## ")[1:]:
            yield _case(block)


def _case(block: str) -> Case:
    head, _, body = block.partition("\n")
    name, *words = head.split()
    path = words.pop() if words[-2:-1] == ["refused"] else ""
    options = dict(word.split("=", 1) for word in words[:-1])
    parts: dict[str, str] = dict.fromkeys("aofmd", "")
    for line in body.splitlines():
        kind = line[1] if line[:1] == "#" and line[2:3] == " " else "d"
        parts[kind] += line[3:] if kind != "d" else line
    return Case(name=name, path=path, xml=_document(parts, options))


def _document(parts: dict[str, str], options: dict[str, str]) -> str:
    number = itertools.count(1)

    def with_mac(found: re.Match[str]) -> str:
        end = "</interface>" if found[2] else ""
        return f"{found[1]}><mac address='52:54:00:00:00:{next(number):02x}'/>{end}"

    features = ("" if "noacpi" in options else "<acpi/>") + ("" if "<apic" in parts["f"] else "<apic/>") + parts["f"]
    return (
        f"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>t</name><uuid>{UUID}</uuid>"
        f"{parts['m'] or MEMORY}<vcpu>{options.get('vcpu', '2')}</vcpu>"
        f"<os><type arch='x86_64' machine='{options.get('machine', 'pc')}'>hvm</type>{parts['o']}</os>"
        f"<features>{features}</features>{parts['a']}<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
        f"{_CARD.sub(with_mac, parts['d'])}</devices></domain>"
    )
