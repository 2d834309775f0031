"""Write XML in libvirt's manner: two spaces a level, single quotes around attributes."""

from __future__ import annotations

import re

from .node import XmlNode

_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_SPECIAL_IN_ATTRIBUTE = str.maketrans(
    {
        "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;",
        "\n": "&#10;", "\r": "&#13;", "\t": "&#9;",
    }
)  # fmt: skip
# XML 1.0, production 2 (Char): what no document may hold, escaped or not
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """Return `text` as it stands between tags."""
    return text if text.isalnum() else text.translate(_SPECIAL)


def quote(text: str) -> str:
    """Return `text` as it stands between the single quotes of an attribute."""
    return text if text.isalnum() else text.translate(_SPECIAL_IN_ATTRIBUTE)


def write_node(node: XmlNode, out: list[str], indent: str = "") -> None:
    """Append the lines of `node` to `out`, starting at `indent`.

    Elements that hold text beside elements are written as they were: a space more would change them.
    """
    head = node.tag
    for name, value in node.attrs.items():
        head += f" {name}='{quote(value)}'"
    if not node.children:
        out.append(f"{indent}<{head}/>\n" if not node.text else f"{indent}<{head}>{escape(node.text)}</{node.tag}>\n")
        return
    if is_mixed(node):
        out.append(f"{indent}<{head}>{inner(node)}</{node.tag}>\n")
        return
    out.append(f"{indent}<{head}>\n")
    for child in node.children:
        write_node(child, out, indent + "  ")
    out.append(f"{indent}</{node.tag}>\n")


def to_text(node: XmlNode) -> str:
    """Return `node` and all below it as text, ending in a newline."""
    out: list[str] = []
    write_node(node, out)
    return "".join(out)


def is_mixed(node: XmlNode) -> bool:
    """Tell whether text that is not blank stands between the children of `node`."""
    texts = [node.text, *(child.tail for child in node.children)]
    return any(text and not text.isspace() for text in texts)


def inner(node: XmlNode) -> str:
    """Return all that stands between the tags of `node`, exactly as it was."""
    parts = [escape(node.text)]
    for child in node.children:
        head = child.tag + "".join(f" {name}='{quote(value)}'" for name, value in child.attrs.items())
        body = inner(child)
        parts.append(f"<{head}>{body}</{child.tag}>" if body else f"<{head}/>")
        parts.append(escape(child.tail))
    return "".join(parts)
