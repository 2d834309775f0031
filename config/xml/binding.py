"""Bind classes to elements of XML: one declaration, from which reading and writing follow.

    class Target(Element, change="re-create"):
        dev: str | None = attr("dev")
        bus: str | None = attr("bus", words("ide", "scsi", "virtio"))

    class Disk(Element):
        device: str = attr("device", words("disk", "cdrom"), default="disk")
        target: Target = child("target", Target)

What a class does not declare is kept on the object in the order of the document (`_extra`), written
back after what is known, and listed by survey.list_unknown.  A value that its converter does not know is
refused.

Why no library: measured on CPython 3.11 here, importing pydantic_xml takes 150 ms and 24 MiB,
xsdata 76 ms and 14 MiB, lxml 20 ms and 7 MiB (and it would still need a binding on top), of the 400 ms in
which a node must start.  None of them keeps unknown elements, knows when a change takes effect, or names
the path of a refused value.  Why no dataclasses: a decorated class costs about 0.5 ms at import, and the
domain format has over two hundred; and only what a document holds should take memory.

Models are plain values: not shared between threads while they are changed; copy() before changing a
model that a cache holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from ..errors import XmlError
from .children import Child, Lazy
from .convert import describe
from .extra import EXTRA, Extra, Problem, kept_nodes
from .fields import DECOR, Body, Change, ChildField, Decor, Field, Raw, Refused, Space, View
from .node import XmlNode, path_to
from .writer import escape

E = TypeVar("E", bound="Element")


@dataclass_transform(kw_only_default=True)  # no field specifiers: to mypy every field has a default
class Element:
    """One element of XML.  Subclass it and declare fields; see the module.

    `select` names the attribute that chooses among subclasses, each with its `variant` word (or words).
    """

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    _attrs: ClassVar[dict[str, Field | None]] = {}
    _kids: ClassVar[dict[str, ChildField]] = {}
    _body: ClassVar[Body | None] = None
    _raw: ClassVar[Raw | None] = None
    _required: ClassVar[tuple[Field, ...]] = ()
    _spaced: ClassVar[tuple[Field, ...]] = ()
    _named: ClassVar[dict[str, Field]] = {}
    _select: ClassVar[str] = ""
    _variant: ClassVar[str] = ""
    _variants: ClassVar[dict[str, type[Element]]] = {}

    def __init_subclass__(
        cls, *, change: Change = "next_boot", select: str = "", variant: str | tuple[str, ...] = ""
    ) -> None:
        own = []
        for name, field in list(cls.__dict__.items()):
            if isinstance(field, Field):
                field.name = name
                field.change = field.change or change
                if isinstance(field, Child) and field.cls == "self":
                    field.cls = cls
                own.append(field)
        # a field declared anew stands where it stood
        anew = {field.name: field for field in own}
        base = [anew.pop(field.name, field) for field in cls.FIELDS]
        fields = [f for f in base if not f.last] + list(anew.values()) + [f for f in base if f.last]
        fields.sort(key=lambda field: field.last)
        cls.FIELDS = tuple(fields)
        for field in own:
            lazy = isinstance(field.make_default(), list) if not isinstance(field, Child) else field.many
            if lazy or (isinstance(field, Child) and field.always and not field.many):
                setattr(cls, field.name, Lazy(field.name, field.make_default))
            else:
                setattr(cls, field.name, field.default)
        cls._compile()
        if select:
            cls._select, cls._variants = select, {}
        elif variant:
            alike = (variant,) if isinstance(variant, str) else variant
            cls._variant = alike[0]
            for word in alike:
                cls._variants[word] = cls

    @classmethod
    def _compile(cls) -> None:
        cls._attrs, cls._kids, cls._body, cls._raw = {}, {}, None, None
        for field in cls.FIELDS:
            if field.is_attr or isinstance(field, Body):
                if field.is_attr:
                    cls._attrs[field.xml] = field
                else:
                    assert isinstance(field, Body)
                    cls._body = field
                if field.scaled is not None:
                    cls._attrs.setdefault(field.unit, None)
            elif isinstance(field, Raw):
                cls._raw = field
            elif isinstance(field, ChildField):
                cls._kids[field.key] = field
        cls._required = tuple(field for field in cls.FIELDS if field.required)
        cls._spaced = tuple(field for field in cls.FIELDS if field.space)
        cls._named = {field.name: field for field in cls.FIELDS}

    def __init__(self, **values: Any) -> None:
        if self._variant:
            self.__dict__[self._attr_name(self._select)] = self._variant
        for name, value in values.items():
            if name not in self._named:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            self.__dict__[name] = value

    @classmethod
    def _attr_name(cls, xml: str) -> str:
        field = cls._attrs[xml]
        assert field is not None
        return field.name

    # reading

    @classmethod
    def _read(cls, node: XmlNode) -> Self:
        """Make an object from `node`.  Raises: Refused."""
        if cls._select:
            word = node.attrs.get(cls._select)
            if word is not None and word not in cls._variants:
                raise Refused(node, f"@{cls._select}", word, tuple(cls._variants), "unknown value")
            if word is not None:
                cls = cls._variants[word]  # type: ignore[assignment]  # registered subclasses only
        made = cls.__new__(cls)
        values = made.__dict__
        if node.attrs:
            made._read_attrs(values, node)
        if cls._body is not None:
            text = node.text.strip() if node.children else node.text  # beside elements, blanks are indentation
            if text or cls._body.required:
                values[cls._body.name] = cls._body.value_of(node, text, "", node.attrs)
        elif node.text and not node.text.isspace() and cls._raw is None:
            made._keep().text = node.text.strip()
        if node.children:
            made._read_children(values, node)
        if EXTRA in values and values[EXTRA].xmlns:
            made._settle_namespaces(values[EXTRA].xmlns, node)
        for field in cls._required:
            if field.name not in values:
                below = f"@{field.xml}" if field.is_attr else field.xml
                raise Refused(node, below, None, field.converter.allowed if field.converter else None, "missing")
        return made

    @classmethod
    def _class_of(cls, names: Mapping[str, Any]) -> type[Element]:
        """Return which class holds fields of these names and values."""
        if not cls._select:
            return cls
        return cls._variants.get(str(names.get(cls._attr_name(cls._select))), cls)

    def _read_attrs(self, values: dict[str, Any], node: XmlNode) -> None:
        table = self._attrs
        attrs = node.attrs
        for name, value in attrs.items():
            if name not in table:
                self._keep_attr(name, value)
                continue
            field = table[name]
            if field is not None:  # None: the unit of another attribute
                values[field.name] = field.value_of(node, value, f"@{name}", attrs) if field.parse else value

    def _read_children(self, values: dict[str, Any], node: XmlNode) -> None:
        if self._raw is not None:
            values[self._raw.name] = list(node.children)
            return
        table = self._kids
        stray = []
        for sub in node.children:
            field = table.get(sub.key)
            if field is None or not field.take(values, sub):
                self._keep().nodes.append(sub)
            if sub.tail:
                if not sub.tail.isspace():
                    stray.append(sub.tail.strip())
                sub.tail = ""  # it belongs to this element, and a kept subtree goes on without it
        if stray and self._body is not None and (self._body.converter is not None or self._body.name in values):
            # which part is the value?  Taking one and writing both back would change the definition
            raise Refused(node, "", " ".join(stray), None, "text on both sides of an element")
        if stray:
            self._keep().text += " ".join(stray)

    def _settle_namespaces(self, xmlns: dict[str, str], node: XmlNode) -> None:
        """Forget declarations that writing makes anew; refuse a prefix of ours for another namespace."""
        spaces = {field.space.uri: field.space for field in self.FIELDS if field.space}
        ours = {f"xmlns:{space.prefix}": space.uri for space in spaces.values()}
        for name, uri in list(xmlns.items()):
            if ours.get(name, uri) != uri:
                raise Refused(node, f"@{name}", uri, [ours[name]], "this prefix has a fixed meaning")
            if uri in spaces and not self._uses_prefix(name[6:]):
                del xmlns[name]
        if not (xmlns or self._keep().attrs or self._keep().nodes or self._keep().text):
            del self.__dict__[EXTRA]

    def _uses_prefix(self, prefix: str) -> bool:
        """Tell whether something that is kept as it was written, here or below, needs `prefix`."""
        start = f"{prefix}:"
        return not prefix or any(
            node.tag.startswith(start) or any(name.startswith(start) for name in node.attrs)
            for kept in self._kept()
            for node in kept.iter()
        )

    def _kept(self) -> Iterator[XmlNode]:
        """Yield all subtrees below that are kept as they were written."""
        for value in self.__dict__.values():
            if isinstance(value, Extra):
                yield from value.nodes
                yield XmlNode("", value.attrs)
            elif isinstance(value, dict):
                yield from value.values()
            else:
                for item in value if isinstance(value, list) else (value,):
                    if isinstance(item, XmlNode):
                        yield item
                    elif isinstance(item, Element):
                        yield from item._kept()

    def _keep(self) -> Extra:
        extra: Extra | None = self.__dict__.get(EXTRA)
        if extra is None:
            extra = self.__dict__[EXTRA] = Extra()
        return extra

    def _keep_attr(self, name: str, value: str) -> None:
        extra = self._keep()
        if name == "xmlns" or name.startswith("xmlns:"):
            extra.xmlns[name] = value
        else:
            extra.attrs[name] = value

    # writing

    def _write(self, tag: str, out: list[str], indent: str, view: View) -> None:
        """Append the lines of this element."""
        values = self.__dict__
        extra: Extra | None = values.get(EXTRA)
        decor: Decor = values.get(DECOR, {})
        head = f"{indent}<{tag}"
        inside: list[str] = []
        body = ""
        deeper = indent + "  "
        declared = view.declared
        spaces = self._new_spaces(view, extra) if self._spaced else None
        for field in self.FIELDS:
            value = values.get(field.name)
            if value is None or ((field.secret or field.live_only) and view.hides(field)):
                continue
            if field.is_attr:
                head += field.put_attr(value)  # type: ignore[attr-defined]  # is_attr says it is one
            elif field.is_child:
                if field.is_set(value):
                    field.put(inside, value, deeper, view, decor)  # type: ignore[attr-defined]  # likewise
            else:
                body = escape(field.text_of(value))
                head += f" {field.unit}='{field.scaled.unit}'" if field.scaled else ""
        if spaces is not None:
            view.declared = declared
            head += "".join(f" xmlns:{space.prefix}='{space.uri}'" for space in spaces)
        if extra is not None:
            nodes = kept_nodes(self, extra, view)
            head += extra.write(inside, deeper, view, nodes, valued=self._body is not None)
        if inside:
            out.append(f"{head}>{body}\n")
            out.extend(inside)
            out.append(f"{indent}</{tag}>\n")
        else:
            out.append(f"{head}>{body}</{tag}>\n" if body else f"{head}/>\n")

    def _new_spaces(self, view: View, extra: Extra | None) -> list[Space]:
        """Return the namespaces that must be declared here, and tell `view` that they are."""
        above = extra.xmlns if extra else {}
        needed = {field.space for field in self._spaced if self.given(field.name) and field.space}
        new = sorted(needed - view.declared, key=lambda space: space.prefix)
        view.declared = view.declared | needed
        return [space for space in new if f"xmlns:{space.prefix}" not in above]

    def is_empty(self) -> bool:
        """Tell whether the element would be written without anything in it."""
        values = self.__dict__
        if not values:
            return True
        if EXTRA in values or DECOR in values:
            return False
        named = self._named
        return not any(value is not None and (named[name].is_set(value)) for name, value in values.items())

    # what each class may know of itself

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with this element by itself."""
        return iter(())

    def fill(self, filling: Any) -> None:
        """Set what follows from the rest where the document is silent."""

    # as a value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element) or type(other) is not type(self):
            return NotImplemented if not isinstance(other, Element) else False
        mine, theirs = self.__dict__, other.__dict__
        return (
            mine.get(EXTRA) == theirs.get(EXTRA)
            and mine.get(DECOR) == theirs.get(DECOR)
            and all(field.same(mine.get(field.name), theirs.get(field.name)) for field in self.FIELDS)
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        values = ", ".join(f"{n}={v!r}" for n, v in self.__dict__.items() if n in self._named)
        return f"{type(self).__name__}({values})"

    def copy(self) -> Self:
        """Return a model of its own that equals this one (kept subtrees are shared: nobody changes them)."""
        made = self.__new__(type(self))
        values = made.__dict__
        for name, value in self.__dict__.items():
            values[name] = value if type(value) in PLAIN else _copy(value)
        return made

    def given(self, name: str) -> bool:
        """Tell whether the field `name` was in the document or set, whatever its value."""
        value = self.__dict__.get(name)
        return value is not None and self._named[name].is_set(value)


PLAIN = frozenset({str, int, bool, type(None)})
"""Types of values that are no elements and hold none."""


def _copy(value: Any) -> Any:
    if isinstance(value, Element):
        return value.copy()
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, Extra):
        return value.copy()
    return dict(value) if isinstance(value, dict) else value


