"""The kinds of field that an element of a model is declared with.

    name: str = text("name", required=True)            <name>vm</name>
    bus: str | None = attr("bus", words("ide", ...))   <target bus='ide'/>
    value: int = body(KIB)                             <memory unit='MiB'>64</memory>
    readonly: bool = flag("readonly")                  <readonly/>
    target: Target = child("target", Target)           always there, written when it holds something
    cpu: Cpu | None = optional("cpu", Cpu)             None where the element is absent
    disks: list[Disk] = children("disk", Disk)         in the order of the document
    args: list[str] = texts("initarg")                 <initarg>a</initarg><initarg>b</initarg>
    entries: list[XmlNode] = raw()                     whatever is inside, kept as it is

Every field says when a change of it takes effect (`change`): "live" in the running guest, "next_boot"
when the guest is started next, "re-create" never for this object: it is a different one.  Left out, it
is what its class says.  `secret` fields are written only where secrets may be seen; `live_only` ones
only for a running domain; `last` ones after those of subclasses.  `free` texts may have several lines; in all others
a control character is refused when the model is checked (characters.py).

A value that is not in the model's own `__dict__` is absent; its default is an attribute of the class.
That keeps a parsed model as small as its document and reading a default as fast as any attribute.
"""

from __future__ import annotations

from typing import Any, Literal

from .convert import Converter, Scaled
from .node import XmlNode
from .writer import escape, inner, quote, write_node

Change = Literal["live", "next_boot", "re-create"]


class Refused(Exception):
    """A value that the model does not take; `below` is the path from the element `node`."""

    def __init__(self, node: XmlNode, below: str, value: str | None, allowed: Any, why: str) -> None:
        super().__init__(why)
        self.node = node
        self.below = below
        self.value = value
        self.allowed = allowed
        self.why = why


class Space:
    """A namespace of XML and the prefix that it is written with."""

    __slots__ = ("prefix", "uri")

    def __init__(self, uri: str, prefix: str) -> None:
        self.uri = uri
        self.prefix = prefix


class View:
    """What a written document may show, and the namespaces declared above."""

    __slots__ = ("declared", "live", "secure")

    def __init__(self, *, secure: bool = True, live: bool = True) -> None:
        self.secure = secure
        self.live = live
        self.declared: set[Space] = set()

    def hides(self, field: Field) -> bool:
        """Tell whether `field` is left out."""
        return (field.secret and not self.secure) or (field.live_only and not self.live)


class Field:
    """One declared field: its name in the model, its name in XML, its converter, its default."""

    is_attr = False
    is_child = False
    default: Any

    def __init__(
        self,
        xml: str,
        converter: Converter | None = None,
        *,
        default: Any = None,
        required: bool = False,
        change: Change | None = None,
        secret: bool = False,
        live_only: bool = False,
        last: bool = False,
        free: bool = False,
        unit: str = "unit",
        space: Space | None = None,
    ) -> None:
        self.xml = f"{space.prefix}:{xml}" if space else xml
        self.key = f"{{{space.uri}}}{xml}" if space else xml
        self.space = space
        self.name = ""
        self.converter = converter
        self.parse = converter.parse if converter else None
        self.format = converter.format if converter else None
        self.scaled = converter if isinstance(converter, Scaled) else None
        self.unit = unit
        self.default = default
        self.required = required
        self.change: Change | None = change
        self.secret = secret
        self.live_only = live_only
        self.last = last
        self.free = free

    def value_of(self, node: XmlNode, raw: str, below: str, attrs: dict[str, str]) -> Any:
        """Convert `raw`, found in `node` at `below`."""
        try:
            if self.scaled is not None:
                return self.scaled.parse_unit(raw, attrs.get(self.unit))
            return self.parse(raw) if self.parse else raw
        except KeyError:
            why = "unknown value"
        except ValueError as error:
            why = str(error)
        raise Refused(node, below, raw, self.converter.allowed if self.converter else None, why)

    def text_of(self, value: Any) -> str:
        """Return `value` as text of XML, not yet escaped."""
        return self.format(value) if self.format else str(value)

    def is_set(self, value: Any) -> bool:
        """Tell whether `value` is worth an element or attribute."""
        return value is not None

    def make_default(self) -> Any:
        """Return the value that an object without this field has."""
        return self.default

    def same(self, mine: Any, other: Any) -> bool:
        """Compare two values of this field, None meaning absent."""
        return bool((self.default if mine is None else mine) == (self.default if other is None else other))


