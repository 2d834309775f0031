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


LONGEST_PATH = 1000  # a path is for people; names in a hostile document may be as long as the document


def steps(siblings: Sequence[XmlNode]) -> list[str]:
    """Return the path step of each of `siblings`: `disk`, or `disk[2]` where there are several."""
    total: dict[str, int] = {}
    for node in siblings:
        total[node.tag] = total.get(node.tag, 0) + 1
    seen: dict[str, int] = {}
    found = []
    for node in siblings:
        seen[node.tag] = seen.get(node.tag, 0) + 1
        found.append(node.tag if total[node.tag] == 1 else f"{node.tag}[{seen[node.tag]}]")
    return found


def path_of_chain(chain: Sequence[XmlNode]) -> str:
    """Return the path of the last of `chain`, each of which is a child of the one before."""
    path = f"/{chain[0].tag}"
    for parent, child in zip(chain, chain[1:], strict=False):
        position = next(i for i, node in enumerate(parent.children) if node is child)
        path += f"/{steps(parent.children)[position]}"
    return path[:LONGEST_PATH]


def path_to(root: XmlNode, wanted: XmlNode) -> str:
    """Return the path of `wanted` below `root` (`/domain/devices/disk[2]`), for error messages."""
    chain = [root]
    pending = [iter(root.children)]
    while chain[-1] is not wanted:
        child = next(pending[-1], None)
        if child is not None:
            chain.append(child)
            pending.append(iter(child.children))
            continue
        chain.pop()
        pending.pop()
        if not chain:
            return f"/{root.tag}"[:LONGEST_PATH]
    return path_of_chain(chain)