def bind(cls: type[E], root: XmlNode, tag: str) -> E:
    """Make the model of class `cls` from `root`, which must be a `tag` element.

    Raises: XmlError with the path, the value and what is allowed.
    """
    if root.key != tag:
        raise XmlError(
            f"The document is a <{root.key}>, not a <{tag}>",
            path=f"/{root.tag}",
            value=root.key,
            allowed=[tag],
        )
    try:
        return cls._read(root)
    except Refused as error:
        raise refusal(root, error) from None


LONGEST_VALUE = 1000  # of what an error repeats


def refusal(root: XmlNode, error: Refused) -> XmlError:
    """Return the error to raise for what was `refused` somewhere below `root`."""
    path = path_to(root, error.node)
    path = f"{path}/{error.below}" if error.below else path
    if error.value is None:
        message = f"{path} is {error.why}"
    else:
        message = f"{path} cannot be {error.value[:200]!r}: {error.why}"
    allowed = describe(error.allowed) if error.allowed else ""
    return XmlError(
        message,
        path=path,
        value=error.value if error.value is None else error.value[:LONGEST_VALUE],
        allowed=error.allowed,
        line=error.node.line,
        remedy=f"Allowed: {allowed}" if allowed else "",
    )


def write(model: Element, tag: str, view: View | None = None) -> str:
    """Return `model` as the text of a `tag` element, ending in a newline."""
    out: list[str] = []
    model._write(tag, out, "", view or View())
    return "".join(out)
