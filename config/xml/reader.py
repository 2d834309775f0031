"""Read XML from people one does not trust, within limits that hold while reading.

Built on expat directly (xml.parsers.expat): its handlers see each element as it opens, so depth, number
and size are refused before memory is spent.  A document type, an entity declaration or a processing
instruction ends the reading at once; what remains are the five entities of XML itself.  Prefixes and
`xmlns` declarations are kept as written, which ElementTree cannot do.

Pure functions: any thread, or a worker process.
"""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from ..errors import XmlError
from .node import LONGEST_PATH, XmlNode, path_of_chain

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 128  # models of elements that hold themselves (backingStore) must fit Python's stack (tested)
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 256

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"


def read(
    xml: bytes | str,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_elements: int = MAX_ELEMENTS,
) -> XmlNode:
    """Parse `xml` and return its root element.

    `max_bytes` limits the document (bytes of UTF-8), `max_depth` the nesting, `max_elements` their number.
    Raises: XmlError with `line`, `column` and `path` of the place.
    """
    data = xml.encode("utf-8", "surrogatepass") if isinstance(xml, str) else bytes(xml)
    if len(data) > max_bytes:
        raise XmlError(
            f"The XML document has {len(data)} bytes, more than the {max_bytes} allowed",
            path="/",
            value=len(data),
            allowed=max_bytes,
            remedy="Make the document smaller or raise limits.xml_bytes",
        )
    parser = expat.ParserCreate("utf-8" if isinstance(xml, str) else None)
    # text comes in pieces of this size: few of them, so that joining them stays linear
    parser.buffer_size = max(8192, min(len(data), 1 << 20))
    builder = _Builder(parser, max_depth, max_elements, namespaces=_may_use_namespaces(data))
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        builder.refuse(f"The XML is not well formed: {expat.ErrorString(error.code)}", error.lineno, error.offset)
    except (LookupError, ValueError) as error:
        # pyexpat looks the declared encoding up among Python's codecs
        builder.refuse(f"The XML cannot be decoded: {error}")
    root = builder.root
    assert root is not None  # expat refuses a document without an element
    return root


def _may_use_namespaces(data: bytes) -> bool:
    return b"xmlns" in data or b"\0" in data[:4] or data[:2] in (b"\xff\xfe", b"\xfe\xff")


class _Builder:
    """Build the tree from expat's events."""

    def __init__(self, parser: expat.XMLParserType, max_depth: int, max_elements: int, *, namespaces: bool) -> None:
        self.root: XmlNode | None = None
        self.parser = parser
        self.max_depth = max_depth
        self.left = max_elements
        self.stack: list[XmlNode] = []
        self.last: XmlNode | None = None  # the element whose tail is being read
        self.scopes: list[dict[str, str]] = [{"xml": XML_NAMESPACE}]
        parser.buffer_text = True
        parser.StartElementHandler = self.start_scoped if namespaces else self.start
        parser.EndElementHandler = self.end_scoped if namespaces else self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self.doctype
        parser.EntityDeclHandler = self.entity
        parser.ProcessingInstructionHandler = self.instruction

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        stack = self.stack
        node = XmlNode(tag, attrs, "", self.parser.CurrentLineNumber)
        self.left -= 1
        if self.left < 0 or len(stack) >= self.max_depth or len(attrs) > MAX_ATTRIBUTES:
            self.over(node)
        if stack:
            stack[-1].append(node)
        else:
            self.root = node
        stack.append(node)
        self.last = None

    def end(self, tag: str) -> None:
        self.last = self.stack.pop()

    def start_scoped(self, tag: str, attrs: dict[str, str]) -> None:
        self.start(tag, attrs)
        scope = self.scopes[-1]
        declared = {name[6:]: uri for name, uri in attrs.items() if name.startswith("xmlns") and name[5:6] in ("", ":")}
        if declared:
            scope = {**scope, **declared}
        self.scopes.append(scope)
        prefix, colon, local = tag.rpartition(":")
        uri = scope.get(prefix, "")
        if uri:
            self.stack[-1].key = f"{{{uri}}}{local if colon else tag}"

    def end_scoped(self, tag: str) -> None:
        self.scopes.pop()
        self.last = self.stack.pop()

    def text(self, data: str) -> None:
        if self.last is not None:
            self.last.tail += data
        elif self.stack:
            self.stack[-1].text += data

    def doctype(self, name: str, *_rest: object) -> None:
        self.refuse(f"The XML has a document type declaration ({name!r})", remedy="Remove the <!DOCTYPE ...>")

    def entity(self, name: str, *_rest: object) -> None:
        self.refuse(f"The XML declares an entity ({name!r})", remedy="Write the text in place of the entity")

    def instruction(self, target: str, _data: str) -> None:
        self.refuse(f"The XML has a processing instruction ({target!r})", remedy="Remove the <? ... ?>")

    def over(self, node: XmlNode) -> NoReturn:
        if self.left < 0:
            self.refuse("The XML has too many elements")
        if len(node.attrs) > MAX_ATTRIBUTES:
            self.refuse(f"<{node.tag[:64]}> has {len(node.attrs)} attributes, more than {MAX_ATTRIBUTES}")
        self.refuse(f"The XML is nested deeper than {self.max_depth} elements")

    def refuse(self, message: str, line: int = 0, column: int = -1, *, remedy: str = "") -> NoReturn:
        line = line or self.parser.CurrentLineNumber
        column = self.parser.CurrentColumnNumber if column < 0 else column
        path = "/"
        if self.root is not None:
            path = path_of_chain(self.stack) if self.stack else f"/{self.root.tag}"[:LONGEST_PATH]
        # handlers must not leave the half-built tree alive through the parser
        self.parser.StartElementHandler = self.parser.EndElementHandler = None
        raise XmlError(
            f"{message} at line {line}, column {column + 1}",
            path=path,
            line=line,
            column=column + 1,
            remedy=remedy,
        ) from None
