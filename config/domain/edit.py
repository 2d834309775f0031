"""Change single things in a stored definition without touching the rest.

Each function takes XML and returns new XML; what they do not name stays as it was, known or not.
"""

from __future__ import annotations

from ..characters import control_in, unshown_in
from ..errors import InvalidArgument, NoMetadata, XmlError
from ..xml.binding import LONGEST_VALUE
from ..xml.node import XmlNode
from ..xml.reader import read
from ..xml.writer import ILLEGAL, to_text
from .validation import check_name, check_title

# In the order of the document, what stands before title, description and metadata
_BEFORE = ("name", "uuid", "genid", "title", "description", "metadata")
MOST_KIB = 1 << 50
"""More than any host has, and what the format can hold."""
METADATA_BYTES = 1024 * 1024


def set_title(xml: bytes | str, text: str | None) -> bytes:
    """Set the title to one line of `text`; None or '' takes it away.  Raises: InvalidArgument, XmlError."""
    if text and (why := check_title(text)):
        raise InvalidArgument(f"The domain cannot have this title: {why}", path="title", value=text[:LONGEST_VALUE])
    return _set_text(xml, "title", text)


def set_description(xml: bytes | str, text: str | None) -> bytes:
    """Set the description, of any lines; None or '' takes it away.  Raises: InvalidArgument, XmlError."""
    if text and (code := control_in(text, free=True)):
        raise InvalidArgument(
            f"The description has a control character ({code})", path="description", value=text[:LONGEST_VALUE],
            remedy="Of control characters it may have newlines and tabs",
        )  # fmt: skip
    return _set_text(xml, "description", text)


def set_name(xml: bytes | str, name: str) -> bytes:
    """Set the name.  Raises: InvalidArgument where it cannot be a name, XmlError."""
    if why := check_name(name):
        raise InvalidArgument(f"The domain cannot be named {name[:64]!r}: {why}", path="name", value=name)
    return _set_text(xml, "name", name)


def set_vcpus(xml: bytes | str, count: int, *, maximum: bool = False) -> bytes:
    """Set how many virtual processors there are now, or at most.

    Raises: InvalidArgument where there cannot be so many; XmlError.
    """
    from .device_edit import finish
    from .document import parse

    domain = parse(xml)
    vcpu = domain.vcpu
    most = vcpu.maximum or 1
    if count < 1 or (count > most and not maximum):
        raise InvalidArgument(
            f"the domain cannot have {count} processors",
            remedy=f"Give it 1 to {most}, or raise the maximum (--maximum)", path="count", value=count,
            allowed=f"1 to {most}",
        )  # fmt: skip
    now = min(vcpu.current or most, count) if maximum else count
    vcpu.maximum = count if maximum else most
    vcpu.current = now if now != vcpu.maximum else None
    domain.vcpus = None  # states of single processors do not fit the new number
    return finish(domain)


def set_memory(xml: bytes | str, kib: int, *, maximum: bool = False) -> bytes:
    """Set how much memory (KiB) the guest may use now, or at most.

    Raises: InvalidArgument where it cannot have so much, or where its NUMA cells say how much it has; XmlError.
    """
    from .device_edit import finish
    from .document import parse

    domain = parse(xml)
    most = domain.memory.kib or 0
    room = most + sum(module.target.size or 0 for module in domain.devices.memories)
    if not 1 <= kib <= (MOST_KIB if maximum else room):
        raise InvalidArgument(
            f"the domain cannot have {kib} KiB of memory", path="memory_kib", value=kib, allowed=f"1 to {room}",
            remedy=f"Give it 1 to {room} KiB, or raise the maximum (setmaxmem)",
        )  # fmt: skip
    if maximum and domain.cpu is not None and domain.cpu.numa is not None and domain.cpu.numa.cells:
        raise InvalidArgument("the domain's NUMA cells say how much memory it has", path="memory_kib", value=kib,
                              remedy="Change <cpu><numa> in its definition")  # fmt: skip
    now = domain.current_memory.kib or most
    domain.memory.kib = kib if maximum else most
    domain.current_memory.kib = min(now, kib) if maximum else kib
    return finish(domain)