class Attribute(Field):
    """An attribute of the element."""

    is_attr = True

    def put_attr(self, value: Any) -> str:
        """Return ` name='value'`, with the unit beside a size."""
        text = f" {self.xml}='{quote(self.text_of(value))}'"
        return f"{text} {self.unit}='{self.scaled.unit}'" if self.scaled else text


class Body(Field):
    """The text of the element itself.  No text and empty text are the same there."""

    def is_set(self, value: Any) -> bool:
        return value is not None and value != ""

    def same(self, mine: Any, other: Any) -> bool:
        return super().same(None if mine == "" else mine, None if other == "" else other)


class ChildField(Field):
    """A field that is read from child elements."""

    is_child = True

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        """Read `node` into `values`; False where there is one already."""
        raise NotImplementedError

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        """Append the lines of `value`."""
        raise NotImplementedError


# What stood on a text or flag element beside its text: (field name, index) -> the element
Decor = dict[tuple[str, int], XmlNode]
DECOR = "_decor"


def keep_decor(values: dict[str, Any], field: Field, node: XmlNode, index: int = 0) -> None:
    """Remember attributes and children of `node` that the simple `field` has no place for."""
    attrs = node.attrs
    if field.scaled is not None and field.unit in attrs:
        attrs = {name: value for name, value in attrs.items() if name != field.unit}
    if attrs or node.children:
        rest = XmlNode(node.tag, attrs)
        rest.children = node.children
        values.setdefault(DECOR, {})[field.name, index] = rest


def _put_text(field: Field, out: list[str], value: Any, indent: str, decor: Decor, index: int) -> None:
    rest = decor.get((field.name, index)) if decor else None
    head = field.xml
    if field.scaled is not None:
        head += f" {field.unit}='{field.scaled.unit}'"
    if rest is not None:
        head += "".join(f" {name}='{quote(text)}'" for name, text in rest.attrs.items())
    body = "" if value is None else escape(field.text_of(value))
    if rest is not None:
        body += inner(rest)
    out.append(f"{indent}<{head}>{body}</{field.xml}>\n" if body else f"{indent}<{head}/>\n")


class Text(ChildField):
    """A child element that holds nothing but text."""

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        if self.name in values:
            return False
        values[self.name] = self.value_of(node, node.text, "", node.attrs)
        if node.attrs or node.children:
            keep_decor(values, self, node)
        return True

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        _put_text(self, out, value, indent, decor, 0)


class Texts(ChildField):
    """Child elements that hold nothing but text, any number of them."""

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        items = values.setdefault(self.name, [])
        if node.attrs or node.children:
            keep_decor(values, self, node, len(items))
        items.append(self.value_of(node, node.text, "", node.attrs))
        return True

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        for index, item in enumerate(value):
            _put_text(self, out, item, indent, decor, index)

    def is_set(self, value: Any) -> bool:
        return bool(value)

    def make_default(self) -> Any:
        return []

    def same(self, mine: Any, other: Any) -> bool:
        return (mine or []) == (other or [])


class Flag(ChildField):
    """A child element whose presence is the value."""

    def take(self, values: dict[str, Any], node: XmlNode) -> bool:
        if self.name in values:
            return False
        values[self.name] = True
        if node.attrs or node.children:
            keep_decor(values, self, node)
        return True

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        _put_text(self, out, None, indent, decor, 0)

    def is_set(self, value: Any) -> bool:
        return bool(value)

    def same(self, mine: Any, other: Any) -> bool:
        return bool(mine) == bool(other)


class Raw(ChildField):
    """All children as they are, known to nobody but their owner."""

    def put(self, out: list[str], value: Any, indent: str, view: View, decor: Decor) -> None:
        for node in value:
            write_node(node, out, indent)

    def is_set(self, value: Any) -> bool:
        return bool(value)

    def make_default(self) -> Any:
        return []

    def same(self, mine: Any, other: Any) -> bool:
        return (mine or []) == (other or [])


def attr(xml: str, converter: Converter | None = None, **options: Any) -> Any:
    """Declare an attribute."""
    return Attribute(xml, converter, **options)


def body(converter: Converter | None = None, **options: Any) -> Any:
    """Declare the text of the element itself."""
    return Body("", converter, **options)


def text(xml: str, converter: Converter | None = None, **options: Any) -> Any:
    """Declare a child element that holds only text."""
    return Text(xml, converter, **options)


def texts(xml: str, converter: Converter | None = None, **options: Any) -> Any:
    """Declare child elements that hold only text."""
    return Texts(xml, converter, **options)


def flag(xml: str, **options: Any) -> Any:
    """Declare a child element whose presence counts."""
    return Flag(xml, None, default=False, **options)


def raw(**options: Any) -> Any:
    """Declare that all children are kept as they are."""
    return Raw("*", None, **options)
