"""One element of a parsed document, as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class XmlNode:
    """Hold one element: raw names, attributes, texts and children.

    `tag` and the names in `attrs` are as written, prefix and `xmlns` declarations included, so that a
    subtree nobody knows goes back out as it came in.  `key` is the resolved name: `{uri}local` where a
    namespace applies, else `tag`.  `tail` is the text between this element's end and the next tag.
    """

    __slots__ = ("attrs", "children", "key", "line", "tag", "tail", "text")

    def __init__(self, tag: str, attrs: dict[str, str] | None = None, text: str = "", line: int = 0) -> None:
        self.tag = tag
        self.key = tag
        self.attrs: dict[str, str] = {} if attrs is None else attrs
        self.text = text
        self.tail = ""
        self.children: Sequence[XmlNode] = ()
        self.line = line

    def append(self, child: XmlNode) -> None:
        """Add `child` as the last one (leaves share one empty tuple until then)."""
        children = self.children
        if isinstance(children, list):
            children.append(child)
        else:
            self.children = [child]

    def iter(self) -> Iterator[XmlNode]:
        """Yield this element and all below it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.iter()

    def same(self, other: XmlNode) -> bool:
        """Tell whether both subtrees mean the same: blank text between elements does not count."""
        return (
            self.key == other.key
            and self.tag == other.tag
            and self.attrs == other.attrs
            and self._bare(self.text) == self._bare(other.text)
            and self._bare(self.tail) == self._bare(other.tail)
            and len(self.children) == len(other.children)
            and all(a.same(b) for a, b in zip(self.children, other.children, strict=True))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XmlNode) and self.same(other)

    __hash__ = None  # type: ignore[assignment]  # mutable, so it must not be a key of a dict

    def __repr__(self) -> str:
        return f"<XmlNode {self.key} line {self.line}>"

    @staticmethod
    def _bare(text: str) -> str:
        return "" if not text or text.isspace() else text


def step(node: XmlNode, siblings: Sequence[XmlNode]) -> str:
    """Return the path step of `node` among `siblings`: `disk`, or `disk[2]` where there are several."""
    alike = [other for other in siblings if other.tag == node.tag]
    if len(alike) < 2:
        return node.tag
    return f"{node.tag}[{next(i for i, other in enumerate(alike, 1) if other is node)}]"


def path_to(root: XmlNode, wanted: XmlNode) -> str:
    """Return the path of `wanted` below `root` (`/domain/devices/disk[2]`), for error messages."""
    pending: list[tuple[XmlNode, str]] = [(root, f"/{root.tag}")]
    while pending:
        node, path = pending.pop()
        if node is wanted:
            return path
        pending.extend((child, f"{path}/{step(child, node.children)}") for child in node.children)
    return f"/{root.tag}"
