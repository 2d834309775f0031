"""RELAX NG in its XML syntax, as far as libvirt's schemas use it: walked for what it allows, and made into documents.

Source: the specification of RELAX NG (OASIS, 2001), sections 3 to 4.  Only what the schemas of Debian's libvirt0 have
is known; anything else raises.
"""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

RNG = "{http://relaxng.org/ns/structure/1.0}"
SCHEMAS = Path("/usr/share/libvirt/schemas")
REPEATS = ("zeroOrMore", "oneOrMore")
GROUPS = ("group", "interleave", "define", "start", "element", "attribute", "oneOrMore", "zeroOrMore", "optional")


@dataclass
class Place:
    """What the schema allows at one path: fixed words, and whether any other text fits."""

    words: set[str] = field(default_factory=set)
    free: bool = False


class Grammar:
    """A schema with all that it includes."""

    def __init__(self, start: Path) -> None:
        self.defines: dict[str, list[ET.Element]] = {}
        self.start: ET.Element | None = None
        self._load(start, {})

    def _load(self, path: Path, overridden: dict[str, ET.Element]) -> None:
        root = ET.parse(path).getroot()
        space = root.get("ns", "")
        for node in root:
            kind = _kind(node)
            if kind == "include":
                own = {child.get("name", ""): child for child in node if _kind(child) == "define"}
                self._load(path.parent / node.get("href", ""), {**own, **overridden})
                for name, child in own.items():
                    self.defines[name] = [_with_space(child, space)]
            elif kind == "define":
                name = node.get("name", "")
                if name in overridden:
                    continue
                if node.get("combine"):
                    self.defines.setdefault(name, []).append(_with_space(node, space))
                else:
                    self.defines[name] = [_with_space(node, space), *self.defines.get(name, [])]
            elif kind == "start" and self.start is None:
                self.start = node

    # walking

    def places(self) -> dict[str, Place]:
        """Return every path of elements and attributes that a document may have; a definition once on a path."""
        found: dict[str, Place] = {}
        assert self.start is not None
        for child in self.start:
            self._walk(child, "", (), found)
        return found

    def _walk(self, node: ET.Element, path: str, above: tuple[str, ...], found: dict[str, Place]) -> None:
        kind = _kind(node)
        if kind == "ref":
            name = node.get("name", "")
            if above.count(name) < 1:
                for define in self.defines[name]:
                    self._walk(define, path, (*above, name), found)
        elif kind in ("element", "attribute"):
            for name in _names(node):
                here = f"{path}/@{name}" if kind == "attribute" else f"{path}/{name}"
                place = found.setdefault(here, Place())
                if kind == "attribute" and not list(node):
                    place.free = True
                for child in node:
                    self._walk(child, here, above, found)
        elif kind == "value":
            found[path].words.add((node.text or "").strip())
        elif kind in ("data", "text"):
            found[path].free = True
        elif kind not in ("empty", "notAllowed", "name", "anyName"):
            for child in node:
                self._walk(child, path, above, found)

    # making documents

    def make(self, dice: random.Random, name: str = "domain", deepest: int = 9) -> str:
        """Return what a definition of the schema allows, at random."""
        return _Maker(self, dice, deepest).document(self.defines[name][0])


