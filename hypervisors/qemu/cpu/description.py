"""Processors as XML describes them: `<cpu>` of domains, hosts and domain capabilities.

Formats: libvirt's formatdomain.html (CPU model and topology), formatcaps.html, formatdomaincaps.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ....config.errors import XmlError
from ....config.xml.node import XmlNode, path_to
from ....config.xml.reader import read
from ....config.xml.writer import to_text
from . import names
from .models import Processor, ProcessorTable

POLICIES = ("force", "require", "optional", "disable", "forbid")
MATCHES = ("minimum", "exact", "strict")
WITHOUT = ("disable", "forbid")
DECLARATION = re.compile(r"<\?xml\b[^>]*\?>")
CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuDescription:
    """A processor that somebody asks for or has."""

    path: str
    """Where it stands in the document, for errors."""
    model: str
    vendor: str = ""
    """As the processor says it."""
    match: str = "exact"
    policies: Mapping[str, str] = field(default_factory=dict)
    """What is said of features, by QEMU's names."""

    def processor(self, table: ProcessorTable) -> Processor:
        """Return what it is made of.

        Raises:
            XmlError: the emulator has no such model or feature.
        """
        features = set(self.model_features(table))
        for name, policy in self.policies.items():
            if policy in WITHOUT:
                features.discard(name)
            else:
                features.add(name)
        return Processor(vendor=self.vendor, features=frozenset(features))

    def model_features(self, table: ProcessorTable) -> frozenset[str]:
        """Return the features of its model, after a check that all its names are known.

        Raises:
            XmlError: the emulator has no such model or feature.
        """
        found = table.model(self.model)
        if found is None:
            raise XmlError(
                f"Unknown CPU model {self.model}", remedy="ask for the list with cpu-models", path=f"{self.path}/model",
                value=self.model, allowed=[item.name for item in table.named],
            )  # fmt: skip
        for name in self.policies:
            if name not in table.known:
                raise XmlError(f"Unknown CPU feature {names.shown(name)}", remedy="correct or remove it",
                               path=f"{self.path}/feature", value=names.shown(name))  # fmt: skip
        return found.features


def read_descriptions(documents: Sequence[str], path: str) -> list[CpuDescription]:
    """Return all processors that documents describe.

    Args:
        documents: each a `<cpu>`, `<domain>`, `<capabilities>` or `<domainCapabilities>`, or several of them one
            after the other.
        path: the argument that they came by, for errors.

    Raises:
        XmlError: one is no XML, describes no processor, or describes it wrongly.
    """
    found: list[CpuDescription] = []
    for number, text in enumerate(documents):
        root = read(f"<{CONTAINER}>{DECLARATION.sub('', text)}</{CONTAINER}>")
        place = f"{path}[{number}]" if len(documents) > 1 else path
        described = [_describe(root, node, place) for node in _nodes(root)]
        if not described:
            raise XmlError(
                "the document describes no CPU", path=place,
                remedy="give a <cpu>, or a domain's, host's or domain capabilities' document that has one",
            )  # fmt: skip
        found += described
    return found


def _nodes(root: XmlNode) -> Iterator[XmlNode]:
    """Yield what describes a processor in whichever documents lie in the container (those that virsh looks at)."""
    for document in root.children:
        if document.tag == "cpu":
            yield document
        elif document.tag == "domain":
            yield from _children(document, "cpu")
        elif document.tag == "capabilities":
            for host in _children(document, "host"):
                yield from _children(host, "cpu")
        elif document.tag == "domainCapabilities":
            for cpu in _children(document, "cpu"):
                for mode in _children(cpu, "mode"):
                    if mode.attrs.get("name") == "host-model" and mode.attrs.get("supported") == "yes":
                        yield mode


def _children(node: XmlNode, tag: str) -> Iterator[XmlNode]:
    return (child for child in node.children if child.tag == tag)


def _describe(root: XmlNode, node: XmlNode, place: str) -> CpuDescription:
    path = place + path_to(root, node).removeprefix(f"/{CONTAINER}")
    model = next(_children(node, "model"), None)
    if model is None or not model.text.strip():
        raise XmlError("the CPU has no model", remedy="name one (cpu-models lists them)", path=f"{path}/model")
    vendor = next((child.text.strip() for child in _children(node, "vendor")), "")
    own = names.vendor_meant(vendor)
    if vendor and not own:
        raise XmlError(f"Unknown CPU vendor {vendor}", remedy="use one of `allowed`", path=f"{path}/vendor",
                       value=vendor, allowed=list(names.VENDORS.values()))  # fmt: skip
    policies: dict[str, str] = {}
    for feature in _children(node, "feature"):
        name = names.canonical(feature.attrs.get("name", ""))
        if not name or name in policies:
            raise XmlError("a feature has no name, or is there twice", remedy="correct it", path=f"{path}/feature",
                           value=name)  # fmt: skip
        policies[name] = _word(feature, "policy", POLICIES, "require", f"{path}/feature")
    match = _word(node, "match", MATCHES, "exact", path)
    return CpuDescription(path=path, model=model.text.strip(), vendor=own, match=match, policies=policies)


def _word(node: XmlNode, name: str, allowed: Sequence[str], default: str, path: str) -> str:
    value = node.attrs.get(name, default)
    if value not in allowed:
        raise XmlError(f"{value!r} is no {name} of a CPU", remedy="use one of `allowed`", path=f"{path}/@{name}",
                       value=value, allowed=list(allowed))  # fmt: skip
    return value


def parts(model: str, vendor: str, policies: Mapping[str, str]) -> Iterator[XmlNode]:
    """Yield the elements that describe a processor, features sorted by libvirt's names."""
    node = XmlNode("model", {"fallback": "forbid"}, model)
    yield node
    if vendor in names.VENDORS:
        yield XmlNode("vendor", text=names.vendor_shown(vendor))
    for name, policy in sorted((names.shown(name), policy) for name, policy in policies.items()):
        yield XmlNode("feature", {"policy": policy, "name": name})


def cpu_xml(model: str, vendor: str, policies: Mapping[str, str]) -> str:
    """Return `<cpu>` as a domain's definition takes it."""
    cpu = XmlNode("cpu", {"mode": "custom", "match": "exact"})
    for node in parts(model, vendor, policies):
        cpu.append(node)
    return to_text(cpu)
