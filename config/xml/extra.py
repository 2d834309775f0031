"""What a model keeps of a document without knowing it, and how it reports problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .fields import Refused, View
from .node import XmlNode
from .writer import escape, quote, write_node

EXTRA = "_extra"


class Problem(NamedTuple):
    """What is wrong with an element: where below it, which value, why, and what would do."""

    below: str
    value: Any
    why: str
    allowed: Any = None


class Extra:
    """What an object's element held that its class does not declare."""

    __slots__ = ("attrs", "nodes", "text", "xmlns")

    def __init__(self) -> None:
        self.attrs: dict[str, str] = {}
        self.nodes: list[XmlNode] = []
        self.text = ""
        self.xmlns: dict[str, str] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extra) and all(getattr(self, name) == getattr(other, name) for name in Extra.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def write(self, inside: list[str], indent: str, view: View, nodes: Sequence[XmlNode], *, valued: bool) -> str:
        """Append those elements that `nodes` names to `inside` and return the attributes.

        Without secrets unless secure. `valued`: the element's class reads its text as a value.
        """
        head = "".join(f" {name}='{quote(value)}'" for name, value in self.xmlns.items())
        for name, value in self.attrs.items():
            if view.secure or not is_secret_name(name):
                head += f" {name}='{quote(value)}'"
        for node in nodes:
            write_node(node if view.secure else without_secrets(node), inside, indent)
        if self.text and (inside or not valued):  # behind an element: in front of it, it would be read as the value
            inside.append(f"{indent}{escape(self.text)}\n")
        return head

    def copy(self) -> Extra:
        """Return one of its own; the kept subtrees are shared, nobody changes them."""
        made = Extra()
        made.attrs, made.nodes, made.xmlns = dict(self.attrs), list(self.nodes), dict(self.xmlns)
        made.text = self.text
        return made


def kept_nodes(element: Any, extra: Extra, view: View) -> list[XmlNode]:
    """Return what is written of an element's unknown children.

    A second element of a name that may be there once is left out when the first is not written: it would be read
    as the first next time, and what was checked is what the first says.
    """
    return [node for node in extra.nodes if node.key not in element._kids or not _stands_in(element, node, view)]


def _stands_in(element: Any, node: XmlNode, view: View) -> bool:
    field = element._kids[node.key]
    value = element.__dict__.get(field.name)
    hidden = (field.secret or field.live_only) and view.hides(field)
    if value is not None and field.is_set(value) and not hidden:
        return False
    try:
        return bool(field.take({}, node))
    except Refused:
        return True


_SECRET_NAMES = ("passwd", "password", "passphrase", "secretvalue")


def is_secret_name(name: str) -> bool:
    """Tell whether an attribute or element of this name, unknown to us, is to be taken for a secret."""
    return name.lower().rpartition(":")[2] in _SECRET_NAMES


def without_secrets(node: XmlNode) -> XmlNode:
    """Return `node` without the values of attributes and elements that sound like secrets."""
    made = XmlNode(node.tag, {k: v for k, v in node.attrs.items() if not is_secret_name(k)})
    made.key, made.tail = node.key, node.tail
    made.text = "" if is_secret_name(node.tag) else node.text
    for each in node.children:
        made.append(without_secrets(each))
    return made