class _Maker:
    """Makes one document: at each choice one branch, of optional parts few."""

    def __init__(self, grammar: Grammar, dice: random.Random, deepest: int) -> None:
        self.grammar = grammar
        self.dice = dice
        self.deepest = deepest

    def document(self, start: ET.Element) -> str:
        out = ET.Element("out")
        for child in start:
            self.put(child, out, 0)
        return "".join(ET.tostring(made, encoding="unicode") for made in out)

    def put(self, node: ET.Element, out: ET.Element, depth: int) -> None:
        kind = _kind(node)
        if kind == "ref":
            for define in self.grammar.defines[node.get("name", "")]:
                self.all_of(define, out, depth)
        elif kind == "element":
            made = ET.SubElement(out, self.dice.choice(list(_names(node))))
            self.all_of(node, made, depth + 1)
        elif kind == "attribute":
            holder = ET.Element("x")
            self.all_of(node, holder, depth)
            for name in _names(node)[:1]:
                out.set(name, holder.text or ("" if list(node) else "text"))
        elif kind == "value":
            out.text = (out.text or "") + (node.text or "").strip()
        elif kind in ("data", "text"):
            out.text = (out.text or "") + self.data(node)
        elif kind == "choice":
            self.put(self.dice.choice(list(node)), out, depth)
        elif kind in ("optional", *REPEATS):
            self.some(node, out, depth)
        elif kind == "list" or kind not in ("empty", "name", "anyName", "nsName", "except", "param"):
            self.all_of(node, out, depth)

    def some(self, node: ET.Element, out: ET.Element, depth: int) -> None:
        kind = _kind(node)
        likely = 0.35 if depth < 3 else 0.5 if depth < self.deepest else 0.05
        count = 1 if kind == "oneOrMore" else 0
        while count < 2 and self.dice.random() < likely:
            count += 1
            if kind == "optional":
                break
        for _ in range(count):
            self.all_of(node, out, depth)

    def all_of(self, node: ET.Element, out: ET.Element, depth: int) -> None:
        children = list(node)
        if _kind(node) == "interleave":
            self.dice.shuffle(children)
        for child in children:
            self.put(child, out, depth)

    def data(self, node: ET.Element) -> str:
        params = {child.get("name"): child.text or "" for child in node if _kind(child) == "param"}
        pattern = params.get("pattern")
        if pattern is not None:
            return self.matching(pattern)
        kind = node.get("type", "text")
        if kind in ("string", "text"):
            return self.dice.choice(("text", "a b", "/some/path", "1"))
        low = int(params.get("minInclusive", "0"))
        high = int(params.get("maxInclusive", "200"))
        return str(self.dice.randint(max(low, -1), max(min(high, 70000), low)))

    def matching(self, pattern: str) -> str:
        """Return a text that a pattern of the schemas matches: out of the common ones, by trying."""
        import re

        compiled = re.compile(pattern.replace(r"\c", "[-._:A-Za-z0-9]"))
        fits = [text for text in TEXTS if compiled.fullmatch(text)]
        if not fits:
            raise LookupError(f"no text for {pattern}")
        return self.dice.choice(fits)


TEXTS = (
    "0", "1", "2", "3", "7", "10", "15", "31", "64", "100", "1024", "4096", "65536", "-1", "0x0", "0x1", "0x1f", "0xff",
    "0x0000", "0x00", "0x1234", "0x12345678", "0xabcdef", "0755", "a", "vda", "hda", "sda", "fda", "nvme0n1", "eth0",
    "vnet0", "text", "virtio", "52:54:00:12:34:56", "c7a5fdbd-edaf-9455-926a-d65c16db1809", "/some/path", "/dev/sda",
    "10.0.0.1", "fe80::1", "2001:db8::1", "10.0.0.0/24", "example.org", "0-3", "0-3,^2,8", "1,3", "1.2", "1.2.3",
    "5000c50015ea71aa", "0x5000c50015ea71aa", "naa.5000c50015ea71aa", "ua-disk", "disk0", "abc", "LENOVO", "AMD",
    "127.0.0.1", "255.255.255.0", "KiB", "GenuineIntel", "AuthenticAMD", "3.14", "1.10", "0.1", "user", "+107", "b",
    "iqn.2013-07.com.example:iscsi-nopool", "01/31/2020", "opt/com.example/name", "qemu", "2023-01-01T00:00:00",
    "a.b", "0000:00:00.0", "file.img", "6:3", "x86_64", "c7a5fdbdedaf9455926ad65c16db1809", "e", "i686",
    "0xf1", "vepa", "[store] a.vmdk", "SGVsbG8=", "ipv4", "sync_pt",
    "org.qemu.guest_agent.0", "/dev/null", "uml", "pc", "q35", "GUID", "0x01", "0x7f", "255", "9000", "65535",
)  # fmt: skip
"""Texts among which each pattern of the schemas finds one."""


def _kind(node: ET.Element) -> str:
    return node.tag.removeprefix(RNG) if isinstance(node.tag, str) else "empty"


def _with_space(node: ET.Element, space: str) -> ET.Element:
    """Write the namespace into each element pattern, which inherits it from what is around it (4.8)."""
    space = node.get("ns", space)
    if space and _kind(node) == "element":
        node.set("ns", space)
    for child in node:
        _with_space(child, space)
    return node


def _names(node: ET.Element) -> list[str]:
    """Return the names that an element or attribute may have, `{uri}name` in a namespace; none for any name."""
    space = node.get("ns", "") if _kind(node) == "element" else ""
    prefix = f"{{{space}}}" if space else ""
    if node.get("name") is not None:
        return [prefix + node.get("name", "")]
    found: list[str] = []
    for child in node:
        if _kind(child) == "name":
            found.append(prefix + (child.text or "").strip())
        elif _kind(child) == "choice":
            found.extend(prefix + (each.text or "").strip() for each in child if _kind(each) == "name")
    return found