def set_metadata(xml: bytes | str, uri: str, key: str, fragment: str | None) -> bytes:
    """Set the metadata element of the namespace `uri` to `fragment`, with the prefix `key`.

    `fragment` is one element without a namespace; None takes the element away (no error where there is
    none).  Raises: InvalidArgument, XmlError.
    """
    if not uri or unshown_in(uri):
        raise InvalidArgument("Metadata needs the URI of a namespace", path="uri", value=uri)
    root = _document(xml)
    metadata = _find(root, "metadata")
    kept = [node for node in metadata.children if not _is_in(node, uri)] if metadata is not None else []
    if fragment is not None:
        kept.append(_entry(fragment, uri, key))
    if metadata is None:
        metadata = XmlNode("metadata")
        _insert(root, metadata)
    metadata.children = kept
    metadata.text = ""
    if not kept:
        root.children = [node for node in root.children if node is not metadata]
    return to_text(root).encode()


def get_metadata(xml: bytes | str, uri: str) -> str:
    """Return the metadata element of the namespace `uri`, as it was set: without that namespace.

    Raises: NoMetadata, XmlError.
    """
    root = _document(xml)
    metadata = _find(root, "metadata")
    for node in metadata.children if metadata is not None else ():
        if _is_in(node, uri):
            return to_text(_without(node, uri, _declared(root, metadata))).rstrip("\n")
    raise NoMetadata(f"The domain has no metadata of the namespace {uri}", uri=uri)


def _document(xml: bytes | str) -> XmlNode:
    root = read(xml)
    if root.key != "domain":
        raise XmlError("The document is not a domain", path=f"/{root.tag}", value=root.tag, allowed=["domain"])
    return root


def _find(root: XmlNode, tag: str) -> XmlNode | None:
    return next((node for node in root.children if node.key == tag), None)


def _insert(root: XmlNode, node: XmlNode) -> None:
    """Put `node` where libvirt writes it: after those that come before it."""
    before = _BEFORE[: _BEFORE.index(node.key)]
    position = max((i for i, other in enumerate(root.children, 1) if other.key in before), default=0)
    root.children = [*root.children[:position], node, *root.children[position:]]


def _set_text(xml: bytes | str, tag: str, text: str | None) -> bytes:
    if text and ILLEGAL.search(text):
        raise InvalidArgument(f"The {tag} has characters that XML cannot hold", path=tag, value=text)
    root = _document(xml)
    node = _find(root, tag)
    if not text:
        root.children = [other for other in root.children if other.key != tag]
    elif node is None:
        node = XmlNode(tag, None, text)
        _insert(root, node)
    else:
        node.text = text
    return to_text(root).encode()


def _is_in(node: XmlNode, uri: str) -> bool:
    return node.key.startswith(f"{{{uri}}}")


def _entry(fragment: str, uri: str, key: str) -> XmlNode:
    if not key or not (key[0].isalpha() or key[0] == "_") or not all(c.isalnum() or c in "_-." for c in key):
        raise InvalidArgument("Metadata needs a key that can be a prefix in XML", path="key", value=key)
    if key.lower().startswith("xml"):
        raise InvalidArgument("Prefixes that begin with xml are not free", path="key", value=key)
    node = read(fragment, max_bytes=METADATA_BYTES)
    declared = {name: value for name, value in node.attrs.items() if name not in ("xmlns", f"xmlns:{key}")}
    node.tag = f"{key}:{node.tag.rpartition(':')[2]}"
    node.key = f"{{{uri}}}{node.tag.rpartition(':')[2]}"
    node.attrs = {f"xmlns:{key}": uri, **declared}
    return node


def _declared(*above: XmlNode | None) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in above:
        names.update({k: v for k, v in (node.attrs if node else {}).items() if k.startswith("xmlns:")})
    return names


def _without(node: XmlNode, uri: str, above: dict[str, str]) -> XmlNode:
    """Return a copy of `node` with the namespace `uri` taken off, other namespaces still declared."""
    declared = {**above, **{k: v for k, v in node.attrs.items() if k == "xmlns" or k.startswith("xmlns:")}}
    prefixes = {name[6:] for name, value in declared.items() if value == uri and name != "xmlns"}
    used = {each.tag.partition(":")[0] for each in node.iter() if ":" in each.tag}
    made = _stripped(node, uri, prefixes)
    needed = {k: v for k, v in above.items() if v != uri and k[6:] in used and k not in made.attrs}
    made.attrs = {**needed, **made.attrs}
    return made


def _stripped(node: XmlNode, uri: str, prefixes: set[str]) -> XmlNode:
    prefix, colon, local = node.tag.rpartition(":")
    attrs = {k: v for k, v in node.attrs.items() if not (v == uri and (k == "xmlns" or k.startswith("xmlns:")))}
    made = XmlNode(local if colon and prefix in prefixes else node.tag, attrs, node.text)
    made.tail = node.tail
    for child in node.children:
        made.append(_stripped(child, uri, prefixes))
    return made
